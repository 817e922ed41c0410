import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergegate_async import (
    ApiError,
    AuthenticationError,
    CallError,
    CallInfo,
    CheckoutSession,
    ConflictError,
    DeclinedError,
    FailureKind,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
)
from convergegate_async._core.endpoints import CREATE, Repeat
from convergegate_async._core.operations import Operation
from convergegate_async._core.retry import (
    RetryBudget,
    conclude,
    look_pause,
    may_repeat,
    next_pause,
)
from convergegate_async._core.verdicts import (
    Failure,
    Finding,
    Ground,
    Verdict,
    judge_failure,
    judge_status,
)

CALL = CallInfo(idempotency_key="cg1-7", attempts=3, elapsed=1.5)


def operation(*, own_key: bool = False) -> Operation[CheckoutSession]:
    """Describe a call of which only the end matters."""
    return Operation(
        endpoint=CREATE,
        path="/",
        idempotency_key="cg1-7",
        own_key=own_key,
    )


def answered(
    status: int,
    *,
    writes: bool = True,
    **details: Any,  # noqa: ANN401 -- handed through
) -> Finding:
    """Build the finding of an attempt that was answered with *status*."""
    verdict, ground = judge_status(status, writes=writes)
    finding = Finding(
        verdict=verdict,
        ground=ground,
        reason=f"HTTP {status}",
        phase="status",
        http_status=status,
    )
    return finding._replace(**details)


UNSENT = Finding(
    verdict=Verdict.NOT_SENT,
    ground=Ground.UNSENT,
    reason="the gateway could not be reached",
)
LOST = Finding(
    verdict=Verdict.UNKNOWN,
    ground=Ground.AMBIGUOUS,
    reason="the connection broke",
    phase="head",
)


# -- the budget ---------------------------------------------------------------------


def spent(budget: RetryBudget, calls: Sequence[int], *, most: int) -> int:
    """Count the repeats of calls that fail so often before they succeed.

    A call that is not let go on to its success earns nothing.
    """
    repeats = 0
    for failures in calls:
        made = 0
        while made < min(failures, most - 1) and budget.spend():
            made += 1
        repeats += made
        if made == failures:
            budget.earn()
    return repeats


BUDGETS = st.builds(
    RetryPolicy, budget=st.integers(0, 20), budget_ratio=st.floats(0, 1)
)


@given(policy=BUDGETS, spends=st.lists(st.booleans()))
def test_the_bucket_neither_overflows_nor_runs_into_debt(
    policy: RetryPolicy, spends: list[bool]
) -> None:
    """Whatever happens in whichever order, there are 0 to *budget* repeats in it."""
    budget = RetryBudget(policy)
    levels = [budget.tokens]

    for spend in spends:
        step = budget.spend if spend else budget.earn
        step()
        levels.append(budget.tokens)

    assert min(levels) >= 0
    assert max(levels) <= policy.budget


@given(policy=BUDGETS, spends=st.lists(st.booleans()))
def test_a_repeat_is_granted_only_if_a_whole_one_is_there(
    policy: RetryPolicy, spends: list[bool]
) -> None:
    """The answer to *spend* and the level of the bucket go together."""
    budget = RetryBudget(policy)
    for spend in spends:
        step = budget.spend if spend else budget.earn
        step()
    before = budget.tokens

    granted = budget.spend()

    assert granted is (before >= 1)
    assert budget.tokens == before - granted


@given(policy=BUDGETS, calls=st.integers(0, 200), most=st.integers(1, 6))
def test_a_dead_gateway_is_called_a_bucket_more_and_no_further(
    policy: RetryPolicy, calls: int, most: int
) -> None:
    """If all calls fail, the attempts are their number plus *budget* at most."""
    budget = RetryBudget(policy)

    repeats = spent(budget, [most] * calls, most=most)

    assert repeats == min(policy.budget, calls * (most - 1))


