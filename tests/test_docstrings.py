"""Docstrings show how each class is used, by an example that runs."""

import asyncio
import enum
import inspect
import re
import textwrap
import typing
from collections.abc import AsyncIterator, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from orders import numbered_orders, table_of
from public_api import MODULES, NAMES, exported, is_ours, named
from redis.asyncio import Redis
from starlette.applications import Starlette

from convergegate_async import (
    CheckoutSessionFactory,
    WebhookEvent,
    WebhookVerifier,
    confirm,
)
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Problem,
    ResumeRules,
    Row,
    TableOptions,
    read_table,
)
from convergegate_async.contrib.starlette import lifespan, webhook_route
from convergegate_async.load import Profile, Target
from convergegate_async.sandbox import Delivery
from convergegate_async.testing import ThreadedSandbox, checkout_request, signed_event
from convergegate_async.webhooks import WebhookReceiver

# -- which have one ------------------------------------------------------------------

GIVEN: AbstractSet[str] = {
    # what calls, jobs and webhooks came to
    *("AttemptInfo", "CallEnded", "Problem", "SessionCount", "Unused", "WebhookEvent"),
    # what a job writes into its journal, and finds there
    *("Intent", "JobHeader", "JournalRow", "RefundResult", "RowResult"),
    "SessionFacts",
    # what a load test has measured
    *("Effort", "Interval", "Iteration", "LoadReport", "Measured", "Recorder", "Times"),
}
"""Taken by functions of ours, and made by ours: nobody else constructs them."""


def public() -> Iterator[tuple[str, object]]:
    """Yield the classes and functions that are public, with where they are."""
    for module in MODULES:
        for _, thing in exported(module):
            if is_ours(thing) and (inspect.isclass(thing) or inspect.isroutine(thing)):
                yield module, thing


PUBLIC = {thing for _, thing in public() if inspect.isclass(thing)}


def is_only_named(kind: type) -> bool:
    """Tell whether nobody constructs it, or in a way that every class of its kind has.

    Members of enums are written as they are, exceptions are caught, protocols are
    satisfied by classes of the user's, and typed dicts are keyword arguments.
    """
    return (
        issubclass(kind, enum.Enum | BaseException)
        or getattr(kind, "_is_protocol", False)
        or typing.is_typeddict(kind)
    )


def taken_by(thing: object) -> Iterator[type]:
    """Yield the classes of ours that a function, or a class's functions, are given."""
    members = vars(thing).items() if inspect.isclass(thing) else [("__init__", thing)]
    for name, member in members:
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function) and (name == "__init__" or name[0] != "_"):
            for parameter, hint in typing.get_type_hints(function, None, NAMES).items():
                if parameter != "return":
                    yield from named(hint)


def constructed(given: AbstractSet[str] = GIVEN) -> dict[str, type]:
    """Return the classes that users construct, by name.

    These are the public ones that have behaviour, and the records that functions of
    ours take, or such a record; all others are what functions return.

    Args:
        given: Names of those that nobody constructs, though functions take them.
    """
    waiting = [
        thing
        for _, thing in public()
        if not inspect.isclass(thing)
        or not (attrs.has(thing) or is_only_named(thing) or thing.__name__ in given)
    ]
    found: dict[str, type] = {}
    for thing in waiting:  # grows meanwhile
        if inspect.isclass(thing):
            found[thing.__name__] = thing
        waiting += {
            kind
            for kind in taken_by(thing)
            if not is_only_named(kind) and kind.__name__ not in given
            if kind in PUBLIC and kind not in waiting
        }
    return found


@pytest.mark.parametrize("name", sorted(constructed()))
def test_each_class_that_is_constructed_shows_how(name: str) -> None:
    """Who looks a class up sees a few lines of its use, and copies them."""
    examples = examples_of(constructed()[name])

    assert examples
    assert all(len(example.splitlines()) <= 5 for example in examples)


def test_nothing_is_called_given_in_vain() -> None:
    """Each of those names is of a class that would need an example otherwise."""
    assert constructed(frozenset()).keys() >= GIVEN


# -- that they run -------------------------------------------------------------------

_EXAMPLE = re.compile(r"::\n\n((?:    .*\n|\n)+)")


def examples_of(thing: object) -> list[str]:
    """Return the blocks after a double colon in a docstring."""
    found = _EXAMPLE.findall(f"{inspect.getdoc(thing)}\n")
    return [textwrap.dedent(example).strip() for example in found]


def places() -> Iterator[tuple[str, object]]:
    """Yield what may have an example: classes, their members, and functions."""
    for module, thing in public():
        yield module, thing
        if inspect.isclass(thing):
            yield from ((module, member) for member in vars(thing).values())


