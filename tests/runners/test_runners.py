"""The runner protocol: the same facts for processes of this machine and for Dask."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
import worker_functions
from eager import EAGER_OR_LAZY, begin_tasks
from hypothesis import given
from hypothesis import strategies as st
from programs import started

from convergegate_async import ConfigurationError
from convergegate_async.runners import (
    DaskRunner,
    Done,
    LocalRunner,
    Runner,
    WorkersLostError,
    run_until_cut,
)
from convergegate_async.runners._bounded import bounded_map

C = TypeVar("C")

WORKERS = 2
KINDS = ("local", "dask")

shared = pytest.mark.asyncio(loop_scope="module")


async def each(items: Iterable[C]) -> AsyncIterator[C]:
    """Yield the items, as a generator of chunks does."""
    for item in items:
        yield item


def helpers(parent: psutil.Process) -> list[psutil.Process]:
    """Return the workers that *parent* started, and not Python's resource tracker."""
    found = []
    for process in parent.children(recursive=True):
        try:
            if any("spawn_main" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:  # it has ended just now
            continue
    return found


# -- a few at once -------------------------------------------------------------------


@pytest.mark.parametrize("eagerly", EAGER_OR_LAZY)
@given(delays=st.lists(st.integers(0, 5), max_size=20), most=st.integers(1, 5))
def test_every_chunk_is_done_once_and_few_at_a_time(
    *, delays: list[int], most: int, eagerly: bool
) -> None:
    """For any durations: all are done, never more than allowed, the source included."""
    under_way, taken, yielded, peak = 0, 0, 0, 0

    async def chunks() -> AsyncIterator[tuple[int, int]]:
        nonlocal taken
        for number, delay in enumerate(delays):
            taken += 1
            assert taken - yielded <= most
            yield number, delay

    async def do(chunk: tuple[int, int]) -> int:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        for _ in range(chunk[1]):
            await asyncio.sleep(0)
        under_way -= 1
        return chunk[0]

    async def collect() -> list[int]:
        nonlocal yielded
        begin_tasks(eagerly=eagerly)
        done = []
        async for number in bounded_map(do, chunks(), lambda: most):
            yielded += 1
            done.append(number)
        return done

    assert sorted(asyncio.run(collect())) == list(range(len(delays)))
    assert peak <= most


def test_what_is_no_chunk_of_a_runner_runs_to_its_end() -> None:
    """`run_until_cut` is `asyncio.run` where nobody could cut it."""
    assert run_until_cut(asyncio.sleep(0.0, "done")) == "done"


# -- both runners --------------------------------------------------------------------


@shared
async def test_chunks_come_out_in_the_order_of_completion(
    runner: Runner, tmp_path: Path
) -> None:
    """A slow chunk does not hold back a quick one that was taken after it."""
    path = tmp_path / "the quick one is out"
    async with aclosing(
        runner.map(worker_functions.wait_for, each([path, None]))
    ) as results:
        assert (await anext(results)).result is None
        path.touch()
        assert (await anext(results)).result == path


@shared
async def test_few_chunks_are_taken_ahead(runner: Runner) -> None:
    """However many there are, two rounds of all workers are taken ahead."""
    taken, yielded, most = 0, 0, 0

    async def chunks() -> AsyncIterator[float]:
        nonlocal taken, most
        for _ in range(20):
            taken += 1
            most = max(most, taken - yielded)
            yield 0.0

    async with aclosing(runner.map(worker_functions.sleep, chunks())) as results:
        async for _ in results:
            yielded += 1

    assert runner.slots == WORKERS
    assert yielded == 20
    assert most == 2 * WORKERS


@shared
async def test_what_work_raises_is_raised_and_not_tried_again(
    runner: Runner, tmp_path: Path
) -> None:
    """An error in the work is the caller's business, after a single try."""
    path = tmp_path / "notes"

    with pytest.raises(LookupError, match="no such luck"):
        async with aclosing(runner.map(worker_functions.fail, each([path]))) as results:
            await anext(results)

    assert path.read_text().splitlines() == ["here"]


@shared
async def test_what_the_source_raises_is_raised(runner: Runner) -> None:
    """An error in the chunks ends the run, and leaves the runner usable."""

    async def chunks() -> AsyncIterator[float]:
        yield 0.1
        message = "the input has ended early"
        raise EOFError(message)

    with pytest.raises(EOFError):
        async with aclosing(runner.map(worker_functions.sleep, chunks())) as results:
            await anext(results)
    async with aclosing(runner.map(worker_functions.sleep, each([0.0]))) as results:
        assert [done.result async for done in results] == [0.0]


@shared
async def test_cancelling_leaves_nothing_under_way(
    runner: Runner, tmp_path: Path
) -> None:
    """A cancelled caller is let go before its chunk ends; no task of it is left."""
    before = asyncio.all_tasks()
    begun = asyncio.Event()
    path = tmp_path / "the caller is gone"

    async def chunks() -> AsyncIterator[Path]:
        yield path
        begun.set()

    async def follow() -> None:
        async with aclosing(runner.map(worker_functions.wait_for, chunks())) as results:
            await anext(results)

    caller = asyncio.create_task(follow())
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    path.touch()
    assert not any(
        "bounded_map" in repr(task) or "do()" in repr(task)
        for task in asyncio.all_tasks() - before
    )


@shared
async def test_a_lost_worker_s_chunk_is_done_again(
    runner: Runner, tmp_path: Path
) -> None:
    """SIGKILL in the middle of a chunk: it is done again, which is told, once."""
    paths = [tmp_path / str(number) for number in range(4)]

    async with aclosing(
        runner.map(worker_functions.die_once, each(paths[:1]))
    ) as results:
        assert [done async for done in results] == [Done(4, again=True)]
    for path in paths[1:]:
        path.write_text("here\n")  # no first call any more: nobody dies
    async with aclosing(
        runner.map(worker_functions.die_once, each(paths[1:]))
    ) as results:
        assert [done async for done in results] == [Done(3, again=False)] * 3


# -- their lives ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "runner",
    [
        pytest.param(LocalRunner(1), id="local"),
        pytest.param(
            DaskRunner("local:1"),
            id="dask",
            marks=[pytest.mark.slow, pytest.mark.timeout(400)],  # four workers are born
        ),
    ],
)
async def test_a_chunk_that_kills_its_process_is_given_up(
    runner: Runner, tmp_path: Path
) -> None:
    """Three losses are borne; a fourth is an error, and not an endless loop.

    Dask counts a worker that is lost before it has begun the chunk, too.
    """
    path = tmp_path / "notes"
    before = helpers(psutil.Process())

    async with runner:
        results = runner.map(worker_functions.die, each([path]))
        with pytest.raises(WorkersLostError, match="once too often"):
            await anext(results)

    begun = len(path.read_text().splitlines())
    assert begun == 4 if isinstance(runner, LocalRunner) else 1 <= begun <= 4
    assert set(helpers(psutil.Process())) <= set(before)


