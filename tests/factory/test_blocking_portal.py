"""The README's way from code that does not await: one factory, in anyio's portal."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from matrix import AMPLE
from readme import block

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    NotFoundError,
)
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

BLOCK = block("def blocking_checkout")
THREADS = 8

Enter = Callable[
    [], AbstractContextManager[tuple[BlockingPortal, CheckoutSessionFactory]]
]


@pytest.fixture
def enter(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Holds a factory of the sandbox as the README does."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    monkeypatch.setenv("CONVERGEGATE_BASE_URL", sandbox.base_url)
    names: dict[str, Any] = {"__name__": "shop"}
    exec(BLOCK, names)  # noqa: S102 -- our own README
    return names["blocking_checkout"]  # type: ignore[no-any-return]  # it is one


async def test_threads_share_one_pool(
    enter: Enter, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """One after the other they use one connection; at once each gets its own answer."""

    def shop() -> tuple[int, list[CheckoutSession]]:
        with enter() as (portal, checkout), ThreadPoolExecutor(THREADS) as threads:
            known = portal.call(checkout.create, order)
            for _ in range(THREADS):
                look = partial(portal.call, checkout.retrieve, known.id)
                thread = threading.Thread(target=look)
                thread.start()
                thread.join()
            connections = portal.call(checkout.stats).connections
            create = partial(portal.call, checkout.create, order)
            calls = [threads.submit(create) for _ in range(THREADS)]
            return connections, [known, *(call.result() for call in calls)]

    connections, sessions = await asyncio.to_thread(shop)

    assert sandbox.count("retrieve") == THREADS
    assert connections == 1
    assert {session.id for session in sessions} == set(sandbox.book.sessions)
    assert len(sandbox.book.sessions) == THREADS + 1


async def test_an_error_comes_to_the_thread_that_called(enter: Enter) -> None:
    """It is the same error, for the same call."""

    def shop() -> None:
        with enter() as (portal, checkout):
            portal.call(checkout.retrieve, "nobody-knows-it")

    with pytest.raises(NotFoundError) as caught:
        await asyncio.to_thread(shop)

    assert caught.value.operation == "retrieve"


async def test_leaving_lets_calls_finish_and_leaves_nothing(
    enter: Enter, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A call of another thread gets its answer, then factory and thread are gone."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.3))
    before = set(threading.enumerate())
    held: Future[tuple[BlockingPortal, CheckoutSessionFactory]] = Future()
    may_leave = threading.Event()

    def hold() -> None:
        with enter() as pair:
            held.set_result(pair)
            may_leave.wait(AMPLE)

    holding = asyncio.create_task(asyncio.to_thread(hold))
    portal, checkout = await asyncio.wrap_future(held)
    call = asyncio.create_task(
        asyncio.to_thread(partial(portal.call, checkout.create, order))
    )
    while not sandbox.count("create"):  # noqa: ASYNC110 -- the wire has no event
        await asyncio.sleep(0.01)
    may_leave.set()

    session = await call
    await holding

    assert session.id in sandbox.book.sessions
    assert "closed," in repr(checkout)
    with pytest.raises(RuntimeError, match="not running"):
        portal.call(checkout.retrieve, session.id)
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not any("portal" in name for name in left)


# -- forks -----------------------------------------------------------------------------

PREFORK = """
import os, sys
from block import blocking_checkout

def work():
    with blocking_checkout() as (portal, checkout):
        line = portal.call(checkout.retrieve, sys.argv[1]).id + os.linesep
    os.write(1, line.encode())  # Whole: two write at once, and print may write twice.

children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        work()
        sys.exit()
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children], flush=True)
work()
"""

TOO_EARLY = """
import os, sys
from block import blocking_checkout
from convergegate_async import ConfigurationError

with blocking_checkout() as (portal, checkout):
    portal.call(checkout.retrieve, sys.argv[1])
    pid = os.fork()
    if not pid:
        with blocking_checkout() as (own_portal, own_checkout):
            try:
                own_portal.call(checkout.retrieve, sys.argv[1])
            except ConfigurationError as error:
                print(error)
            print(own_portal.call(own_checkout.retrieve, sys.argv[1]).id, flush=True)
        os._exit(0)
    print(os.waitpid(pid, 0)[1])
    print(portal.call(checkout.retrieve, sys.argv[1]).id)
"""

IN_A_COROUTINE = """
import asyncio, os, sys
from convergegate_async import CheckoutSessionFactory, ConfigurationError

async def main():
    async with CheckoutSessionFactory.from_env() as checkout:
        pid = os.fork()
        if not pid:
            try:
                await checkout.retrieve(sys.argv[1])
            except ConfigurationError as error:
                print(error, flush=True)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        print((await checkout.retrieve(sys.argv[1])).id)

asyncio.run(main())
"""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


async def lines_of(program: str, *arguments: str, folder: Path) -> list[str]:
    """Run *program* beside the README's block, and return the lines that it prints."""
    (folder / "block.py").write_text(BLOCK)
    (folder / "program.py").write_text(program)
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(folder / "program.py"), *arguments),
        stdout=subprocess.PIPE,
    )
    output, _ = await running.communicate()
    assert running.returncode == 0
    return output.decode().splitlines()


@pytest.fixture
async def session(enter: Enter, sandbox: Sandbox, order: CheckoutSessionRequest) -> str:
    """The id of a session of the sandbox, whose address is in the environment."""
    del enter
    async with sandbox.factory() as checkout:
        return (await checkout.create(order)).id


@forks
async def test_each_child_of_a_prefork_server_has_its_own(
    session: str, tmp_path: Path
) -> None:
    """Entered after the fork it works in every child and the parent, and ends."""
    lines = await lines_of(PREFORK, session, folder=tmp_path)

    assert lines == [session, session, "[0, 0]", session]


@forks
async def test_a_factory_from_before_the_fork_is_refused(
    session: str, tmp_path: Path
) -> None:
    """The child is told so and can open its own; the parent goes on with the first."""
    lines = await lines_of(TOO_EARLY, session, folder=tmp_path)

    assert lines == [
        "the factory was opened before a fork: open one in each process",
        session,
        "0",
        session,
    ]


@forks
async def test_a_factory_is_refused_in_the_child_that_goes_on_with_its_coroutine(
    session: str, tmp_path: Path
) -> None:
    """The loop is the parent's, and so are the connections."""
    lines = await lines_of(IN_A_COROUTINE, session, folder=tmp_path)

    assert lines == [
        "the factory was opened before a fork: open one in each process",
        "0",
        session,
    ]
