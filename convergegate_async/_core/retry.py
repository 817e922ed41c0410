"""Whether to go again, how long to wait first, and what the whole call came to."""

from collections.abc import Sequence
from typing import Any

import attrs

from convergegate_async.errors import (
    ApiError,
    AuthenticationError,
    CallError,
    ConflictError,
    DeclinedError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from convergegate_async.models import Answer, CallInfo, CheckoutSession
from convergegate_async.policy import RetryPolicy

from .endpoints import Repeat
from .operations import Operation
from .verdicts import Finding, Ground, Verdict

CONFLICT_PAUSE = 1.0  # seconds: the attempt that is at work needs time to end
_MOST_DOUBLINGS = 60  # 2.0 ** 1024 would overflow


# -- whether to go again, and when -------------------------------------------------


FIRST_LOOK = 0.5  # seconds; a customer takes 40 to 90 to confirm
LONGEST_LOOK = 5.0


def look_pause(looks: int, spread: float) -> float:
    """Return the seconds to wait after so many *looks*: growing, half of it jitter."""
    ceiling = min(LONGEST_LOOK, FIRST_LOOK * 1.5 ** min(looks - 1, _MOST_DOUBLINGS))
    return ceiling * (1 + spread) / 2


class RetryBudget:
    """A bucket of repeats that starts full; every success earns a part of one.

    It bounds what our repeats add to a gateway in trouble: one bucket, and from there
    *budget_ratio* of what still succeeds (DESIGN.md, *Retry-After and the budget*).
    """

    __slots__ = ("_earning", "_size", "tokens")

    def __init__(self, policy: RetryPolicy) -> None:
        self._size = float(policy.budget)
        self._earning = policy.budget_ratio
        self.tokens = self._size

    def earn(self) -> None:
        """Count a successful call."""
        if self.tokens < self._size:
            self.tokens = min(self._size, self.tokens + self._earning)

    def spend(self) -> bool:
        """Take one repeat out, if there is one."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def may_repeat(finding: Finding, repeat: Repeat, policy: RetryPolicy) -> bool:
    """Tell whether an attempt with *finding* may be sent again at all."""
    ground = finding.ground
    if ground is Ground.NONE:
        return False
    if ground in (Ground.UNSENT, Ground.THROTTLED):
        return True
    if ground in (Ground.TOO_EARLY, Ground.CONFLICT):
        return repeat is not Repeat.NEVER
    return (
        repeat is Repeat.FREELY
        or (repeat is Repeat.UNDER_KEY and policy.repeat_unknown_create)
        or (repeat is Repeat.UNDER_HONOURED_KEY and policy.keys_honoured)
    )


def next_pause(
    finding: Finding,
    policy: RetryPolicy,
    *,
    attempt: int,
    remaining: float,
    spread: float,
) -> float | None:
    """Return the seconds to wait before the next attempt, or `None` to stop.

    Full jitter, ``uniform(0, min(max_delay, base_delay * 2 ** (attempt - 1)))``, on top
    of what the gateway asked for.

    Args:
        finding: What the last attempt showed; it may be repeated.
        policy: How patient to be.
        attempt: How many attempts were made.
        remaining: Seconds until the deadline.
        spread: The die already rolled, from 0 to 1.
    """
    if attempt >= policy.max_attempts:
        return None
    doublings = min(attempt - 1, _MOST_DOUBLINGS)
    ceiling = min(policy.max_delay, policy.base_delay * 2.0**doublings)
    hint = finding.retry_after or 0.0
    if finding.ground is Ground.CONFLICT:
        hint = max(hint, CONFLICT_PAUSE)
    if hint:
        # A hint that fits the deadline is obeyed: the jitter must not push it out.
        ceiling = min(ceiling, max(0.0, (remaining - hint) / 2))
    pause = hint + spread * ceiling
    return pause if pause < remaining else None


# -- what the whole call came to ---------------------------------------------------

_BY_STATUS: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    402: DeclinedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}


def conclude(
    operation: Operation[Answer],
    findings: Sequence[Finding],
    call: CallInfo,
    session: CheckoutSession | None = None,
) -> CallError:
    """Return the error that speaks for the whole call, all its attempts together.

    `NotSentError` only if every attempt was not sent, `ApiError` only if none ended
    unknown, else `OutcomeUnknownError` with what the last answer said (DESIGN.md, *An
    error speaks for the whole call*).
    """
    last = findings[-1]
    about: dict[str, Any] = {
        "operation": operation.endpoint.name,
        "attempts": call.attempts,
        "elapsed": call.elapsed,
        "idempotency_key": call.idempotency_key,
    }
    if all(finding.verdict is Verdict.NOT_SENT for finding in findings):
        return NotSentError(reason=last.reason, failure=last.failure, **about)
    answers = [finding for finding in findings if finding.http_status is not None]
    doubtful = [finding for finding in findings if finding.verdict is Verdict.UNKNOWN]
    if not doubtful and operation.own_key and answers[-1].ground is Ground.CONFLICT:
        # The first attempt under this key may have been an earlier call's.
        doubtful = [answers[-1]]
    if doubtful:
        reason = doubtful[-1].reason
        if last.reason != reason:
            reason = f"{reason}; after that {last.reason}"
        return OutcomeUnknownError(
            reason=reason,
            phase=doubtful[-1].phase,
            failure=doubtful[-1].failure,
            session=session,
            **about,
            **(_reported(OutcomeUnknownError, answers[-1]) if answers else {}),
        )
    answer = answers[-1]
    kind = _refusal(answer)
    return kind(reason=answer.reason, **about, **_reported(kind, answer))


# What stands apart from the answer may be an earlier attempt's.
_ANSWERED = {*Finding._fields} - {"failure", "phase", "reason"}


def _reported(kind: type[CallError], answer: Finding) -> dict[str, Any]:
    """Return what *answer* says, as far as an error of this *kind* carries it."""
    shared = {field.name for field in attrs.fields(kind)} & _ANSWERED
    return {name: getattr(answer, name) for name in shared}


def _refusal(answer: Finding) -> type[ApiError]:
    """Choose the class by status first, by the gateway's words second."""
    status = answer.http_status or 0
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    match status // 100:
        case 4 if answer.decline_code is not None:
            return DeclinedError
        case 4:
            return InvalidRequestError
        case 5:
            return ServerError
        case _:
            return ApiError