EXAMPLES = {
    f"{thing.__module__}.{thing.__qualname__}".partition(".")[2]: (module, examples)
    for module, thing in places()
    if inspect.isclass(thing) or inspect.isfunction(thing)
    if (examples := examples_of(thing))
}


@attrs.frozen
class Order:
    """What a shop knows of it."""

    session_id: str


class Shop:
    """One that knows nothing of event loops."""

    def __init__(self, api_key: str, base_url: str) -> None:
        self._factory = CheckoutSessionFactory(api_key, base_url)

    def order(self) -> Order:
        """Open a session, and block until it is there."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._create()).result()

    async def _create(self) -> Order:
        async with self._factory as checkout:
            return Order((await checkout.create(checkout_request())).id)


@attrs.frozen
class Client:
    """Posts as a framework's test client, to a shop that verifies."""

    verifier: WebhookVerifier

    def post(self, _: str, content: bytes, headers: Mapping[str, str]) -> None:
        """Verify what is posted."""
        self.verifier.verify(content, headers)


@pytest.fixture
def gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ThreadedSandbox]:
    """A gateway that the environment names, and a folder that files are written to."""
    monkeypatch.chdir(tmp_path)
    with ThreadedSandbox() as sandbox:
        monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
        monkeypatch.setenv("CONVERGEGATE_BASE_URL", sandbox.base_url)
        yield sandbox


@pytest.fixture
def rows(gateway: ThreadedSandbox) -> list[Row | Problem]:  # noqa: ARG001 -- its folder
    """Those of the files that are there."""
    table = table_of(numbered_orders(3))
    Path("orders.csv").write_text(table)
    Path("exported.csv").write_text(table.replace("id,amount", "order,total", 1))
    Path("refunds.csv").write_text("id,amount\norder-1,499\n")
    Path("jobs").mkdir()
    return list(read_table("orders.csv", TableOptions()))


@pytest.fixture
async def known(
    gateway: ThreadedSandbox, rows: list[Row | Problem]
) -> AsyncIterator[dict[str, object]]:
    """What examples name and do not make, beside the public names."""

    async def act(event: WebhookEvent, checkout: CheckoutSessionFactory) -> None:
        await confirm(event, checkout)

    async def delivered(event: str) -> Delivery:
        return await asyncio.to_thread(gateway.delivered, event)

    request = checkout_request(notification_url="https://shop.example/webhooks")
    rules = ResumeRules(keys_honoured=True)
    async with gateway.factory() as checkout:
        session = await checkout.create(request)
        gateway.pay(session.id)
        march = JobFolder("march", Path("jobs"))
        async with await Job.begin(march, JobPlan(rules=rules), checkout):
            """It is there, and nobody works on it."""
    event = signed_event("session.completed", session_id=session.id)
    verifier = WebhookVerifier(gateway.api_key)
    receiver = WebhookReceiver(verifier, act)
    app = Starlette(
        routes=[webhook_route("/webhooks", receiver)],
        lifespan=lifespan(CheckoutSessionFactory.from_env, receiver),
    )
    async with (
        gateway.factory() as checkout,
        await Job.begin(JobFolder("april"), JobPlan(rules=rules), checkout) as job,
    ):
        yield {
            "Decimal": Decimal,
            "Path": Path,
            "Redis": Redis,
            "Shop": Shop,
            "act": act,
            "api_key": gateway.api_key,
            "app": app,
            "base_url": gateway.base_url,
            "body": event.body,
            "checkout": checkout,
            "client": Client(verifier),
            "database": None,
            "delivered": delivered,
            "factory": checkout,
            "folder": JobFolder("may"),
            "get_asgi_application": lambda: app,
            "headers": event.headers,
            "job": job,
            "key": gateway.api_key,
            "plan": JobPlan(source="orders.csv"),
            "profile": Profile.constant(rate=20, duration=0.2),
            "receiver": receiver,
            "request": request,
            "rows": rows,
            "sandbox": gateway,
            "session": session,
            "target": Target(base_url=gateway.base_url, api_key=gateway.api_key),
            "url": gateway.base_url,
            "verifier": verifier,
        }


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_runs(name: str, known: dict[str, object]) -> None:
    """Who copies it finds that it holds, and that each of its names is to be had."""
    module, examples = EXAMPLES[name]
    names: dict[str, Any] = dict(pair for each in MODULES for pair in exported(each))
    names |= exported(module)
    # A function may await and yield; what it names and then assigns to, it is given.
    body = textwrap.indent("\n".join(examples), "    ")
    exec(f"async def example({', '.join(known)}):\n{body}", names)  # noqa: S102 -- our own

    running = names["example"](**known)
    if inspect.isasyncgen(running):
        async for _ in running:
            ...
    else:
        await running
