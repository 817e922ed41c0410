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
class Created:
    """The session exists.

    Attributes:
        index: The place of the request among the requests, from 0.
        request: What was asked.
        idempotency_key: The key that every attempt carried.
        session: What was opened.
    """

    index: int
    request: CheckoutSessionRequest = attrs.field(repr=False)
    idempotency_key: str | None
    session: CheckoutSession


@attrs.frozen(kw_only=True)
class Rejected:
    """There is no session: the gateway said no, or the request was refused unsent."""

    index: int
    request: CheckoutSessionRequest = attrs.field(repr=False)
    idempotency_key: str | None
    error: ApiError | InvalidFieldError


@attrs.frozen(kw_only=True)
class NotSent:
    """There is no session: provably nothing reached the gateway."""

    index: int
    request: CheckoutSessionRequest = attrs.field(repr=False)
    idempotency_key: str | None
    error: NotSentError


@attrs.frozen(kw_only=True)
class Unknown:
    """There may be a session, whose id nobody knows."""

    index: int
    request: CheckoutSessionRequest = attrs.field(repr=False)
    idempotency_key: str | None
    error: OutcomeUnknownError


Outcome: TypeAlias = Created | Rejected | NotSent | Unknown


def outcome_of(
    index: int,
    request: CheckoutSessionRequest,
    key: str | None,
    result: CheckoutSession | CallError | InvalidFieldError,
) -> Outcome:
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
