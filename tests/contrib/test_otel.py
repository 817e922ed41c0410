"""Spans and metrics of real calls, as the SDK of OpenTelemetry would send them."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from typing import cast

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import url_attributes
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
)
from opentelemetry.semconv.metrics.http_metrics import HTTP_CLIENT_REQUEST_DURATION
from opentelemetry.trace import SpanKind, StatusCode
from telemetry import Telemetry, attributes_of

from convergegate_async import (
    ApiError,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    NotSentError,
    OutcomeUnknownError,
    PoolLimits,
    RefundRequest,
    RetryPolicy,
    SessionStatus,
    WaitTimeoutError,
    __version__,
)
from convergegate_async.contrib.otel import OpenTelemetryObserver
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

QUICK = RetryPolicy(base_delay=0.001)
ONCE = RetryPolicy(max_attempts=1)
PUBLISHED = {
    value
    for module in (
        error_attributes,
        http_attributes,
        server_attributes,
        url_attributes,
    )
    for name, value in vars(module).items()
    if name.isupper()
}


@pytest.fixture
def telemetry() -> Telemetry:
    """What a backend is sent in this test."""
    return Telemetry()


def attributes(span: ReadableSpan) -> dict[str, object]:
    """Return what a span says of itself."""
    return dict(span.attributes or {})


def events(span: ReadableSpan) -> list[dict[str, object]]:
    """Return what a span says of its attempts."""
    assert {event.name for event in span.events} <= {"convergegate.attempt"}
    return [dict(event.attributes or {}) for event in span.events]


Point = NumberDataPoint | HistogramDataPoint


def points(telemetry: Telemetry, name: str) -> list[Point]:
    """Return the points of a metric."""
    (resource,) = telemetry.metrics().resource_metrics
    (scope,) = resource.scope_metrics
    assert (scope.scope.name, scope.scope.version) == (
        "convergegate_async",
        __version__,
    )
    (metric,) = [one for one in scope.metrics if one.name == name]
    return [cast("Point", point) for point in metric.data.data_points]


def counts(telemetry: Telemetry, name: str) -> dict[tuple[object, ...], int | float]:
    """Return what a counter says, by operation and outcome."""
    found = {}
    for point in points(telemetry, name):
        assert isinstance(point, NumberDataPoint)
        labels: Mapping[str, object] = point.attributes or {}
        found[tuple(labels[key] for key in sorted(labels))] = point.value
    return found


async def test_a_call_is_one_client_span(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """Its name, kind and attributes are those of the conventions."""
    async with sandbox.factory(observers=[telemetry.observer]) as checkout:
        await checkout.create(order)

    (span,) = telemetry.spans
    assert (span.name, span.kind) == ("POST /v1/checkout/sessions", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        "http.request.method": "POST",
        "url.template": "/v1/checkout/sessions",
        "server.address": "127.0.0.1",
        "server.port": int(sandbox.base_url.rpartition(":")[2]),
        "http.response.status_code": 200,
        "convergegate.operation": "create",
        "convergegate.outcome": "done",
    }
    scope = span.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("convergegate_async", __version__)


async def test_a_retried_call_has_an_event_for_each_attempt(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """What each came to and when it ended, inside the time of the call."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, retry_after="0", times=1))
    sandbox.faults.add(Fault(FaultKind.LOST, times=1))

    async with sandbox.factory(observers=[telemetry.observer], retry=QUICK) as checkout:
        await checkout.create(order)

    (span,) = telemetry.spans
    said = attributes(span)
    assert said["http.request.resend_count"] == 2
    assert said["http.response.status_code"] == 200
    assert "error.type" not in said
    refused, lost, done = events(span)
    assert [one["convergegate.attempt.number"] for one in events(span)] == [1, 2, 3]
    assert [one["convergegate.outcome"] for one in events(span)] == [
        "rejected",
        "unknown",
        "done",
    ]
    assert (refused["error.type"], refused["convergegate.retry_after"]) == ("429", 0)
    assert lost["error.type"] in {"disconnected", "broken"}
    assert "http.response.status_code" not in lost
    assert "convergegate.phase.first_byte" not in lost
    assert "error.type" not in done
    assert {name for name in done if name.startswith("convergegate.phase.")} == {
        f"convergegate.phase.{name}"
        for name in ("pool_wait", "connect", "first_byte", "body")
    }
    times = [span.start_time, *(event.timestamp for event in span.events)]
    assert times == sorted(times, key=lambda one: one or 0)
    assert times[-1] is not None
    assert span.end_time is not None
    assert times[-1] <= span.end_time


async def test_a_refusal_is_an_error_with_its_status(
    sandbox: Sandbox, telemetry: Telemetry
) -> None:
    """To a client a 4xx is an error."""
    async with sandbox.factory(observers=[telemetry.observer]) as checkout:
        with pytest.raises(ApiError):
            await checkout.retrieve("cs_unknown")

    (span,) = telemetry.spans
    said = attributes(span)
    assert span.name == "GET /v1/checkout/sessions/{id}"
    assert span.status.status_code is StatusCode.ERROR
    assert (said["error.type"], said["http.response.status_code"]) == ("404", 404)
    assert said["convergegate.outcome"] == "rejected"