@given(
    policy=BUDGETS,
    calls=st.lists(st.integers(0, 5), max_size=100),
    most=st.integers(1, 6),
)
def test_repeats_are_bounded_by_what_was_earned(
    policy: RetryPolicy, calls: list[int], most: int
) -> None:
    """There are never more repeats than the bucket and its share of the successes."""
    budget = RetryBudget(policy)

    repeats = spent(budget, calls, most=most)

    assert repeats <= policy.budget + policy.budget_ratio * len(calls) + 1e-6


def test_a_success_earns_its_share_of_a_repeat() -> None:
    """Four successes at a quarter each pay for one repeat."""
    budget = RetryBudget(RetryPolicy(budget=1, budget_ratio=0.25))
    budget.spend()

    granted = []
    for _ in range(8):
        budget.earn()
        granted.append(budget.spend())

    assert granted == [False, False, False, True] * 2


# -- whether to go again ------------------------------------------------------------

ALWAYS = (True, True, True, True)
NEVER = (False, False, False, False)
# The switches are, in this order: both off, keys honoured, creates repeated, both on.
IF_CREATE = (False, False, True, True)
IF_HONOURED = (False, True, False, True)
CELLS = {
    (Ground.NONE, Repeat.FREELY): NEVER,
    (Ground.NONE, Repeat.UNDER_KEY): NEVER,
    (Ground.NONE, Repeat.UNDER_HONOURED_KEY): NEVER,
    (Ground.NONE, Repeat.NEVER): NEVER,
    (Ground.UNSENT, Repeat.FREELY): ALWAYS,
    (Ground.UNSENT, Repeat.UNDER_KEY): ALWAYS,
    (Ground.UNSENT, Repeat.UNDER_HONOURED_KEY): ALWAYS,
    (Ground.UNSENT, Repeat.NEVER): ALWAYS,
    (Ground.THROTTLED, Repeat.FREELY): ALWAYS,
    (Ground.THROTTLED, Repeat.UNDER_KEY): ALWAYS,
    (Ground.THROTTLED, Repeat.UNDER_HONOURED_KEY): ALWAYS,
    (Ground.THROTTLED, Repeat.NEVER): ALWAYS,
    (Ground.TOO_EARLY, Repeat.FREELY): ALWAYS,
    (Ground.TOO_EARLY, Repeat.UNDER_KEY): ALWAYS,
    (Ground.TOO_EARLY, Repeat.UNDER_HONOURED_KEY): ALWAYS,
    (Ground.TOO_EARLY, Repeat.NEVER): NEVER,
    (Ground.CONFLICT, Repeat.FREELY): ALWAYS,
    (Ground.CONFLICT, Repeat.UNDER_KEY): ALWAYS,
    (Ground.CONFLICT, Repeat.UNDER_HONOURED_KEY): ALWAYS,
    (Ground.CONFLICT, Repeat.NEVER): NEVER,
    (Ground.AMBIGUOUS, Repeat.FREELY): ALWAYS,
    (Ground.AMBIGUOUS, Repeat.UNDER_KEY): IF_CREATE,
    (Ground.AMBIGUOUS, Repeat.UNDER_HONOURED_KEY): IF_HONOURED,
    (Ground.AMBIGUOUS, Repeat.NEVER): NEVER,
}


@pytest.mark.parametrize(
    ("ground", "repeat", "allowed"),
    [(*cell, allowed) for cell, allowed in CELLS.items()],
    ids=[f"{ground.name}-{repeat.name}" for ground, repeat in CELLS],
)
def test_what_may_be_repeated(
    ground: Ground, repeat: Repeat, allowed: tuple[bool, ...]
) -> None:
    """A repeat is allowed where it does no harm, and the policy opens no other door."""
    finding = LOST._replace(ground=ground)
    policies = [
        RetryPolicy(repeat_unknown_create=creates, keys_honoured=honoured)
        for creates, honoured in product((False, True), repeat=2)
    ]

    judged = tuple(may_repeat(finding, repeat, policy) for policy in policies)

    assert judged == allowed


def test_the_table_leaves_no_cell_out() -> None:
    """Every ground is judged for every kind of operation."""
    cells = set(product(Ground, Repeat))

    assert set(CELLS) == cells


