"""From open to close: who may use a factory when, and what closing leaves behind."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from matrix import AMPLE
from scripted import (
    DONE,
    REFUSED,
    ScriptedTransport,
    StillRuntime,
    scripted_factory,
)

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConfigurationError,
    InvalidFieldError,
    NotSentError,
    OutcomeUnknownError,
    RefundRequest,
)
from convergegate_async.sandbox import Fault, FaultKind, Sandbox


async def has_seen(sandbox: Sandbox, **operations: int) -> None:
    """Wait until so many requests for each operation have arrived."""
    while any(sandbox.count(name) < times for name, times in operations.items()):  # noqa: ASYNC110 -- the wire has no event
        await asyncio.sleep(0.005)


def build() -> CheckoutSessionFactory:
    """Return an unopened factory of nowhere."""
    return CheckoutSessionFactory("sk_test_x", "https://gateway.example")


async def test_a_closed_factory_says_so(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A call after `aclose` is a `ConfigurationError`, and nothing is sent."""
    async with sandbox.factory() as checkout:
        pass

    with pytest.raises(ConfigurationError, match="closed"):
        await checkout.create(order)

    assert sandbox.count("create") == 0


async def test_a_factory_is_opened_once(sandbox: Sandbox) -> None:
    """Neither an open nor a closed factory can be opened again."""
    async with sandbox.factory() as checkout:
        with pytest.raises(ConfigurationError, match="opened once"):
            await checkout.open()

    with pytest.raises(ConfigurationError, match="opened once"):
        await checkout.open()


async def test_an_opening_that_is_cancelled_has_opened_nothing(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """It can be opened again, as if nothing had been."""
    checkout = sandbox.factory()
    opening = asyncio.create_task(checkout.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert "unopened" in repr(checkout)
    async with checkout:
        await checkout.create(order)


async def test_of_two_that_open_at_once_the_first_does(sandbox: Sandbox) -> None:
    """The other is refused, as one that came later would be."""
    checkout = sandbox.factory()

    first, second = await asyncio.gather(
        checkout.open(), checkout.open(), return_exceptions=True
    )
    await checkout.aclose()

    assert first is checkout
    assert isinstance(second, ConfigurationError)


FIRST_CALL = """
import asyncio, sys
from convergegate_async import CheckoutSessionFactory, CheckoutSessionRequest

async def first() -> None:
    order = CheckoutSessionRequest(
        amount=4999, currency="PLN", customer_email="a@shop.example",
        customer_firstname="A", customer_lastname="B", customer_phone="+48123456789",
        success_url="https://shop.example/",
    )
    async with CheckoutSessionFactory("sk_test_x", sys.argv[1]) as checkout:
        ready = set(sys.modules)
        await checkout.create(order)
        print(*set(sys.modules) - ready)

asyncio.run(first())
"""


async def test_the_first_call_imports_nothing(sandbox: Sandbox) -> None:
    """Once it is open, neither a call nor a repeat of one waits for an import."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, times=1))

    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FIRST_CALL, sandbox.base_url, stdout=PIPE
    )
    printed, _ = await program.communicate()

    assert sandbox.count("create") == 2
    assert printed.split() == []


async def test_closing_twice_or_unopened_is_harmless(sandbox: Sandbox) -> None:
    """`aclose` may be called at any time, any number of times."""
    checkout = await sandbox.factory().open()

    assert await checkout.aclose() == ()
    assert await checkout.aclose() == ()
    assert await build().aclose() == ()


async def test_an_own_connector_is_used_and_left_open(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Closing the factory does not close a connector that it was handed."""
    connector = aiohttp.TCPConnector(limit=5)
    async with sandbox.factory(connector=connector) as checkout:
        await checkout.create(order)

    assert not connector.closed
    async with sandbox.factory(connector=connector) as checkout:
        await checkout.create(order)
    await connector.close()
    assert sandbox.count("create") == 2


@pytest.mark.parametrize("call", ["create", "retrieve", "pay", "refund"])
async def test_a_connector_that_its_owner_closed_sends_nothing(
    call: str, order: CheckoutSessionRequest
) -> None:
    """A call over it is not sent, which is certain, and it is not tried again."""
    connector = aiohttp.TCPConnector()
    async with CheckoutSessionFactory(
        "sk_test_x", "http://127.0.0.1:9", connector=connector
    ) as checkout:
        await connector.close()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "create": lambda: checkout.create(order),
            "retrieve": lambda: checkout.retrieve("abc"),
            "pay": lambda: checkout.pay("abc", "123456"),
            "refund": lambda: checkout.refund(RefundRequest(session_id="a", full=True)),
        }
        with pytest.raises(NotSentError, match="pool was closed") as caught:
            await calls[call]()

    assert (caught.value.failure, caught.value.attempts) == ("closed", 1)


async def test_a_connector_that_cannot_be_used_is_told_at_the_start() -> None:
    """One that is closed, or another event loop's, opens no factory."""

    async def other() -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector()

    def elsewhere() -> aiohttp.TCPConnector:
        with asyncio.Runner() as runner:
            return runner.run(other())

    closed, foreign = await other(), await asyncio.to_thread(elsewhere)
    await closed.close()
    for connector, problem in ((closed, "is closed"), (foreign, "another event loop")):
        checkout = CheckoutSessionFactory(
            "sk_test_x", "http://127.0.0.1:9", connector=connector
        )
        with pytest.raises(ConfigurationError, match=problem):
            await checkout.open()
        assert "unopened" in repr(checkout)


async def test_closing_lets_running_calls_finish(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """`aclose` waits for a call under way, and leaves nothing unknown."""
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.2))
    checkout = await sandbox.factory().open()
    call = asyncio.create_task(checkout.create(order))
    await asyncio.sleep(0.05)

    left = await checkout.aclose(drain=AMPLE)

    assert left == ()
    assert (await call).id in sandbox.book.sessions