async def test_a_process_that_is_lost_before_any_chunk_is_an_error() -> None:
    """What is asked of every worker is not asked again, and no traceback of a pool."""
    async with LocalRunner(1) as runner:
        with pytest.raises(WorkersLostError, match="before the work began"):
            await runner.everywhere(os._exit, 1)


@pytest.mark.parametrize("runner", [LocalRunner(1), DaskRunner("local:1")], ids=KINDS)
async def test_leaving_on_an_error_kills_what_is_under_way(runner: Runner) -> None:
    """Nobody waits for a chunk of an hour, and no process outlives the runner."""
    here = psutil.Process()
    before = set(helpers(here))

    async def leave() -> None:
        async with (
            runner,
            aclosing(runner.map(worker_functions.sleep, each([3600.0]))) as hour,
        ):
            async with asyncio.timeout(0.5):
                await anext(hour)

    with pytest.raises(TimeoutError):
        await leave()

    assert set(helpers(here)) <= before


async def test_local_dask_is_heard_on_loopback_only() -> None:
    """Not a socket of the cluster can be reached from another machine."""
    here = psutil.Process()
    async with DaskRunner("local:1"):
        sockets = [
            connection.laddr.ip
            for process in [here, *here.children(recursive=True)]
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]

    assert sockets
    assert set(sockets) <= {"127.0.0.1", "::1"}