# -- how long to wait ---------------------------------------------------------------

SPREAD = st.floats(0, 1)
SECONDS = st.floats(0.001, 1e6)
PATIENT = st.builds(
    RetryPolicy,
    max_attempts=st.just(10_000),
    base_delay=SECONDS,
    max_delay=SECONDS,
)
ATTEMPTS = st.integers(1, 60) | st.integers(1, 9_999)
NO_CONFLICT = st.sampled_from([g for g in Ground if g is not Ground.CONFLICT])
VAST = RetryPolicy(max_attempts=9, base_delay=1e308, max_delay=1e308)
ENDLESS = RetryPolicy(max_attempts=5_001)


@given(policy=PATIENT, attempt=ATTEMPTS, spread=SPREAD, ground=NO_CONFLICT)
@example(policy=ENDLESS, attempt=5_000, spread=1.0, ground=Ground.UNSENT)
@example(policy=VAST, attempt=8, spread=1.0, ground=Ground.UNSENT)
def test_no_pause_leaves_its_bounds(
    policy: RetryPolicy, attempt: int, spread: float, ground: Ground
) -> None:
    """Without a word of the gateway, a pause is 0 to *max_delay*, attempt 5,000 too."""
    finding = LOST._replace(ground=ground)

    pause = next_pause(
        finding, policy, attempt=attempt, remaining=math.inf, spread=spread
    )

    assert pause is not None
    assert 0 <= pause <= policy.max_delay


@given(policy=PATIENT, attempt=st.integers(1, 30), spread=SPREAD)
def test_a_pause_doubles_at_most(
    policy: RetryPolicy, attempt: int, spread: float
) -> None:
    """The bound of the first pause is *base_delay*, and of each next one the double."""
    pause = next_pause(LOST, policy, attempt=attempt, remaining=math.inf, spread=spread)

    assert pause is not None
    assert pause <= policy.base_delay * 2 ** (attempt - 1)


@given(
    policy=PATIENT,
    attempt=ATTEMPTS,
    spread=SPREAD,
    hint=st.floats(0, 1e6),
    ground=NO_CONFLICT,
)
def test_no_pause_is_shorter_than_the_gateway_asks(
    policy: RetryPolicy, attempt: int, spread: float, hint: float, ground: Ground
) -> None:
    """``Retry-After`` is obeyed, and the jitter comes on top of it."""
    finding = LOST._replace(ground=ground, retry_after=hint)

    pause = next_pause(
        finding, policy, attempt=attempt, remaining=math.inf, spread=spread
    )

    assert pause is not None
    assert hint <= pause <= hint + policy.max_delay


@given(policy=PATIENT, attempt=ATTEMPTS, spread=SPREAD, hint=st.floats(0, 100))
@example(policy=RetryPolicy(), attempt=1, spread=0.0, hint=0.0)
def test_conflicts_are_a_second_apart(
    policy: RetryPolicy, attempt: int, spread: float, hint: float
) -> None:
    """The attempt that holds the key needs time, whatever the gateway asks."""
    finding = answered(409)._replace(retry_after=hint)

    pause = next_pause(
        finding, policy, attempt=attempt, remaining=math.inf, spread=spread
    )

    assert pause is not None
    assert pause >= max(1.0, hint)


@given(
    attempt=ATTEMPTS,
    spread=SPREAD,
    hint=st.none() | st.floats(0, 1e9),
    remaining=st.floats(-10, 100),
    ground=st.sampled_from(Ground),
)
@example(attempt=1, spread=0.0, hint=None, remaining=0.0, ground=Ground.UNSENT)
@example(attempt=1, spread=0.0, hint=None, remaining=-1.0, ground=Ground.UNSENT)
@example(attempt=1, spread=1.0, hint=5.0, remaining=5.0, ground=Ground.THROTTLED)
def test_a_pause_fits_the_time_that_is_left(
    attempt: int, spread: float, hint: float | None, remaining: float, ground: Ground
) -> None:
    """No pause ends at or after the deadline: there is time for an attempt, or none."""
    policy = RetryPolicy(max_attempts=10_000)
    finding = LOST._replace(ground=ground, retry_after=hint)

    pause = next_pause(
        finding, policy, attempt=attempt, remaining=remaining, spread=spread
    )

    assert pause is None or 0 <= pause < remaining


