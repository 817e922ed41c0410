"""By the gateway's own book: money never moves twice, whatever goes wrong."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

import attrs
import pytest
from matrix import AMPLE, until_sent

from convergegate_async import (
    CallError,
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConflictError,
    Refund,
    RefundRequest,
    RetryPolicy,
    SessionStatus,
    Timeouts,
)
from convergegate_async.errors import ApiError, NotSentError
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

QUICK = Timeouts(total=AMPLE, attempt=0.1)
FAULTS = [
    *[
        Fault(kind)
        for kind in FaultKind
        if not kind.concerns_webhooks and kind is not FaultKind.STATUS
    ],
    *[
        Fault(FaultKind.STATUS, status=status, work_done=work_done)
        for status in (409, 429, 503)
        for work_done in (False, True)
    ],
]
TRUSTS = [  # whether the gateway honours keys, and whether the SDK relies on it
    pytest.param(True, True, id="honoured-and-relied-on"),
    pytest.param(True, False, id="honoured"),
    pytest.param(False, False, id="ignored"),
]


def name(fault: Fault) -> str:
    """Return what tells *fault* from the others."""
    if fault.kind is not FaultKind.STATUS:
        return str(fault.kind)
    return f"{fault.status}{'-done' if fault.work_done else ''}"


def policy(*, keys_honoured: bool) -> RetryPolicy:
    """Return a policy that wastes no time."""
    return RetryPolicy(keys_honoured=keys_honoured, base_delay=0.001, max_attempts=4)


async def opened(
    checkout: CheckoutSessionFactory, order: CheckoutSessionRequest
) -> str:
    """Open a session, and return its id."""
    return (await checkout.create(order)).id


async def attempt_pay(
    checkout: CheckoutSessionFactory, session_id: str, timeout: float = 0.25
) -> CheckoutSession | CallError:
    """Pay, and return the answer or the error."""
    try:
        return await checkout.pay(session_id, "123456", timeout=timeout)
    except CallError as error:
        return error


async def attempt_refund(
    checkout: CheckoutSessionFactory,
    session_id: str,
    key: str | None = None,
    timeout: float = 0.5,
) -> Refund | CallError:
    """Pay a part back, and return the answer or the error."""
    request = RefundRequest(session_id=session_id, amount=1000)
    try:
        return await checkout.refund(request, idempotency_key=key, timeout=timeout)
    except CallError as error:
        return error


# -- one call -------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("honour_keys", [True, False])
@pytest.mark.parametrize("fault", FAULTS, ids=name)
async def test_a_payment_is_taken_once_at_most(
    fault: Fault,
    honour_keys: bool,
    times: int | None,
    order: CheckoutSessionRequest,
) -> None:
    """Whatever a `pay` meets, money is taken once at most, and once if it says so.

    The sandbox takes no second code for a paid session, so the codes are counted too:
    one at most arrives that was not turned away by a 429.
    """
    async with (
        Sandbox(honour_keys=honour_keys) as sandbox,
        sandbox.factory(retry=policy(keys_honoured=True), timeouts=QUICK) as checkout,
    ):
        session_id = await opened(checkout, order)
        sandbox.faults.add(attrs.evolve(fault, operation="pay", times=times))
        came = await attempt_pay(checkout, session_id)
        payments = sandbox.book.sessions[session_id].payments
        codes = [
            seen
            for seen in sandbox.seen
            if seen.operation == "pay" and seen.status != 429
        ]

    assert payments <= 1
    assert len(codes) <= 1
    if isinstance(came, CheckoutSession):
        assert (came.status, payments) == (SessionStatus.COMPLETED, 1)
    if isinstance(came, ApiError | NotSentError) and not fault.work_done:
        assert payments == 0


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize(("honour_keys", "keys_honoured"), TRUSTS)
@pytest.mark.parametrize("fault", FAULTS, ids=name)
async def test_a_refund_is_made_once_at_most(
    fault: Fault,
    honour_keys: bool,
    keys_honoured: bool,
    times: int | None,
    order: CheckoutSessionRequest,
) -> None:
    """Whatever a `refund` meets, it is made once at most, and once if it says so.

    Left out are a 409 and a 429 that come although the work was done: both promise
    that it was not, and a gateway that lies and ignores keys cannot be helped.
    """
    lies = fault.work_done and fault.status in (409, 429)
    async with (
        Sandbox(honour_keys=honour_keys) as sandbox,
        sandbox.factory(
            retry=policy(keys_honoured=keys_honoured), timeouts=QUICK
        ) as checkout,
    ):
        session_id = await opened(checkout, order)
        await checkout.pay(session_id, "123456")
        sandbox.faults.add(attrs.evolve(fault, operation="refund", times=times))
        came = await attempt_refund(checkout, session_id)
        refunds = list(sandbox.book.sessions[session_id].refunds)

    assert len(refunds) <= 1 or (lies and not honour_keys)
    if isinstance(came, Refund):
        assert refunds[-1].id == came.id
        assert len(refunds) == 1 or (lies and not honour_keys)
    if isinstance(came, ApiError | NotSentError) and not fault.work_done:
        assert refunds == []


async def test_a_gateway_that_fails_all_over_takes_no_money_twice(
    order: CheckoutSessionRequest,
) -> None:
    """Under a random mix of faults on every request, each book entry is single."""
    kinds = [FaultKind.LOST, FaultKind.RESET, FaultKind.TRUNCATE, FaultKind.GARBAGE]
    faults = [
        *[Fault(kind, probability=0.15) for kind in kinds],
        Fault(FaultKind.STATUS, probability=0.1, work_done=True),
        Fault(FaultKind.STATUS, status=429, probability=0.1),
    ]
    settings = attrs.evolve(policy(keys_honoured=True), budget=1_000)

    async def shop(checkout: CheckoutSessionFactory) -> None:
        with suppress(CallError):
            session_id = (await checkout.create(order)).id
            with suppress(CallError):
                await checkout.pay(session_id, "123456", timeout=4)
            await attempt_refund(checkout, session_id)

    async with (
        Sandbox(faults=faults, seed=5) as sandbox,
        sandbox.factory(retry=settings) as checkout,
    ):
        await asyncio.gather(*[shop(checkout) for _ in range(40)])
        sessions = list(sandbox.book.sessions.values())

    assert max(session.payments for session in sessions) == 1
    assert max(len(session.refunds) for session in sessions) == 1
    assert sum(session.payments for session in sessions) > 20


# -- the same call twice --------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [None, *FAULTS[:4]], ids=lambda one: one and name(one)
)
@pytest.mark.parametrize("code", ["123456", "012345"])
async def test_a_payment_made_twice_at_once_is_taken_once(
    code: str, fault: Fault | None, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """A double click on "pay" takes money once."""
    async with sandbox.factory(
        retry=policy(keys_honoured=False), timeouts=QUICK
    ) as checkout:
        session_id = await opened(checkout, order)
        if fault is not None:
            sandbox.faults.add(attrs.evolve(fault, operation="pay", times=1))

        def pay() -> Awaitable[CheckoutSession]:
            return checkout.pay(session_id, code, timeout=0.25)

        await asyncio.gather(
            *[until_sent(pay) for _ in range(3)],
            return_exceptions=True,
        )
        sandbox.advance(10)

    assert sandbox.book.sessions[session_id].payments == 1


async def test_a_payment_made_twice_in_a_row_is_refused_the_second_time(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """The second `pay` of a paid session is a conflict, and takes nothing."""
    async with sandbox.factory() as checkout:
        session_id = await opened(checkout, order)
        first = await attempt_pay(checkout, session_id, AMPLE)
        second = await attempt_pay(checkout, session_id, AMPLE)

    assert isinstance(first, CheckoutSession)
    assert isinstance(second, ConflictError)
    assert sandbox.book.sessions[session_id].payments == 1


@pytest.mark.parametrize("fault", [None, *FAULTS], ids=lambda one: one and name(one))
async def test_a_refund_made_twice_under_one_key_is_made_once(
    fault: Fault | None, sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """Calls under one key, at once and later, find the first refund again."""
    async with sandbox.factory(
        retry=policy(keys_honoured=True), timeouts=QUICK
    ) as checkout:
        session_id = await opened(checkout, order)
        await checkout.pay(session_id, "123456")
        if fault is not None:
            sandbox.faults.add(attrs.evolve(fault, operation="refund", times=2))
        await asyncio.gather(
            *[attempt_refund(checkout, session_id, "r-1") for _ in range(3)]
        )
        sandbox.faults.clear()
        last = await attempt_refund(checkout, session_id, "r-1", AMPLE)

    assert isinstance(last, Refund)
    assert list(sandbox.book.refunds) == [last.id]
    assert sandbox.book.sessions[session_id].amount_refunded == 1000


async def test_a_lost_refund_is_made_good_under_the_error_s_key(
    sandbox: Sandbox, order: CheckoutSessionRequest
) -> None:
    """The key of the error repeats the lost refund by hand, without a second one."""
    async with sandbox.factory() as checkout:
        session_id = await opened(checkout, order)
        await checkout.pay(session_id, "123456")
        sandbox.faults.add(Fault(FaultKind.LOST, operation="refund", times=1))
        lost = await attempt_refund(checkout, session_id, timeout=AMPLE)
        assert isinstance(lost, CallError)
        key = lost.idempotency_key
        found = await attempt_refund(checkout, session_id, key, AMPLE)

    assert isinstance(found, Refund)
    assert list(sandbox.book.refunds) == [found.id]


@pytest.mark.parametrize("honour_keys", [True, False])
async def test_everything_is_paid_back_once(
    honour_keys: bool, order: CheckoutSessionRequest
) -> None:
    """Full refunds made at once under keys of their own pay back once."""
    async with (
        Sandbox(honour_keys=honour_keys) as sandbox,
        sandbox.factory() as checkout,
    ):
        session_id = await opened(checkout, order)
        await checkout.pay(session_id, "123456")
        request = RefundRequest(session_id=session_id, full=True)
        came = await asyncio.gather(
            *[checkout.refund(request) for _ in range(5)], return_exceptions=True
        )

    assert sum(isinstance(one, Refund) for one in came) == 1
    assert sandbox.book.sessions[session_id].amount_refunded == 4999