async def test_closing_tells_what_it_cut(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Calls that outlast the drain are cut, and their keys handed back."""
    sandbox.faults.add(Fault(FaultKind.STALL))
    checkout = await sandbox.factory().open()
    calls = [
        asyncio.create_task(checkout.create(order, idempotency_key=f"order-{n}"))
        for n in range(3)
    ]
    looking = asyncio.create_task(checkout.retrieve("x"))
    await has_seen(sandbox, create=3, retrieve=1)

    left = await checkout.aclose(drain=0.1)

    assert sorted(left) == ["order-0", "order-1", "order-2"]
    for error in await asyncio.gather(*calls, looking, return_exceptions=True):
        assert isinstance(error, OutcomeUnknownError)


async def test_leaving_on_an_error_does_not_wait(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """An exception inside `async with` is not held up by running calls."""
    sandbox.faults.add(Fault(FaultKind.STALL))
    calls: list[asyncio.Task[CheckoutSession]] = []

    async def serve() -> None:
        async with sandbox.factory() as checkout:
            calls.append(asyncio.create_task(checkout.create(order)))
            await has_seen(sandbox, create=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await serve()

    with pytest.raises(OutcomeUnknownError, match="closed"):
        await calls[0]


async def test_the_environment_names_the_gateway(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """`from_env` reads both variables, from the mapping that it is given."""
    environ = {
        "CONVERGEGATE_API_KEY": sandbox.api_key,
        "CONVERGEGATE_BASE_URL": sandbox.base_url,
    }

    async with CheckoutSessionFactory.from_env(environ) as checkout:
        await checkout.create(order)

    assert sandbox.count("create") == 1


def test_a_missing_variable_is_named() -> None:
    """`from_env` says which variable to set."""
    with pytest.raises(ConfigurationError, match="CONVERGEGATE_BASE_URL"):
        CheckoutSessionFactory.from_env({"CONVERGEGATE_API_KEY": "sk_test_x"})


def test_ssl_goes_with_the_connector() -> None:
    """An own connector and *ssl* contradict each other."""
    with pytest.raises(ConfigurationError, match="connector"):
        CheckoutSessionFactory(
            "sk_test_x",
            "https://gateway.example",
            connector=object(),  # type: ignore[arg-type]  # never looked at
            ssl=object(),  # type: ignore[arg-type]  # never looked at
        )


@pytest.mark.parametrize(
    "proxy",
    ["proxy:3128", "http://", "http://:3128", "http://.", "http://proxy:99999", "", 1],
)
def test_a_proxy_has_an_address(proxy: str) -> None:
    """A proxy that is no URL, or names no host, is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="proxy"):
        CheckoutSessionFactory("sk_test_x", "https://gateway.example", proxy=proxy)


