"""How patient to be: frozen values, checked when built. All times are in seconds."""

import sys
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import attrs

from convergegate_async.errors import ConfigurationError

T = TypeVar("T")
_MOST_SECONDS = sys.float_info.max
Validator: TypeAlias = Callable[[object, Any, T], None]


def _must_be(what: str, fits: Callable[[T], bool]) -> Validator[T]:
    def check(owner: object, field: "attrs.Attribute[T]", value: T) -> None:
        if not fits(value):
            message = f"{type(owner).__name__}.{field.name} must be {what}"
            raise ConfigurationError(message)

    return check


def is_duration(value: object) -> bool:
    """Tell whether *value* is a finite number of seconds above 0 (no bool)."""
    # An int may be beyond every float, and so beyond every clock.
    return type(value) in (int, float) and 0 < value <= _MOST_SECONDS  # type: ignore[operator]  # mypy does not narrow by type()


_duration: Validator[float] = _must_be(
    "a finite number of seconds above 0", is_duration
)
_count: Validator[int] = _must_be(
    "a whole number above 0", lambda n: type(n) is int and n > 0
)
_tokens: Validator[int] = _must_be(
    "a whole number, 0 or more", lambda n: type(n) is int and n >= 0
)
_share: Validator[float] = _must_be(
    "a number from 0 to 1", lambda n: type(n) in (int, float) and 0 <= n <= 1
)
_flag: Validator[bool] = _must_be("True or False", lambda flag: type(flag) is bool)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """Whether and when to try again.

    Of all calls of a factory, or of some::

        patient = RetryPolicy(max_attempts=5)
        factory = CheckoutSessionFactory.from_env(retry=patient)
        session = await checkout.with_options(retry=patient).create(request)

    Attributes:
        max_attempts: How often to send at most, the first time included.
        base_delay: Upper bound of the first pause; it doubles from there.
        max_delay: Upper bound of any pause that the gateway did not ask for.
        budget: How many repeats a factory may spend before it has to earn more.
        budget_ratio: What every successful call earns, in repeats.
        repeat_unknown_create: Repeat a `create` of unknown outcome under its key.
            A gateway that ignores keys may then hold an unpaid session that
            nobody has the link to, and that expires.
        keys_honoured: You know from the provider that a repeated idempotency key
            is answered with the first result. Only then is a `refund` repeated.
    """

    max_attempts: int = attrs.field(default=3, validator=_count)
    base_delay: float = attrs.field(default=0.2, validator=_duration)
    max_delay: float = attrs.field(default=10.0, validator=_duration)
    budget: int = attrs.field(default=100, validator=_tokens)
    budget_ratio: float = attrs.field(default=0.1, validator=_share)
    repeat_unknown_create: bool = attrs.field(default=True, validator=_flag)
    keys_honoured: bool = attrs.field(default=False, validator=_flag)


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long to wait.

    Of all calls of a factory, or of some::

        quick = Timeouts(total=5, attempt=2, connect=1)
        factory = CheckoutSessionFactory.from_env(timeouts=quick)
        session = await checkout.with_options(timeouts=quick).create(request)

    Attributes:
        total: The hard deadline of a whole call, pauses included.
        attempt: The most that one attempt may take of it.
        connect: The most that opening a connection may take of an attempt.
    """

    total: float = attrs.field(default=30.0, validator=_duration)
    attempt: float = attrs.field(default=10.0, validator=_duration)
    connect: float = attrs.field(default=3.0, validator=_duration)


@attrs.frozen(kw_only=True)
class PoolLimits:
    """How many connections to hold, and for how long.

    For up to 200 calls at once::

        pool = PoolLimits(limit=200)
        factory = CheckoutSessionFactory.from_env(pool=pool)

    Attributes:
        limit: How many requests may be under way at once.
        keepalive: How long an idle connection is kept. Stay below the server's
            own limit, which is often 5: a request sent into a closing connection
            has an unknown outcome.
        max_age: How long connections are reused before DNS is asked again.
        lane: Whether calls may leave out aiohttp's session where nobody would miss
            it: the same bytes for fewer instructions.
    """

    limit: int = attrs.field(default=100, validator=_count)
    keepalive: float = attrs.field(default=4.0, validator=_duration)
    max_age: float = attrs.field(default=300.0, validator=_duration)
    lane: bool = attrs.field(default=True, validator=_flag)
