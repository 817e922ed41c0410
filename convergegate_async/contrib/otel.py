"""OpenTelemetry: a span for each call, an event for each of its attempts, and metrics.

What every HTTP client tells is named by the semantic conventions, and what is ours
begins with ``convergegate.``. No id, no key and nothing about a customer is among it:
paths are templates, and what varies is a number or one of a few words.

A span is made once its call is over, with the times that it had, as a child of the span
in which the call was made. Nothing of a trace is sent to the gateway.
"""

import time
from collections.abc import Mapping
from typing import TypeAlias

import attrs
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import SpanKind, StatusCode, TracerProvider, get_tracer

from convergegate_async._version import __version__
from convergegate_async.errors import FailureKind
from convergegate_async.factory import AttemptInfo, CallEnded

__all__ = ["OpenTelemetryObserver"]

_SCOPE = "convergegate_async"
_FIRST_ERROR = 400

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The buckets that the conventions advise for a request."""

_CALL_SECONDS = (*_SECONDS, 30, 60, 120)
"""A call has several attempts, and `wait` waits for a customer."""

_Attributes: TypeAlias = dict[str, str | int | float]


class OpenTelemetryObserver:
    """Makes a span of every call, and counts and times calls and attempts.

    Give it to a factory::

        observer = OpenTelemetryObserver()
        factory = CheckoutSessionFactory.from_env(observers=[observer])

    Args:
        tracer_provider: Where spans go; the global one if `None`.
        meter_provider: Where metrics go; the global one if `None`.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = get_tracer(_SCOPE, __version__, tracer_provider)
        meter = get_meter(_SCOPE, __version__, meter_provider)
        self._calls = meter.create_counter(
            "convergegate.calls", "{call}", "Calls that are over."
        )
        self._attempts = meter.create_counter(
            "convergegate.attempts", "{attempt}", "Attempts that are over."
        )
        self._call_duration = meter.create_histogram(
            "convergegate.call.duration",
            "s",
            "How long calls took, with all attempts and pauses.",
            explicit_bucket_boundaries_advisory=_CALL_SECONDS,
        )
        self._pool_wait = meter.create_histogram(
            "convergegate.pool.wait_time",
            "s",
            "How long attempts waited for a place in the pool.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._request_duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Count an attempt, and record how long it took and waited."""
        self._attempts.add(1, _counted(attempt))
        self._request_duration.record(
            attempt.elapsed, _http(attempt, attempt.http_status, _error_of(attempt))
        )
        wait = attempt.timings.pool_wait  # `None` if it came no further
        self._pool_wait.record(
            attempt.elapsed if wait is None else wait,
            {"convergegate.operation": attempt.operation},
        )

    def call_ended(self, call: CallEnded) -> None:
        """Count a call, record how long it took, and make its span."""
        self._calls.add(1, _counted(call))
        self._call_duration.record(call.elapsed, _counted(call))
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{call.method} {call.path}",
            kind=SpanKind.CLIENT,
            attributes=_span(call),
            start_time=end - _nanoseconds(call.elapsed),
        )
        if call.outcome is not None:
            span.set_status(StatusCode.ERROR)
        for attempt in call.history if span.is_recording() else ():
            before = _nanoseconds(call.ended_at - attempt.ended_at)
            span.add_event("convergegate.attempt", _event(attempt), end - before)
        span.end(end)


def _counted(ended: AttemptInfo | CallEnded) -> _Attributes:
    return {
        "convergegate.operation": ended.operation,
        "convergegate.outcome": "done" if ended.outcome is None else str(ended.outcome),
    }


def _http(
    ended: AttemptInfo | CallEnded, status: int | None, error: str | None
) -> _Attributes:
    return _known(
        {
            "http.request.method": ended.method,
            "url.template": ended.path,
            "server.address": ended.server_address,
            "server.port": ended.server_port,
            "http.response.status_code": status,
            "error.type": error,
        }
    )


def _span(call: CallEnded) -> _Attributes:
    # A look is another request: what it was answered stands in its event.
    own = [one for one in call.history if one.operation == call.operation]
    statuses = [one.http_status for one in own if one.http_status is not None]
    error = _error_type(call.failure, call.http_status, call.error)
    status = statuses[-1] if statuses else None
    # `wait` looks again after an answer, too: that repeats nothing.
    resends = sum(one.outcome is not None for one in own[:-1])
    more = {"http.request.resend_count": resends or None}
    return {**_http(call, status, error), **_counted(call), **_known(more)}


def _event(attempt: AttemptInfo) -> _Attributes:
    phases = {
        f"convergegate.phase.{name}": seconds
        for name, seconds in attrs.asdict(attempt.timings).items()
    }
    more = {
        "convergegate.attempt.number": attempt.attempt,
        "convergegate.attempt.duration": attempt.elapsed,
        "convergegate.retry_after": attempt.retry_after,
        "http.response.status_code": attempt.http_status,
        "error.type": _error_of(attempt),
    }
    return {**_counted(attempt), **_known({**more, **phases})}


def _error_of(attempt: AttemptInfo) -> str | None:
    otherwise = None if attempt.outcome is None else str(attempt.outcome)
    return _error_type(attempt.failure, attempt.http_status, otherwise)


def _error_type(
    failure: FailureKind | None, status: int | None, otherwise: str | None
) -> str | None:
    if failure is not None:
        return str(failure)
    if status is not None and status >= _FIRST_ERROR:
        return str(status)
    return otherwise


def _known(values: Mapping[str, str | float | None]) -> _Attributes:
    return {name: value for name, value in values.items() if value is not None}


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