async def test_a_factory_shows_its_state_and_no_key() -> None:
    """The repr tells state and address."""
    checkout = scripted_factory(ScriptedTransport(DONE))

    assert repr(checkout) == (
        "<CheckoutSessionFactory unopened, https://gateway.example>"
    )


async def test_a_cancelled_closing_closes_all_the_same(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Whoever loses patience with `aclose` leaves nothing open behind."""
    sandbox.faults.add(Fault(FaultKind.STALL))
    checkout = await sandbox.factory().open()
    call = asyncio.create_task(checkout.create(order, idempotency_key="order-1"))
    await has_seen(sandbox, create=1)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(checkout.aclose(drain=AMPLE), 0.1)

    with pytest.raises(OutcomeUnknownError):
        await call
    assert await checkout.aclose() == ("order-1",)


async def test_closing_ends_however_often_it_is_cancelled(
    sandbox: Sandbox, order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled at every turn of the loop, it leaves no connection, and tells keys."""
    checkout = await sandbox.factory().open()
    session = await checkout.create(order)
    sandbox.faults.add(Fault(FaultKind.STALL, operation="create"))
    call = asyncio.create_task(checkout.create(order, idempotency_key="order-1"))
    await has_seen(sandbox, create=2)
    await checkout.retrieve(session.id)  # its connection is idle
    closing = asyncio.create_task(checkout.aclose(drain=AMPLE))
    await asyncio.sleep(0)

    while not closing.done():
        closing.cancel()
        await asyncio.sleep(0)

    assert closing.cancelled()
    assert checkout.stats().connections == 0
    assert "idempotency keys: order-1" in caplog.text
    assert await checkout.aclose() == ("order-1",)
    with pytest.raises(OutcomeUnknownError):
        await call


async def test_a_second_closing_waits_for_the_first(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Both callers of `aclose` learn the same keys, at the same end."""
    sandbox.faults.add(Fault(FaultKind.STALL))
    checkout = await sandbox.factory().open()
    call = asyncio.create_task(checkout.create(order, idempotency_key="order-1"))
    await has_seen(sandbox, create=1)

    left = await asyncio.gather(checkout.aclose(drain=0.1), checkout.aclose())

    assert list(left) == [("order-1",)] * 2
    with pytest.raises(OutcomeUnknownError):
        await call


async def test_closing_tells_what_ended_in_doubt_while_it_drained(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A call that fails or is cancelled during the drain is among the keys."""
    sandbox.faults.add(Fault(FaultKind.STALL))
    checkout = await sandbox.factory().open()
    calls = [
        asyncio.create_task(
            checkout.create(order, idempotency_key=f"order-{n}", timeout=2.5)
        )
        for n in range(2)
    ]
    await has_seen(sandbox, create=2)
    closing = asyncio.create_task(checkout.aclose(drain=AMPLE))
    await asyncio.sleep(0.05)
    calls[0].cancel()

    left = await closing

    assert sorted(left) == ["order-0", "order-1"]
    await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("name", ["retry", "timeouts", "pool"])
def test_a_policy_of_the_wrong_kind_is_named(name: str) -> None:
    """A bare number in the place of a policy is a configuration error."""
    with pytest.raises(ConfigurationError, match=name):
        CheckoutSessionFactory(
            "sk_test_x",
            "https://gateway.example",
            **{name: 30},  # type: ignore[arg-type]  # the wrong kind is the point
        )


@pytest.mark.parametrize("call", ["create", "refund"])
async def test_a_request_of_the_wrong_kind_is_named(call: str) -> None:
    """A dict in the place of a request is refused before the wire."""
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="request must be a"):
            await getattr(checkout, call)({"amount": 1})

    assert transport.sent == []


async def test_a_cancelled_call_that_never_left_is_not_warned_of(
    order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """In the pause after a refused connection nothing can have been done."""
    pausing = asyncio.Event()

    async def sleep(_: float, interrupt: asyncio.Event) -> None:
        pausing.set()
        await interrupt.wait()

    runtime = StillRuntime().runtime(sleep=sleep)
    async with scripted_factory(
        ScriptedTransport(REFUSED), runtime=runtime
    ) as checkout:
        call = asyncio.create_task(checkout.create(order))
        await pausing.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert caplog.records == []