@given(attempt=ATTEMPTS, spread=SPREAD, hint=st.floats(0.001, 100), left=SECONDS)
def test_a_hint_that_fits_is_obeyed(
    attempt: int, spread: float, hint: float, left: float
) -> None:
    """The jitter never pushes a hint that fits out of the deadline."""
    policy = RetryPolicy(max_attempts=10_000)
    finding = answered(429)._replace(retry_after=hint)

    pause = next_pause(
        finding, policy, attempt=attempt, remaining=hint + left, spread=spread
    )

    assert pause is not None


@given(attempt=ATTEMPTS, spread=SPREAD, hint=st.floats(0.001, 1e9), share=SPREAD)
def test_a_hint_that_does_not_fit_stops_the_call(
    attempt: int, spread: float, hint: float, share: float
) -> None:
    """A call does not go on before the gateway wants it, nor after its deadline."""
    policy = RetryPolicy(max_attempts=10_000)
    finding = answered(429)._replace(retry_after=hint)

    pause = next_pause(
        finding, policy, attempt=attempt, remaining=hint * share, spread=spread
    )

    assert pause is None


@given(most=st.integers(1, 100), attempt=st.integers(1, 200), spread=SPREAD)
def test_no_call_is_tried_more_often_than_allowed(
    most: int, attempt: int, spread: float
) -> None:
    """After the last attempt there is no pause, and before it there is one."""
    policy = RetryPolicy(max_attempts=most)

    pause = next_pause(
        UNSENT, policy, attempt=attempt, remaining=math.inf, spread=spread
    )

    assert (pause is None) is (attempt >= most)


@pytest.mark.parametrize(
    ("attempt", "bound"),
    [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 3.2), (6, 6.4), (7, 10), (8, 10)],
)
def test_the_default_pauses_are_the_documented_ones(attempt: int, bound: float) -> None:
    """The highest roll of the die waits the whole bound: 0.2 s doubling up to 10 s."""
    policy = RetryPolicy(max_attempts=99)

    pause = next_pause(LOST, policy, attempt=attempt, remaining=60, spread=1.0)

    assert pause == pytest.approx(bound)


@pytest.mark.parametrize("spread", [0.0, 0.25, 0.5, 1.0])
def test_the_jitter_is_full(spread: float) -> None:
    """A pause is its share of the bound, down to none at all."""
    policy = RetryPolicy(max_attempts=99)

    pause = next_pause(LOST, policy, attempt=4, remaining=60, spread=spread)

    assert pause == pytest.approx(spread * 1.6)


def test_a_conflict_without_jitter_waits_a_second() -> None:
    """The shortest pause after a conflict is the documented one."""
    pause = next_pause(
        answered(409), RetryPolicy(), attempt=1, remaining=60, spread=0.0
    )

    assert pause == 1.0


def test_the_jitter_comes_on_top_of_a_hint() -> None:
    """Clients that were sent away together do not come back together."""
    finding = answered(429, retry_after=5.0)

    pause = next_pause(finding, RetryPolicy(), attempt=1, remaining=60, spread=1.0)

    assert pause == pytest.approx(5.2)


@given(looks=st.integers(1, 10_000), spread=SPREAD)
def test_looks_are_half_a_second_to_five_apart(looks: int, spread: float) -> None:
    """A session that is followed is looked at neither in a rush nor too late."""
    pause = look_pause(looks, spread)

    assert 0.25 <= pause <= 5.0


