import math
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import ConfigurationError, PoolLimits, RetryPolicy, Timeouts
from convergegate_async.policy import is_duration

DURATIONS = [
    (RetryPolicy, "base_delay"),
    (RetryPolicy, "max_delay"),
    (Timeouts, "total"),
    (Timeouts, "attempt"),
    (Timeouts, "connect"),
    (PoolLimits, "keepalive"),
    (PoolLimits, "max_age"),
]
COUNTS = [(RetryPolicy, "max_attempts"), (PoolLimits, "limit")]
TOKENS = [(RetryPolicy, "budget")]
SHARES = [(RetryPolicy, "budget_ratio")]
FLAGS = [
    (RetryPolicy, "repeat_unknown_create"),
    (RetryPolicy, "keys_honoured"),
    (PoolLimits, "lane"),
]
ALL = DURATIONS + COUNTS + TOKENS + SHARES + FLAGS

NO_DURATIONS = [0, 0.0, -1, -0.5, math.nan, math.inf, True, "1", None, Decimal(1)]
NO_COUNTS = [0, -1, 1.0, 2.5, True, "3", None]
NO_TOKENS = [-1, 1.0, True, "3", None]
NO_SHARES = [-0.1, 1.1, 2, math.nan, True, "0.1", None]
NO_FLAGS = [0, 1, None, "yes", ""]


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_any_finite_time_above_0_is_a_duration(seconds: float) -> None:
    """Seconds may be as few or as many as a float can say."""
    fits = is_duration(seconds)

    assert fits


@given(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(max_value=0)
    | st.floats(max_value=0)
    | st.sampled_from([math.nan, math.inf, 10**400])
)
def test_nothing_else_is_a_duration(value: object) -> None:
    """No other type, no flag, nothing infinite and nothing below 0 is a duration."""
    fits = is_duration(value)

    assert not fits


@given(
    st.lists(
        st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        min_size=3,
        max_size=3,
    )
)
def test_timeouts_keep_what_they_are_given(times: list[float]) -> None:
    """No timeout is rounded, clipped or derived from another."""
    total, attempt, connect = times

    timeouts = Timeouts(total=total, attempt=attempt, connect=connect)

    assert attrs.astuple(timeouts) == (total, attempt, connect)


@pytest.mark.parametrize(
    ("policy", "field", "value", "rule"),
    [
        pytest.param(policy, field, value, rule, id=f"{field}-{value!r}")
        for fields, values, rule in (
            (DURATIONS, NO_DURATIONS, "a finite number of seconds above 0"),
            (COUNTS, NO_COUNTS, "a whole number above 0"),
            (TOKENS, NO_TOKENS, "a whole number, 0 or more"),
            (SHARES, NO_SHARES, "a number from 0 to 1"),
            (FLAGS, NO_FLAGS, "True or False"),
        )
        for policy, field in fields
        for value in values
    ],
)
def test_an_unusable_value_is_refused_with_its_rule(
    policy: type[object], field: str, value: object, rule: str
) -> None:
    """A policy that cannot work does not come into being."""
    with pytest.raises(ConfigurationError) as caught:
        policy(**{field: value})

    assert str(caught.value) == f"{policy.__name__}.{field} must be {rule}"


@pytest.mark.parametrize(
    ("policy", "field", "value"),
    [
        (RetryPolicy, "max_attempts", 1),
        (RetryPolicy, "budget", 0),
        (RetryPolicy, "budget_ratio", 0),
        (RetryPolicy, "budget_ratio", 1),
        (RetryPolicy, "base_delay", 5e-324),
        (RetryPolicy, "keys_honoured", True),
        (Timeouts, "total", 1),
        (PoolLimits, "limit", 1),
    ],
    ids=str,
)
def test_the_edge_of_what_is_usable_is_accepted(
    policy: type[object], field: str, value: object
) -> None:
    """The bounds themselves are inside."""
    built = policy(**{field: value})

    assert getattr(built, field) == value


@pytest.mark.parametrize("policy", [RetryPolicy, Timeouts, PoolLimits])
def test_every_field_of_a_policy_has_a_rule(policy: type[attrs.AttrsInstance]) -> None:
    """The tables of this file leave no field out."""
    names = {field.name for field in attrs.fields(policy)}

    assert names == {field for owner, field in ALL if owner is policy}


@pytest.mark.parametrize(
    ("policy", "defaults"),
    [
        (RetryPolicy(), (3, 0.2, 10.0, 100, 0.1, True, False)),
        (Timeouts(), (30.0, 10.0, 3.0)),
        (PoolLimits(), (100, 4.0, 300.0, True)),
    ],
    ids=["retry", "timeouts", "pool"],
)
def test_the_defaults_are_the_documented_ones(
    policy: attrs.AttrsInstance, defaults: tuple[object, ...]
) -> None:
    """Who changes nothing gets what the design promises."""
    values = attrs.astuple(policy)

    assert values == defaults


@pytest.mark.parametrize("policy", [RetryPolicy, Timeouts, PoolLimits])
def test_the_fields_of_a_policy_are_named(policy: type[Any]) -> None:
    """Seconds and counts are never told apart by their order."""
    with pytest.raises(TypeError, match="positional"):
        policy(1, 2)


def test_a_policy_does_not_change() -> None:
    """A policy is shared between calls, so none of them can change it."""
    policy = RetryPolicy()

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.max_attempts = 9  # type: ignore[misc]  # that it is refused is the point
