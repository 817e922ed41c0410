"""Checked by mypy and pyright, never run: the types that users see."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import assert_type

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from convergegate_async import (
    AttemptInfo,
    CallEnded,
    CallInfo,
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    FailureKind,
    Outcome,
    OutcomeUnknownError,
    PaymentMethod,
    PoolStats,
    Refund,
    RefundRequest,
    RetryPolicy,
    SessionStatus,
    WebhookEvent,
    derive_key,
    major_units,
    minor_units,
)
from convergegate_async.bulk import (
    Created,
    Job,
    JobFolder,
    JobPlan,
    RowCounts,
    RowOutcome,
    create_many,
)
from convergegate_async.contrib.otel import OpenTelemetryObserver
from convergegate_async.sandbox import BookedSession, Delivery, Sandbox
from convergegate_async.testing import (
    Advance,
    Delivered,
    FailNext,
    ThreadedSandbox,
    checkout_request,
    mocked_aiohttp,
    signed_event,
)


async def calls(checkout: CheckoutSessionFactory) -> None:
    """A call returns the model, and its fields are what they are said to be."""
    request = CheckoutSessionRequest(
        amount=1,
        currency="pln",
        customer_email="a@b.pl",
        customer_firstname="A",
        customer_lastname="B",
        customer_phone="+48123456789",
        success_url="https://a.pl",
        payment_method=["blik"],
        metadata={"a": "b"},
    )
    session = await checkout.create(request, idempotency_key=derive_key("order", 7))
    assert_type(session, CheckoutSession)
    assert_type(session.id, str)
    assert_type(session.status, SessionStatus | str | None)
    assert_type(session.pay_url, str)
    assert_type(session.to_dict(), dict[str, object])
    RedirectResponse(session.pay_url, status_code=303)
    RedirectResponse(session.url)  # type: ignore[arg-type]  # must not pass
    assert_type(minor_units("49.99", "PLN"), int)
    assert_type(major_units(4999, "PLN"), Decimal)
    assert_type(session.amount_total, int | None)
    assert_type(session.expires_at, datetime | None)
    assert_type(session.payment_method, tuple[PaymentMethod | str, ...])
    assert_type(session.raw, Mapping[str, object])
    assert_type(session.call, CallInfo)
    assert_type(await checkout.retrieve(session.id, timeout=3), CheckoutSession)
    assert_type(await checkout.aclose(drain=1), tuple[str, ...])
    CheckoutSessionRequest(amount="1")  # type: ignore[call-arg, arg-type]  # must not pass


class Counter:
    """An observer needs no base class."""

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """See an attempt."""
        assert_type(attempt.failure, FailureKind | None)
        assert_type(attempt.timings.connect, float | None)

    def call_ended(self, call: CallEnded) -> None:
        """See a call."""
        assert_type(call.outcome, Outcome | None)
        assert_type(call.history, tuple[AttemptInfo, ...])


async def money(checkout: CheckoutSessionFactory) -> None:
    """Every call is awaited, and every answer has its type."""
    assert_type(await checkout.pay("s1", "123456"), CheckoutSession)
    assert_type(await checkout.wait("s1", timeout=9), CheckoutSession)
    part = RefundRequest(session_id="s1", amount=1)
    refund = await checkout.refund(part, idempotency_key="k")
    assert_type(refund, Refund)
    assert_type(await checkout.retrieve_refund(refund.id), Refund)
    checkout.notify(WebhookEvent(id="e1", type="session.completed"))


async def views(checkout: CheckoutSessionFactory) -> None:
    """A view is a factory, and the pool can be asked."""
    view = checkout.with_options(
        retry=RetryPolicy(), observers=[Counter(), OpenTelemetryObserver()]
    )
    assert_type(view, CheckoutSessionFactory)
    assert_type(view.stats(), PoolStats)


async def many(checkout: CheckoutSessionFactory, folder: JobFolder) -> None:
    """Outcomes are told apart by their class."""
    async for outcome in create_many(checkout, [], concurrency=1):
        assert_type(outcome, RowOutcome)
        if isinstance(outcome, Created):
            assert_type(outcome.session, CheckoutSession)
    async with await Job.begin(folder, JobPlan(), checkout) as job:
        assert_type(job, Job)
        assert_type(await job.counts(), RowCounts)


async def life() -> None:
    """A factory is its own context, and the sandbox makes one."""
    async with Sandbox() as sandbox, sandbox.factory() as checkout:
        assert_type(checkout, CheckoutSessionFactory)


def errors(error: OutcomeUnknownError) -> None:
    """An error's fields are typed too."""
    assert_type(error.outcome, Outcome)
    assert_type(error.idempotency_key, str | None)
    assert_type(error.session, CheckoutSession | None)


async def a_test_with_fixtures(
    checkout: CheckoutSessionFactory,
    convergegate_sandbox: ThreadedSandbox,
    fail_next: FailNext,
    advance: Advance,
    delivered: Delivered,
) -> None:
    """The fixtures have types, and what they return has."""
    fail_next("status", operation="create", status=429, times=2)
    session = await checkout.create(checkout_request(amount=1, currency="pln"))
    assert_type(convergegate_sandbox.pay(session.id), BookedSession)
    with convergegate_sandbox.skip_pauses():
        assert_type(await checkout.wait(session.id), CheckoutSession)
    await advance(60)
    assert_type(await delivered("session.completed", session.id), Delivery)
    assert_type(signed_event("session.expired", session_id="s1").body, bytes)


async def a_test_of_an_app(app: FastAPI, sandbox: ThreadedSandbox) -> None:
    """An app of ASGI is one to type checkers, too."""
    fail_next: FailNext = sandbox.fail_next
    fail_next()
    async with sandbox.webhooks_into(app):
        assert_type(sandbox.deliveries(), tuple[Delivery, ...])
    with mocked_aiohttp(passthrough=[sandbox.base_url]) as gateway:
        gateway.post("https://gateway.example/v1/refunds", payload={"id": "r1"})
