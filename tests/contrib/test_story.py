"""The same story in every framework: sell, hear of the payment, close."""

import asyncio
import gc
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from django.http import Http404
from fastapi import HTTPException as FastAPIHTTPException
from litestar.exceptions import HTTPException as LitestarHTTPException
from matrix import AMPLE, REST
from quart import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from convergegate_async import CheckoutSessionRequest
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop, Visitor

Open = Callable[[], AbstractAsyncContextManager["Visitor"]]

MIB = 2**20

CUT = (
    "create was cancelled under way and may have been done "
    "under the idempotency key order-7"
)

# What frameworks do with a handler whose client has gone.
CANCELLING = ["aiohttp-cancelling", "django", "quart"]
FINISHING = ["aiohttp", "fastapi", "litestar", "starlette"]

# Django has read a body to its end before it asks a view.
STREAMING = sorted({*CANCELLING, *FINISHING} - {"django"})


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(AMPLE):
        while not true():  # noqa: ASYNC110 -- there is nothing to wait on
            await asyncio.sleep(0.01)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__


def test_no_framework_is_imported_before_it_is_asked_for() -> None:
    """The package of the adapters needs none of the frameworks."""
    program = (
        "import sys, convergegate_async.contrib;"
        "assert not {'aiohttp', 'django', 'fastapi', 'litestar', 'quart', 'redis',"
        " 'starlette'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 -- our own program

    assert done.returncode == 0


# -- life ------------------------------------------------------------------------------


async def test_the_app_has_one_factory(open_shop: Open, shop: "Shop") -> None:
    """The factory opens with the app and closes with it, and there is no other."""
    async with open_shop() as visitor:
        await visitor.order("order-1")
        await visitor.order("order-2")

        (checkout,) = shop.built
        assert "open," in repr(checkout)

    assert "closed," in repr(checkout)


async def test_nothing_is_left_of_a_closed_app(open_shop: Open, shop: "Shop") -> None:
    """No task outlives the app, and no socket is left to the garbage collector."""
    before = asyncio.all_tasks()
    async with open_shop() as visitor:
        await visitor.order("order-1")
        await visitor.deliver(*shop.event("evt_1"))

    await until(lambda: asyncio.all_tasks() <= before)
    gc.collect()


async def test_shutdown_drains_the_factory(
    open_shop: Open, shop: "Shop", sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A call that the app made in the background is finished, not cut."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.3))
    async with open_shop():
        call = asyncio.create_task(shop.built[0].create(order))
        await until(lambda: sandbox.count("create") == 1)

    assert (await call).id in sandbox.book.sessions


async def test_shutdown_waits_for_events_that_were_answered_first(
    open_shop: Open, shop: "Shop"
) -> None:
    """The receiver is closed with the app: what it answered to, it acts upon."""
    shop.answers_first = True
    shop.may_act.clear()
    async with open_shop() as visitor:
        assert await visitor.deliver(*shop.event("evt_1")) == 200
        assert shop.heard == []
        asyncio.get_running_loop().call_later(REST, shop.may_act.set)

    assert shop.heard == ["evt_1"]


# -- calls -----------------------------------------------------------------------------


async def test_a_handler_creates_a_session(open_shop: Open, sandbox: Sandbox) -> None:
    """A handler that asks for the factory makes its calls by it."""
    async with open_shop() as visitor:
        status, text = await visitor.order("order-1")

    assert status == 200
    assert [text.strip('"')] == list(sandbox.book.sessions)
    assert sandbox.count("create") == 1


@pytest.mark.parametrize("open_shop", CANCELLING, indirect=True)
async def test_a_browser_that_leaves_cuts_the_call(
    open_shop: Open, sandbox: Sandbox, shop: "Shop", caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names the key, nothing is left, and the key can be used again."""
    sandbox.faults.add(Fault(FaultKind.STALL, operation="create", times=1))
    async with open_shop() as visitor:
        before = asyncio.all_tasks()
        _, writer = await visitor.start("POST /orders/order-7 HTTP/1.1")
        await until(lambda: sandbox.count("create") == 1)
        writer.close()

        await until(lambda: asyncio.all_tasks() <= before)

        assert shop.sold == []
        assert [
            record.getMessage()
            for record in caplog.records
            if record.name == "convergegate_async" and record.levelno == logging.WARNING
        ] == [CUT]
        assert await visitor.order("order-7") == (200, *sandbox.book.sessions)


@pytest.mark.parametrize("open_shop", FINISHING, indirect=True)
async def test_a_browser_that_leaves_does_not_stop_the_call(
    open_shop: Open, sandbox: Sandbox, shop: "Shop", caplog: pytest.LogCaptureFixture
) -> None:
    """The call is finished in the background, and the key can be used again."""
    shop.patience = 0.3
    sandbox.faults.add(Fault(FaultKind.STALL, operation="create", times=1))
    async with open_shop() as visitor:
        _, writer = await visitor.start("POST /orders/order-7 HTTP/1.1")
        await until(lambda: sandbox.count("create") == 1)
        writer.close()

        await until(lambda: bool(shop.sold))

        assert "cancelled" not in caplog.text
        await visitor.order("order-7")
    assert shop.sold == 2 * list(sandbox.book.sessions)


# -- webhooks --------------------------------------------------------------------------


async def test_a_delivery_is_acted_upon_once(open_shop: Open, shop: "Shop") -> None:
    """The second delivery of an event is taken, and does nothing."""
    async with open_shop() as visitor:
        first = await visitor.deliver(*shop.event("evt_1"))
        second = await visitor.deliver(*shop.event("evt_1"))

    assert (first, second) == (200, 200)
    assert shop.heard == ["evt_1"]


async def test_a_failed_delivery_is_acted_upon_again(
    open_shop: Open, shop: "Shop"
) -> None:
    """A handler that raises answers 500, and runs again at the next delivery."""
    shop.failures = 1
    async with open_shop() as visitor:
        first = await visitor.deliver(*shop.event("evt_1"))
        second = await visitor.deliver(*shop.event("evt_1"))

    assert (first, second) == (500, 200)
    assert shop.heard == ["evt_1"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RuntimeError("the shop is on fire"), id="bug"),
        pytest.param(TimeoutError("the shop is on fire"), id="timeout"),
        pytest.param(ConnectionResetError("the shop is on fire"), id="connection"),
    ],
)
async def test_the_framework_tells_why_an_event_was_not_handled(
    open_shop: Open,
    shop: "Shop",
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """Its own 500, and its own log or hook, has the handler's error with its place."""
    shop.failures, shop.error = 1, error
    async with open_shop() as visitor:
        status = await visitor.deliver(*shop.event("evt_1"))

    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    caught = [cause for top in (*logged, *shop.reported) for cause in causes(top)]
    ours = [
        record.getMessage()
        for record in caplog.records
        if record.name == "convergegate_async"
    ]
    assert status == 500
    assert error in caught
    assert ours == [
        f"the handler of webhook event 'evt_1' failed: {type(error).__name__}"
    ]


ANSWERS: dict[str, Exception] = {
    "starlette": StarletteHTTPException(200),
    "fastapi": FastAPIHTTPException(200),
    "aiohttp": web.HTTPOk(),
    "litestar": LitestarHTTPException(status_code=200),
    "quart": WerkzeugHTTPException(response=Response(status=200)),
    "django": Http404(),
}


@pytest.mark.parametrize("open_shop", ANSWERS, indirect=True)
async def test_a_handler_that_raises_an_answer_has_failed(
    open_shop: Open, shop: "Shop", request: pytest.FixtureRequest
) -> None:
    """An error that is an answer in this framework, a 200 perhaps, is a 500 here."""
    shop.failures, shop.error = 1, ANSWERS[request.node.callspec.params["open_shop"]]
    async with open_shop() as visitor:
        first = await visitor.deliver(*shop.event("evt_1"))
        second = await visitor.deliver(*shop.event("evt_1"))

    assert (first, second) == (500, 200)
    assert shop.heard == ["evt_1"]


async def test_a_body_that_was_changed_is_refused(
    open_shop: Open, shop: "Shop"
) -> None:
    """One byte more than was signed is a 400."""
    async with open_shop() as visitor:
        body, headers = shop.event("evt_1")
        status = await visitor.deliver(body + b" ", headers)

    assert status == 400
    assert shop.heard == []


async def test_two_signatures_are_refused(open_shop: Open, shop: "Shop") -> None:
    """No header is lost on its way: a second one beside the right one is a 400."""
    async with open_shop() as visitor:
        body, headers = shop.event("evt_1")
        status = await visitor.deliver(body, [*headers, ("Sec-Signature", "0" * 64)])

    assert status == 400
    assert shop.heard == []


async def test_a_body_of_a_mebibyte_is_taken(open_shop: Open, shop: "Shop") -> None:
    """What the receiver takes, no framework's own limit refuses."""
    async with open_shop() as visitor:
        status = await visitor.deliver(*shop.event("evt_1", size=MIB))

    assert status == 200
    assert shop.heard == ["evt_1"]


async def test_a_body_that_a_middleware_has_read_is_the_same(
    open_shop: Open, shop: "Shop"
) -> None:
    """An app that logs every body before its handlers hears of payments all the same.

    What was changed and what is too large is refused as without it.
    """
    shop.keeps_a_log = True
    async with open_shop() as visitor:
        body, headers = shop.event("evt_1")
        taken = await visitor.deliver(body, headers)
        changed = await visitor.deliver(body + b" ", headers)
        empty = await visitor.deliver(b"", headers)

    assert (taken, changed, empty) == (200, 400, 400)
    assert shop.heard == ["evt_1"]


async def test_an_app_has_as_many_routes_as_it_likes(
    open_shop: Open, shop: "Shop"
) -> None:
    """Test and live keys, with a verifier each, have a route each in the same app."""
    async with open_shop() as visitor:
        statuses = [
            await visitor.deliver(*shop.event("evt_1"), "/hooks"),
            await visitor.deliver(*shop.event("evt_2"), "/live-hooks"),
        ]

    assert statuses == [200, 200]
    assert shop.heard == ["evt_1", "evt_2"]


async def test_a_larger_body_is_refused(open_shop: Open, shop: "Shop") -> None:
    """One byte over 1 MiB is a 413, though it is validly signed."""
    async with open_shop() as visitor:
        status = await visitor.deliver(*shop.event("evt_1", size=MIB + 1))

    assert status == 413
    assert shop.heard == []


@pytest.mark.parametrize(
    "open_shop", sorted({*CANCELLING, *FINISHING} - {"django"}), indirect=True
)
async def test_a_large_body_is_not_read_to_its_end(open_shop: Open) -> None:
    """The refusal comes while most of the body is still to come."""
    async with open_shop() as visitor:
        reader, writer = await visitor.start(
            "POST /hooks HTTP/1.1", f"Content-Length: {1_000 * MIB}"
        )
        writer.write(bytes(MIB + 1))

        async with asyncio.timeout(5):
            status = await reader.readline()
        writer.close()

    assert b" 413 " in status


@pytest.mark.parametrize("open_shop", CANCELLING, indirect=True)
async def test_a_gateway_that_hangs_up_delivers_again(
    open_shop: Open, shop: "Shop"
) -> None:
    """A handler that is cancelled with its request runs at the next delivery."""
    shop.may_act.clear()
    async with open_shop() as visitor:
        before = asyncio.all_tasks()
        body, headers = shop.event("evt_1")
        _, writer = await visitor.start(
            "POST /hooks HTTP/1.1",
            f"Content-Length: {len(body)}",
            *map(": ".join, headers),
        )
        writer.write(body)
        await until(lambda: shop.began == 1)
        writer.close()
        await until(lambda: asyncio.all_tasks() <= before)

        assert shop.heard == []
        shop.may_act.set()
        assert await visitor.deliver(body, headers) == 200
    assert shop.heard == ["evt_1"]


async def test_only_post_is_routed(open_shop: Open) -> None:
    """A look at the webhook's address by GET is a 405."""
    async with open_shop() as visitor, visitor.http.get("/hooks") as answer:
        assert answer.status == 405