@pytest.mark.parametrize(
    ("looks", "spread", "pause"),
    [(1, 1.0, 0.5), (1, 0.0, 0.25), (2, 1.0, 0.75), (7, 1.0, 5.0), (7, 0.0, 2.5)],
)
def test_the_first_look_is_soon_and_the_last_ones_are_regular(
    looks: int, spread: float, pause: float
) -> None:
    """Pauses grow by a half from 0.5 s to 5 s, and half of each is jitter."""
    waited = look_pause(looks, spread)

    assert waited == pytest.approx(pause)


@given(looks=st.integers(1, 100), spread=SPREAD)
def test_looks_become_rarer(looks: int, spread: float) -> None:
    """The longer a customer takes, the longer is the pause, up to its bound."""
    pauses = [look_pause(looks, spread), look_pause(looks + 1, spread)]

    assert pauses == sorted(pauses)


# -- what the whole call came to ----------------------------------------------------

FINDINGS = st.sampled_from(
    [
        UNSENT,
        UNSENT._replace(ground=Ground.NONE),
        LOST,
        LOST._replace(ground=Ground.NONE, phase="parse", http_status=200),
        *(answered(status) for status in (303, 307, 400, 409, 429, 500, 501, 503)),
    ]
)
HISTORIES = st.lists(FINDINGS, min_size=1, max_size=6)


def histories_with(
    *among: Verdict, needed: Verdict
) -> st.SearchStrategy[list[Finding]]:
    """Draw attempts of the verdicts *among*, at least one of them the one *needed*."""
    one = FINDINGS.filter(lambda finding: finding.verdict is needed)
    more = st.lists(FINDINGS.filter(lambda finding: finding.verdict in among))
    return st.tuples(more, one, more).map(
        lambda parts: [*parts[0], parts[1], *parts[2]]
    )


def verdicts(findings: Sequence[Finding]) -> set[Verdict]:
    """Return all that the attempts proved."""
    return {finding.verdict for finding in findings}


@given(findings=HISTORIES, own_key=st.booleans())
def test_a_call_was_not_sent_if_no_attempt_was(
    *, findings: list[Finding], own_key: bool
) -> None:
    """`NotSentError` speaks for every attempt, and for nothing but that."""
    error = conclude(operation(own_key=own_key), findings, CALL)

    unsent = verdicts(findings) == {Verdict.NOT_SENT}
    assert isinstance(error, NotSentError) is unsent


@given(findings=histories_with(*Verdict, needed=Verdict.UNKNOWN), own_key=st.booleans())
def test_one_doubtful_attempt_makes_the_call_doubtful(
    *, findings: list[Finding], own_key: bool
) -> None:
    """Whatever the gateway says afterwards, a lost attempt may have been done."""
    error = conclude(operation(own_key=own_key), findings, CALL)

    assert isinstance(error, OutcomeUnknownError)


@given(
    histories_with(Verdict.NOT_SENT, Verdict.REJECTED, needed=Verdict.REJECTED),
)
def test_a_call_without_doubt_was_refused(findings: list[Finding]) -> None:
    """If some attempt was answered and none is in doubt, the answer stands."""
    error = conclude(operation(), findings, CALL)

    assert isinstance(error, ApiError)


@given(findings=HISTORIES, own_key=st.booleans())
def test_every_error_carries_the_last_answer(
    *, findings: list[Finding], own_key: bool
) -> None:
    """What can be quoted to the provider is what came back last."""
    numbered = [
        finding._replace(
            request_id=f"req_{number}", retry_after=float(number), param="p"
        )
        if finding.http_status
        else finding
        for number, finding in enumerate(findings)
    ]

    error = conclude(operation(own_key=own_key), numbered, CALL)

    last = ([UNSENT] + [finding for finding in numbered if finding.http_status])[-1]
    assert (error.http_status, error.request_id, error.retry_after, error.param) == (
        last.http_status,
        last.request_id,
        last.retry_after,
        last.param,
    )


