"""What became of one row: four nouns, one for each verdict."""

from typing import TypeAlias

import attrs

from convergegate_async.errors import (
    ApiError,
    CallError,
    InvalidFieldError,
    NotSentError,
    OutcomeUnknownError,
)
from convergegate_async.models import CheckoutSession, CheckoutSessionRequest


@attrs.frozen(kw_only=True)
class _Row:
    """What every outcome tells.

    Attributes:
        index: The place of the request among the requests, from 0.
        request: What was asked.
        idempotency_key: The key that every attempt carried.
    """

    index: int
    request: CheckoutSessionRequest = attrs.field(repr=False)
    idempotency_key: str | None


@attrs.frozen(kw_only=True)
class Created(_Row):
    """The session exists."""

    session: CheckoutSession


@attrs.frozen(kw_only=True)
class Rejected(_Row):
    """There is no session: the gateway said no, or the request was refused unsent."""

    error: ApiError | InvalidFieldError


@attrs.frozen(kw_only=True)
class NotSent(_Row):
    """There is no session: provably nothing reached the gateway."""

    error: NotSentError


@attrs.frozen(kw_only=True)
class Unknown(_Row):
    """There may be a session, whose id nobody knows."""

    error: OutcomeUnknownError


RowOutcome: TypeAlias = Created | Rejected | NotSent | Unknown


def outcome_of(
    index: int,
    request: CheckoutSessionRequest,
    key: str | None,
    result: CheckoutSession | CallError | InvalidFieldError,
) -> RowOutcome:
    """Return the noun for what a `create` answered or raised."""
    match result:
        case CheckoutSession():
            key = result.call.idempotency_key
            return Created(
                index=index, request=request, idempotency_key=key, session=result
            )
        case InvalidFieldError():
            return Rejected(
                index=index, request=request, idempotency_key=key, error=result
            )
        case NotSentError():
            noun: type[NotSent | Unknown | Rejected] = NotSent
        case OutcomeUnknownError():
            noun = Unknown
        case _:
            noun = Rejected
    return noun(
        index=index,
        request=request,
        idempotency_key=result.idempotency_key,
        error=result,  # type: ignore[arg-type]  # chosen to fit above
    )