async def test_an_unknown_outcome_is_an_error_with_its_kind(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """Nothing was answered, so there is no status."""
    sandbox.faults.add(Fault(FaultKind.LOST, times=1))

    async with sandbox.factory(observers=[telemetry.observer], retry=ONCE) as checkout:
        with pytest.raises(OutcomeUnknownError):
            await checkout.create(order)

    (span,) = telemetry.spans
    said = attributes(span)
    assert span.status.status_code is StatusCode.ERROR
    assert said["error.type"] in {"disconnected", "broken"}
    assert said["convergegate.outcome"] == "unknown"
    assert not {"http.response.status_code", "http.request.resend_count"} & set(said)


async def test_what_was_not_sent_is_an_error_with_its_kind(
    order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """Nobody listens there, and all attempts are seen."""
    async with CheckoutSessionFactory(
        "sk_test_x", "http://127.0.0.1:9", retry=QUICK, observers=[telemetry.observer]
    ) as checkout:
        with pytest.raises(NotSentError):
            await checkout.create(order)

    (span,) = telemetry.spans
    said = attributes(span)
    assert (said["error.type"], said["convergegate.outcome"]) == ("connect", "not_sent")
    assert said["http.request.resend_count"] == 2
    assert [one["error.type"] for one in events(span)] == ["connect"] * 3


async def test_where_neither_kind_nor_status_tells_the_class_does(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """A wait that ran out, and a call that was cancelled."""
    async with sandbox.factory(observers=[telemetry.observer]) as checkout:
        session = await checkout.create(order)
        with pytest.raises(WaitTimeoutError):
            await checkout.wait(session.id, timeout=2)
        sandbox.faults.add(Fault(FaultKind.STALL, times=1))
        task = asyncio.create_task(checkout.create(order))
        while sandbox.count("create") < 2:  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    _, waited, cancelled = telemetry.spans
    assert attributes(waited)["error.type"] == "WaitTimeoutError"
    assert attributes(waited)["convergegate.operation"] == "wait"
    assert "http.request.resend_count" not in attributes(waited)  # looks are none
    assert attributes(cancelled)["error.type"] == "CancelledError"
    assert [one["error.type"] for one in events(cancelled)] == ["unknown"]


async def test_the_looks_after_a_loss_are_events_of_the_call(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """A payment whose answer was lost was done, and was sent once; so was a refund."""
    async with sandbox.factory(observers=[telemetry.observer]) as checkout:
        session = await checkout.create(order)
        sandbox.faults.add(Fault(FaultKind.LOST, operation="pay", times=1))
        paid = await checkout.pay(session.id, "123456")
        sandbox.faults.add(Fault(FaultKind.LOST, operation="refund", times=1))
        with pytest.raises(OutcomeUnknownError):
            await checkout.refund(RefundRequest(session_id=session.id, full=True))

    assert paid.status == SessionStatus.COMPLETED
    _, pay, refund = telemetry.spans
    assert pay.status.status_code is StatusCode.UNSET
    assert refund.status.status_code is StatusCode.ERROR
    for span, operation in ((pay, "pay"), (refund, "refund")):
        assert not {"http.request.resend_count", "http.response.status_code"} & set(
            attributes(span)
        )
        looked = [one["convergegate.operation"] for one in events(span)]
        assert looked[:2] == [operation, "retrieve"]


async def test_calls_at_once_are_not_mixed(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """Each has its own attempts and its own parent, through the factory and a view."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, retry_after="0", times=1))
    sandbox.faults.add(Fault(FaultKind.LOST, operation="retrieve", times=2))
    tracer = telemetry.tracers.get_tracer("shop")

    async def order_one(number: int, checkout: CheckoutSessionFactory) -> None:
        with tracer.start_as_current_span(f"order {number}"):
            session = await checkout.create(order)
            await checkout.retrieve(session.id)

    async with sandbox.factory(observers=[telemetry.observer], retry=QUICK) as checkout:
        ways = [checkout, checkout.with_options(retry=QUICK)] * 4
        await asyncio.gather(*(order_one(n, way) for n, way in enumerate(ways)))

    parents = {
        span.context.span_id: span.name
        for span in telemetry.spans
        if span.name.startswith("order") and span.context is not None
    }
    children = [span for span in telemetry.spans if not span.name.startswith("order")]
    assert len(parents) == 8
    assert len(children) == 16
    for span in children:
        attempts = events(span)
        operation = attributes(span)["convergegate.operation"]
        assert {one["convergegate.operation"] for one in attempts} == {operation}
        assert [one["convergegate.attempt.number"] for one in attempts] == [
            *range(1, len(attempts) + 1)
        ]
        assert attributes(span).get("http.request.resend_count", 0) == len(attempts) - 1
    found = sorted(parents[one.parent.span_id] for one in children if one.parent)
    assert found == sorted(name for name in parents.values() for _ in range(2))
    assert sum(len(span.events) for span in children) == 16 + 3


async def create_again_and_look_in_vain(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """Make a call of two attempts, and one that is refused."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, retry_after="0", times=1))

    async with sandbox.factory(observers=[telemetry.observer], retry=QUICK) as checkout:
        await checkout.create(order)
        with pytest.raises(ApiError):
            await checkout.retrieve("cs_unknown")


async def test_calls_and_attempts_are_counted_and_timed(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """By operation and outcome; a request of the conventions is one attempt."""
    await create_again_and_look_in_vain(sandbox, order, telemetry)

    assert counts(telemetry, "convergegate.calls") == {
        ("create", "done"): 1,
        ("retrieve", "rejected"): 1,
    }
    assert counts(telemetry, "convergegate.attempts") == {
        ("create", "rejected"): 1,
        ("create", "done"): 1,
        ("retrieve", "rejected"): 1,
    }
    requests = points(telemetry, HTTP_CLIENT_REQUEST_DURATION)
    seen = [dict(point.attributes or {}) for point in requests]
    assert [one.get("error.type") for one in seen] == ["429", None, "404"]
    assert [one["http.response.status_code"] for one in seen] == [429, 200, 404]
    for name, number in (
        (HTTP_CLIENT_REQUEST_DURATION, 3),
        ("convergegate.pool.wait_time", 3),
        ("convergegate.call.duration", 2),
    ):
        histograms = points(telemetry, name)
        assert (
            sum(one.count for one in histograms if isinstance(one, HistogramDataPoint))
            == number
        )


async def test_buckets_are_those_of_seconds(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """The SDK's own are meant for milliseconds."""
    async with sandbox.factory(observers=[telemetry.observer]) as checkout:
        await checkout.create(order)

    for name, last in (
        (HTTP_CLIENT_REQUEST_DURATION, 10),
        ("convergegate.pool.wait_time", 10),
        ("convergegate.call.duration", 120),
    ):
        (point,) = points(telemetry, name)
        assert isinstance(point, HistogramDataPoint)
        assert (point.explicit_bounds[0], point.explicit_bounds[-1]) == (0.005, last)


async def test_who_waits_in_vain_for_a_place_has_waited(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """An attempt that never got one counts with all its time."""
    sandbox.faults.add(Fault(FaultKind.STALL, times=1))

    async with sandbox.factory(pool=PoolLimits(limit=1)) as checkout:
        held = asyncio.create_task(checkout.retrieve("cs_1"))
        while not sandbox.count("retrieve"):  # noqa: ASYNC110 -- the wire has no event
            await asyncio.sleep(0.005)
        view = checkout.with_options(observers=[telemetry.observer])
        with pytest.raises(NotSentError):
            await view.create(order, timeout=1)
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)

    (point,) = points(telemetry, "convergegate.pool.wait_time")
    (span,) = telemetry.spans
    (attempt,) = events(span)
    assert isinstance(point, HistogramDataPoint)
    assert point.sum == attempt["convergegate.attempt.duration"]
    assert attributes(span)["error.type"] == "pool_timeout"


async def test_every_name_is_published_or_ours(
    sandbox: Sandbox, order: CheckoutSessionRequest, telemetry: Telemetry
) -> None:
    """What does not begin with our own word is in the conventions' package."""
    await create_again_and_look_in_vain(sandbox, order, telemetry)

    names = {name for one in attributes_of(telemetry) for name in one}
    assert {name for name in names if not name.startswith("convergegate.")} == {
        "error.type",
        "http.request.method",
        "http.request.resend_count",
        "http.response.status_code",
        "server.address",
        "server.port",
        "url.template",
    }
    assert {name for name in names if not name.startswith("convergegate.")} <= PUBLISHED


async def test_a_span_that_is_not_sampled_is_no_trouble(
    sandbox: Sandbox, order: CheckoutSessionRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised, or it would be logged; metrics go to the global provider."""
    tracers = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    observer = OpenTelemetryObserver(tracer_provider=tracers)

    async with sandbox.factory(observers=[observer]) as checkout:
        await checkout.create(order)

    assert caplog.messages == []


@pytest.mark.parametrize(
    "act",
    [
        "import convergegate_async",
        "from convergegate_async import CheckoutSessionFactory as F; F('sk_test_x', 'http://127.0.0.1:9')",
    ],
    ids=["package", "factory"],
)
def test_who_does_not_use_it_does_not_load_it(act: str) -> None:
    """Neither the package nor a factory imports OpenTelemetry."""
    program = f"import sys; {act}; assert 'opentelemetry' not in sys.modules"

    done = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 -- our own program

    assert done.returncode == 0