async def test_workers_take_the_environment_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the environment holds as the cluster starts, its workers can read."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", "sk_test_workers")

    async with DaskRunner("local:1") as runner:
        names = each(["CONVERGEGATE_API_KEY"])
        async with aclosing(runner.map(worker_functions.environment, names)) as results:
            assert [done.result async for done in results] == ["sk_test_workers"]


@pytest.mark.parametrize(
    "address",
    [
        *("", "local", "local:", "local:0", "local:-1", "local:x", "host:8786"),
        *("tcp:host", "tcp://", "tcp://host", "tcp://host:", "tls://host:port"),
        *("tcp://host:99999", "tcp://host:0", "tcp://[::1", "tcp://host:8786/"),
        *("tcp://user:word@host:8786", "http://host:8786", "tcp://host:8786?a"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Before anything is imported or started."""
    with pytest.raises(ConfigurationError, match="tls://host:port or local:WORKERS"):
        DaskRunner(address)


async def test_a_scheduler_that_does_not_answer_is_reported() -> None:
    """The address is named; the error is of the setup, not of the network."""
    with pytest.raises(ConfigurationError, match=r"answers at tcp://127\.0\.0\.1:1"):
        async with DaskRunner("tcp://127.0.0.1:1", patience=0.5):
            pass


async def test_dask_is_entered_once_at_a_time() -> None:
    """A second cluster would be nobody's to close; the first one is as it was."""
    here = psutil.Process()
    before = set(helpers(here))

    runner = DaskRunner("local:1")
    async with runner:
        with pytest.raises(ConfigurationError, match="is entered already"):
            await runner.__aenter__()
        names = each(["PATH"])
        async with aclosing(runner.map(worker_functions.environment, names)) as results:
            assert [done.again async for done in results] == [False]
    left = set(helpers(here)) - before
    async with runner:
        assert runner.slots == 1

    assert left == set()


async def test_dask_wants_to_be_entered() -> None:
    """A map outside of `async with` has no cluster to go to."""
    with pytest.raises(ConfigurationError, match="async with"):
        DaskRunner("local:1").map(worker_functions.sleep, each([0.0]))


@pytest.mark.parametrize("runner_code", ["LocalRunner(1)", "DaskRunner('local:1')"])
def test_workers_die_with_their_parent(runner_code: str) -> None:
    """SIGKILL of the program that runs a job leaves no process of it behind."""
    program = textwrap.dedent(f"""
        import asyncio, worker_functions
        from convergegate_async.runners import DaskRunner, LocalRunner

        async def once(seconds):
            yield seconds

        async def main():
            async with {runner_code} as runner:
                async for _ in runner.map(worker_functions.sleep, once(0.0)):
                    print("ready", flush=True)
                async for _ in runner.map(worker_functions.sleep, once(3600.0)):
                    pass

        if __name__ == "__main__":
            asyncio.run(main())
    """)
    with started(
        *(sys.executable, "-c", program),
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(worker_functions.__file__).parent)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        workers = helpers(psutil.Process(process.pid))
        process.send_signal(signal.SIGKILL)

    assert workers
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive


@pytest.mark.parametrize("workers", [0, -1, 2.5, "2", None, True])
def test_a_local_runner_has_workers(workers: Any) -> None:  # noqa: ANN401 -- no number either
    """What is no number of processes is refused by name."""
    with pytest.raises(ConfigurationError, match="workers"):
        LocalRunner(workers)


async def test_a_local_runner_is_used_once() -> None:
    """Its processes are gone after that, and it says so."""
    runner = LocalRunner(1)
    async with runner:
        pass

    with pytest.raises(ConfigurationError, match="used once"):
        await runner.__aenter__()
