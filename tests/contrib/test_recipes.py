"""The README's recipes for frameworks that have no module: real apps, real servers."""

import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from readme import block

from convergegate_async import CheckoutSessionRequest, NotFoundError
from convergegate_async.sandbox import Sandbox
from convergegate_async.webhooks import sign

if TYPE_CHECKING:
    from tests.contrib.conftest import Visitor

MIB = 2**20

Delivery = tuple[bytes, list[tuple[str, str]]]
RunAsgi = Callable[
    [Callable[..., Awaitable[None]]], AbstractAsyncContextManager["Visitor"]
]


RECIPES = [
    pytest.param("import falcon.asgi", id="falcon"),
    pytest.param(
        "from sanic import",
        id="sanic",
        marks=pytest.mark.skipif(
            find_spec("sanic") is None,
            reason="sanic 25 is not for the multidict 7 that is installed",
        ),
    ),
    pytest.param("from blacksheep import", id="blacksheep"),
]


@pytest.fixture(params=RECIPES)
async def visitor(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    run_asgi: RunAsgi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator["Visitor"]:
    """A visitor to the app of each recipe, served by uvicorn."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    monkeypatch.setenv("CONVERGEGATE_BASE_URL", sandbox.base_url)
    (tmp_path / "shop.py").write_text(block("# shop.py"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.setenv("APP_DEFAULT_ROUTER", "0")  # BlackSheep: one for each app
    if "sanic" in request.param:
        import_module("sanic").Sanic.test_mode = True  # an app of a name, again
    names: dict[str, Any] = {}
    exec(block(request.param), names)  # noqa: S102 -- our own README
    async with run_asgi(names["app"]) as visitor:
        yield visitor
    del sys.modules["shop"]


@pytest.fixture
async def session(sandbox: Sandbox, order: CheckoutSessionRequest) -> str:
    """The id of a session that the gateway knows."""
    async with sandbox.factory() as checkout:
        return (await checkout.create(order)).id


def event(sandbox: Sandbox, session_id: str, size: int = 0) -> Delivery:
    """Return body and headers of an event, of *size* bytes at least."""
    payload = {"id": "evt_1", "type": "x", "data": {"session_id": session_id}}
    body = json.dumps(payload).encode().ljust(size)
    headers = sign(body, secret=sandbox.api_key, timestamp=int(time.time()))
    return body, [*headers.items()]


async def test_a_recipe_acts_on_an_event_once(
    visitor: "Visitor", sandbox: Sandbox, session: str
) -> None:
    """The handler asks the gateway by the app's factory, and runs no second time."""
    delivery = event(sandbox, session)

    statuses = [await visitor.deliver(*delivery, "/webhooks") for _ in range(2)]

    assert statuses == [200, 200]
    assert sandbox.count("retrieve") == 1


async def test_a_recipe_has_the_framework_tell_of_a_failure(
    visitor: "Visitor", sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own 500, its own log with the handler's error, and the event comes again."""
    delivery = event(sandbox, "nobody-knows-it")

    statuses = [await visitor.deliver(*delivery, "/webhooks") for _ in range(2)]

    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    caught = [error.__cause__ for error in logged if error is not None]
    assert statuses == [500, 500]
    assert sandbox.count("retrieve") == 2
    assert [type(error) for error in caught if error] == [NotFoundError, NotFoundError]


async def test_a_recipe_refuses_what_it_must(
    visitor: "Visitor", sandbox: Sandbox, session: str
) -> None:
    """A changed body, a second signature, no body at all, and more than 1 MiB."""
    body, headers = event(sandbox, session)

    statuses = [
        await visitor.deliver(body + b" ", headers, "/webhooks"),
        await visitor.deliver(
            body, [("Sec-Signature", "0" * 64), *headers], "/webhooks"
        ),
        await visitor.deliver(b"", headers, "/webhooks"),
        await visitor.deliver(*event(sandbox, session, MIB + 1), "/webhooks"),
    ]

    assert statuses == [400, 400, 400, 413]
    assert sandbox.count("retrieve") == 0


async def test_a_recipe_takes_a_body_of_a_mebibyte(
    visitor: "Visitor", sandbox: Sandbox, session: str
) -> None:
    """What the receiver takes, no framework's own limit refuses."""
    status = await visitor.deliver(*event(sandbox, session, MIB), "/webhooks")

    assert status == 200