@given(findings=HISTORIES, own_key=st.booleans())
def test_every_error_carries_the_account_of_the_call(
    *, findings: list[Finding], own_key: bool
) -> None:
    """Whatever the end, name, key, attempts and time of the call are on the error."""
    error = conclude(operation(own_key=own_key), findings, CALL)

    assert (
        error.operation,
        error.idempotency_key,
        error.attempts,
        error.elapsed,
    ) == ("create", "cg1-7", 3, 1.5)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, ApiError),
        (307, ApiError),
        (308, ApiError),
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, DeclinedError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, InvalidRequestError),
        (408, InvalidRequestError),
        (409, ConflictError),
        (413, InvalidRequestError),
        (418, InvalidRequestError),
        (422, InvalidRequestError),
        (425, InvalidRequestError),
        (429, RateLimitedError),
        (451, InvalidRequestError),
        (500, ServerError),
        (501, ServerError),
        (503, ServerError),
        (505, ServerError),
        (506, ServerError),
        (510, ServerError),
        (511, ServerError),
        (599, ServerError),
    ],
)
def test_the_class_of_a_refusal_follows_its_status(
    status: int, kind: type[ApiError]
) -> None:
    """The class says what to do, so callers need not know statuses."""
    refused = answered(status)._replace(verdict=Verdict.REJECTED)

    error = conclude(operation(), [refused], CALL)

    assert type(error) is kind


@pytest.mark.parametrize(
    ("status", "after_a_write", "after_a_read"),
    [
        (101, OutcomeUnknownError, OutcomeUnknownError),
        (302, OutcomeUnknownError, ApiError),
        (303, OutcomeUnknownError, ApiError),
        (307, ApiError, ApiError),
        (308, ApiError, ApiError),
        (408, OutcomeUnknownError, InvalidRequestError),
        (499, OutcomeUnknownError, InvalidRequestError),
        (500, OutcomeUnknownError, ServerError),
        (501, ServerError, ServerError),
        (502, OutcomeUnknownError, ServerError),
        (503, OutcomeUnknownError, ServerError),
        (504, OutcomeUnknownError, ServerError),
        (505, ServerError, ServerError),
        (506, ServerError, ServerError),
        (510, ServerError, ServerError),
        (511, ServerError, ServerError),
        (522, OutcomeUnknownError, ServerError),
        (600, OutcomeUnknownError, OutcomeUnknownError),
    ],
)
def test_the_same_status_may_mean_less_of_a_write(
    status: int, after_a_write: type[CallError], after_a_read: type[CallError]
) -> None:
    """What leaves a write in doubt is a plain refusal of a read."""
    findings = [answered(status, writes=writes) for writes in (True, False)]

    errors = [type(conclude(operation(), [finding], CALL)) for finding in findings]

    assert errors == [after_a_write, after_a_read]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, DeclinedError),
        (402, DeclinedError),
        (422, DeclinedError),
        (401, AuthenticationError),
        (404, NotFoundError),
        (501, ServerError),
    ],
)
def test_a_decline_code_refines_what_the_status_leaves_open(
    status: int, kind: type[ApiError]
) -> None:
    """Status first, the gateway's words second."""
    refused = answered(status, decline_code="account_restricted")

    error = conclude(operation(), [refused], CALL)

    assert type(error) is kind


def test_a_refusal_carries_all_that_the_gateway_said() -> None:
    """Type, message, parameter, decline code and charge are there to look at."""
    refused = answered(
        402,
        type="voucher_error",
        message="no",
        param="pin",
        decline_code="account_restricted",
        charge_id="ch_1",
    )

    error = conclude(operation(), [refused], CALL)

    assert isinstance(error, DeclinedError)
    assert (
        *(error.type, error.message, error.param),
        *(error.decline_code, error.charge_id, error.reason),
    ) == ("voucher_error", "no", "pin", "account_restricted", "ch_1", "HTTP 402")


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        pytest.param(
            UNSENT,
            "the connection broke; after that the gateway could not be reached",
            id="refused-connection",
        ),
        pytest.param(
            answered(400), "the connection broke; after that HTTP 400", id="400"
        ),
        pytest.param(
            answered(429, request_id="req_2", retry_after=7.0),
            "the connection broke; after that HTTP 429",
            id="429",
        ),
        pytest.param(LOST, "the connection broke", id="lost-again"),
    ],
)
def test_a_lost_attempt_is_not_forgotten(last: Finding, reason: str) -> None:
    """The error tells first what is in doubt, then what came last."""
    error = conclude(operation(), [LOST, last], CALL)

    assert isinstance(error, OutcomeUnknownError)
    assert (error.reason, error.phase) == (reason, "head")
    assert (error.http_status, error.request_id, error.retry_after) == (
        last.http_status,
        last.request_id,
        last.retry_after,
    )


