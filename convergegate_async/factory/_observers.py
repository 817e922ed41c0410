"""Who watches calls, and what they see: one value an attempt, one a call."""

from collections.abc import Collection
from inspect import iscoroutinefunction
from typing import Protocol, TypeGuard

import attrs

from convergegate_async.errors import ConfigurationError, FailureKind, Outcome


@attrs.frozen(kw_only=True)
class PhaseTimings:
    """How long the phases of an attempt took, in seconds; `None` if not reached.

    Attributes:
        pool_wait: Until it had a place in the pool.
        connect: From there until its head was about to be written: looking up the
            name, connecting and TLS, or nearly nothing over an open connection.
        first_byte: From there until the head of the answer was read.
        body: From there until the body was read.
    """

    pool_wait: float | None = None
    connect: float | None = None
    first_byte: float | None = None
    body: float | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)  # none is made of it alone
class _Ended:
    """What was called, and when it was over.

    Attributes:
        operation: The name of the factory's method; the looks of `pay` and `refund` are
            ``retrieve``.
        method: Of HTTP.
        path: The template of the path, such as ``/v1/checkout/sessions/{id}``.
        elapsed: Seconds from its start.
        ended_at: When it was over, in seconds of `time.monotonic`.
    """

    operation: str
    method: str
    path: str
    server_address: str
    server_port: int
    elapsed: float
    ended_at: float


@attrs.frozen(kw_only=True)
class AttemptInfo(_Ended):
    """An attempt that is over.

    Attributes:
        attempt: Which of its call it was, from 1.
        outcome: What it proves; `None` if it was done.
        http_status: Of the answer, if there was one.
        request_id: The gateway's name for the answer, to quote in a ticket.
        retry_after: Seconds that the gateway asked to wait.
        failure: What broke, where no whole answer came.
        timings: Where the time went.
    """

    attempt: int
    outcome: Outcome | None
    http_status: int | None
    request_id: str | None = None
    retry_after: float | None
    failure: FailureKind | None
    timings: PhaseTimings


@attrs.frozen(kw_only=True)
class CallEnded(_Ended):
    """A call that is over, with all its attempts.

    Attributes:
        outcome: What is known of it; `None` if it was done.
        attempts: How often it was tried, tries that were never sent included.
        unknown_attempts: How many of them may have been done.
        idempotency_key: The key that every attempt carried.
        http_status: Of the answer that the error quotes; `None` if it was done.
        failure: What broke, where the outcome hangs on that.
        error: The class of what was raised, such as ``DeclinedError``; `None` if it was
            done.
        history: Its attempts and its looks, one after the other: the last 1,000.
    """

    outcome: Outcome | None
    attempts: int
    unknown_attempts: int
    idempotency_key: str | None
    http_status: int | None
    failure: FailureKind | None
    error: str | None
    history: tuple[AttemptInfo, ...]


@attrs.frozen
class PoolStats:
    """How busy a factory's pool is.

    Attributes:
        in_flight: Attempts that have a place in the pool.
        waiting: Attempts that wait for one.
        connections: Connections that have brought an answer and are open, idle ones
            included.
        repeats_left: What the retry budget still allows.
    """

    in_flight: int
    waiting: int
    connections: int
    repeats_left: int


class Observer(Protocol):
    """Sees what calls come to. Both are plain functions, quick, and must not raise.

    One that raises misses that event. It is logged by the names of the two classes,
    once for each class of observer and of error.
    """

    def attempt_ended(self, attempt: AttemptInfo, /) -> None:
        """See an attempt that is over, whatever it came to; also a cancelled one."""
        ...

    def call_ended(self, call: CallEnded, /) -> None:
        """See a call that is over; also a cancelled one."""
        ...


def checked_observers(observers: object) -> tuple[Observer, ...]:
    """Return *observers*, each of which can be told all.

    Raises:
        ConfigurationError: One cannot.
    """
    if isinstance(observers, Collection):
        checked = tuple(filter(_is_observer, observers))
        if len(checked) == len(observers):
            return checked
        others = [type(one).__name__ for one in observers if not _is_observer(one)]
        which = f"; these have not: {', '.join(others)}"
    else:
        which = ""
    message = (
        "observers must be a collection of objects with the plain functions "
        f"attempt_ended and call_ended{which}"
    )
    raise ConfigurationError(message)


def _is_observer(value: object) -> TypeGuard[Observer]:
    methods = [getattr(value, name, None) for name in ("attempt_ended", "call_ended")]
    return not isinstance(value, type) and all(map(_is_plain_function, methods))


def _is_plain_function(value: object) -> bool:
    call = getattr(type(value), "__call__", None)  # noqa: B004 -- that of an object
    return callable(value) and not (
        iscoroutinefunction(value) or iscoroutinefunction(call)
    )
