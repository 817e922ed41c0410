"""What became of one row: four nouns, one for each verdict."""

from typing import Any, ClassVar, Protocol, TypeAlias

import attrs

from convergegate_async._core.endpoints import ENDPOINTS
from convergegate_async.errors import (
    ApiError,
    CallError,
    ConvergeGateError,
    InvalidFieldError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
)
from convergegate_async.models import CheckoutSession, CheckoutSessionRequest
from convergegate_async.models.code_generation import new_draft, sealed

_PENDING = (NotSentError, RateLimitedError)
_LOOKS = frozenset(endpoint.name for endpoint in ENDPOINTS if not endpoint.writes)


class Outcome(Protocol):
    """What became of something that was asked of the gateway."""

    @property
    def error(self) -> ConvergeGateError | None:
        """Why it is not done; `None` if it is."""


@attrs.define
class Numbered:
    """A request with an identity of its own, wherever it is sent.

    Attributes:
        index: The place of the request among the requests, from 0.
        idempotency_key: A random one if `None`.
        body: The request's form, if it was encoded before; used only with a key.
        row_id: The id of the row that it is of, in a job.
    """

    index: int
    request: CheckoutSessionRequest = attrs.field(repr=False)
    idempotency_key: str | None
    body: bytes | None = attrs.field(default=None, repr=False)
    row_id: str | None = None


@attrs.frozen(kw_only=True)
class _Row:
    """What every outcome tells.

    Attributes:
        index: The place of the request among the requests, from 0.
        request: What was asked.
        idempotency_key: The key that every attempt carried.
        row_id: The id of the row, in a job; `create_many` knows none.
    """

    index: int
    request: CheckoutSessionRequest = attrs.field(repr=False)
    idempotency_key: str | None
    row_id: str | None = None


@attrs.frozen(kw_only=True)
class Created(_Row):
    """The session exists."""

    session: CheckoutSession

    error: ClassVar[None] = None
    """`None`: nothing went wrong."""


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


def is_pending(outcome: Outcome) -> bool:
    """Tell whether the call left all as it was: sent later, it may become anything.

    A 429 is of that kind: it was refused before any work, and not for the row's sake.
    """
    return isinstance(outcome.error, _PENDING)


def is_unanswered(outcome: Outcome) -> bool:
    """Tell whether the gateway gave no answer of any use, so that it may be down.

    A 5xx leaves a write unknown, and is a refusal of a look, which changes nothing; it
    is of that kind all the same. The few of them that refuse a write are about it.
    """
    error = outcome.error
    if isinstance(error, ServerError):
        return error.operation in _LOOKS
    return isinstance(error, OutcomeUnknownError)


def outcome_of(
    item: Numbered, result: CheckoutSession | CallError | InvalidFieldError
) -> RowOutcome:
    """Return the noun for what a `create` answered or raised."""
    if isinstance(result, CheckoutSession):
        created = new_draft(Created)  # as most rows are
        created.index = item.index
        created.request = item.request
        created.idempotency_key = result.call.idempotency_key
        created.row_id = item.row_id
        created.session = result
        return sealed(created, Created)
    sent = item if isinstance(result, InvalidFieldError) else result
    fields: dict[str, Any] = {
        "index": item.index,
        "request": item.request,
        "idempotency_key": sent.idempotency_key,
        "row_id": item.row_id,
    }
    match result:
        case NotSentError():
            return NotSent(**fields, error=result)
        case OutcomeUnknownError():
            return Unknown(**fields, error=result)
        case ApiError() | InvalidFieldError():
            return Rejected(**fields, error=result)
        case _:  # a CallError is one of the three
            raise AssertionError(type(result))