def test_the_phase_is_that_of_the_last_doubtful_attempt() -> None:
    """How far the newest of the lost attempts came is what one wants to know."""
    error = conclude(operation(), [LOST, answered(500), answered(429)], CALL)

    assert (error.phase, error.reason) == ("status", "HTTP 500; after that HTTP 429")


def test_an_attempt_that_was_not_sent_leaves_an_earlier_answer_standing() -> None:
    """A refusal followed by a broken line is still a refusal, with its hint."""
    error = conclude(operation(), [answered(429, retry_after=7.0), UNSENT], CALL)

    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 7.0


def test_calls_that_were_never_sent_tell_the_last_reason() -> None:
    """What happened last is what has to be mended first."""
    dns = UNSENT._replace(reason="the gateway's name could not be looked up")

    error = conclude(operation(), [UNSENT, dns], CALL)

    assert isinstance(error, NotSentError)
    assert error.reason == "the gateway's name could not be looked up"


@pytest.mark.parametrize(
    ("own_key", "kind"), [(True, OutcomeUnknownError), (False, ConflictError)]
)
def test_a_conflict_under_the_callers_key_is_doubtful(
    kind: type[ApiError] | type[OutcomeUnknownError], *, own_key: bool
) -> None:
    """Under a key that the caller chose, an earlier call may be at work."""
    error = conclude(operation(own_key=own_key), [answered(409)], CALL)

    assert (type(error), error.http_status) == (kind, 409)


def test_a_doubtful_conflict_ended_at_its_status() -> None:
    """The phase of a conflict in doubt is the status, which is all there is."""
    error = conclude(operation(own_key=True), [answered(409)], CALL)

    assert (error.phase, error.reason) == ("status", "HTTP 409")


def test_a_conflict_after_a_lost_attempt_is_doubtful() -> None:
    """The lost attempt may be the one that is in the way."""
    error = conclude(operation(), [LOST, answered(409)], CALL)

    assert isinstance(error, OutcomeUnknownError)


def test_a_conflict_under_the_callers_key_outlives_a_broken_line() -> None:
    """An attempt that was not sent says nothing about the call that holds the key."""
    error = conclude(operation(own_key=True), [answered(409), UNSENT], CALL)

    assert isinstance(error, OutcomeUnknownError)


def test_a_doubtful_call_carries_the_session_as_last_seen() -> None:
    """What was read afterwards is handed to the caller along with the doubt."""
    session = CheckoutSession(id="s1")

    error = conclude(operation(), [LOST], CALL, session)

    assert error.session is session


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("sent", [True, False], ids=["sent", "unsent"])
def test_an_error_names_what_broke(kind: FailureKind, *, sent: bool) -> None:
    """A full pool and a gateway that is down are told apart without reading prose."""
    finding = judge_failure(Failure(kind=kind, sent=sent))

    error = conclude(operation(), [finding], CALL)

    assert error.failure is kind


def test_an_error_names_what_left_it_in_doubt() -> None:
    """The attempt that may have been done counts, not the one after it."""
    lost = judge_failure(Failure(kind=FailureKind.DISCONNECTED, sent=True))
    unsent = judge_failure(Failure(kind=FailureKind.CONNECT, sent=False))

    assert conclude(operation(), [lost, unsent], CALL).failure is lost.failure


def test_an_answer_is_no_failure() -> None:
    """Where the gateway said no, nothing broke."""
    refused = Finding(
        verdict=Verdict.REJECTED, ground=Ground.NONE, reason="no", http_status=400
    )

    assert conclude(operation(), [refused], CALL).failure is None
