"""Everything we raise, and what to do about it.

    ConvergeGateError
    ├── ConfigurationError          the factory, a policy or the environment is wrong
    ├── InvalidFieldError           a request or argument refused before the wire
    ├── CallError                   a call to the gateway failed
    │   ├── NotSentError            nothing of it reached the gateway: send it again
    │   ├── OutcomeUnknownError     it may have been done: ask before sending again
    │   │   └── WaitTimeoutError    `wait` ran out of time
    │   └── ApiError                the gateway said no
    │       ├── InvalidRequestError     400, 422 and the like: correct the request
    │       ├── AuthenticationError     401: correct the key
    │       ├── DeclinedError           402: ask for another code
    │       ├── PermissionDeniedError   403: ask the provider
    │       ├── NotFoundError           404: correct the id or the base URL
    │       ├── ConflictError           409: look at the session first
    │       ├── RateLimitedError        429: come back after *retry_after*
    │       └── ServerError             5xx: not done, come back later
    └── WebhookError                a delivery that must not be trusted
        ├── BadSignatureError       answer 400
        ├── StaleWebhookError       validly signed, but old: confirm its event, if any
        └── BadPayloadError         answer 400, or 413 if too large

An error speaks for the whole call, not for its last attempt. All times are in seconds.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, TypeVar

import attrs

if TYPE_CHECKING:
    from convergegate_async.models import CheckoutSession, WebhookEvent


class Outcome(StrEnum):
    """What is known of a call that failed."""

    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    REJECTED = "rejected"


class FailureKind(StrEnum):
    """What broke, where no whole answer came."""

    CONNECT = "connect"
    """The gateway could not be reached."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection was opened in time."""
    POOL_TIMEOUT = "pool_timeout"
    """All connections of the pool stayed busy."""
    NO_DESCRIPTOR = "no_descriptor"
    """This process has no file descriptor left."""
    DNS = "dns"
    """The gateway's name could not be looked up just now."""
    UNKNOWN_HOST = "unknown_host"
    """The gateway's name does not exist."""
    HANDSHAKE = "handshake"
    """The TLS handshake failed."""
    CERTIFICATE = "certificate"
    """The gateway's certificate is not trusted."""
    PROXY = "proxy"
    """The proxy could not be reached."""
    PROXY_REFUSAL = "proxy_refusal"
    """The proxy refused to connect."""
    ADDRESS = "address"
    """The base URL or proxy URL cannot be used."""
    STRAY = "stray"
    """The connection held bytes that nobody asked for."""
    CLOSED = "closed"
    """The factory was closed, or the owner of its connector has closed that."""
    TIMEOUT = "timeout"
    """Time ran out."""
    DISCONNECTED = "disconnected"
    """The connection was closed without an answer."""
    BROKEN = "broken"
    """The connection broke."""
    HEAD = "head"
    """The head of the answer could not be read."""
    HEAD_TOO_LARGE = "head_too_large"
    """The head of the answer held more than 256 lines, or one of over 16 KiB."""
    BODY = "body"
    """The body of the answer was truncated or broken."""
    ENCODED = "encoded"
    """The answer was compressed although that was not asked for."""
    TOO_LARGE = "too_large"
    """The answer was larger than 1 MiB."""
    UNEXPECTED = "unexpected"
    """The connection failed in an unforeseen way."""


class ConvergeGateError(Exception):
    """The root of all errors of this package."""


class ConfigurationError(ConvergeGateError):
    """The factory, a policy or the environment is wrong; no call can succeed."""


class InvalidFieldError(ConvergeGateError, ValueError):
    """A request or an argument was refused before anything was sent.

    Attributes:
        field: The field's name, as in the gateway's documentation.
        reason: What is wrong with it, without its value.
        problems: Field and reason of all that is wrong, this first one included.
    """

    def __init__(self, field: str, reason: str, *more: tuple[str, str]) -> None:
        super().__init__(field, reason, *more)
        self.field = field
        self.reason = reason
        self.problems: tuple[tuple[str, str], ...] = ((field, reason), *more)

    def __str__(self) -> str:
        return "; ".join(f"{field} {reason}" for field, reason in self.problems)


@attrs.define(auto_exc=False, eq=False, kw_only=True, repr=False, slots=False)
class CallError(ConvergeGateError):
    """A call to the gateway failed; *outcome* tells what is known of it.

    Attributes:
        operation: The name of the call, such as ``create``.
        reason: What happened last, in plain words.
        attempts: How often it was tried, tries that were never sent included.
        elapsed: Seconds from the start of the call to this error.
        idempotency_key: The key that every attempt carried.
        http_status: The status of the last answer.
        request_id: The gateway's name for the last answer, to quote in a ticket.
        retry_after: Seconds that the gateway asked to wait.
        type: The gateway's word for the kind of error.
        message: The gateway's own words, with the request's values taken out.
        param: The field that the gateway blames.
        session: The session as last seen, where one was read; a pickle leaves out what
            its `repr` does. On `create` it is one that a doubtful answer named: send no
            customer there before `retrieve`.
        phase: How far the attempt of unknown outcome got: ``sent``, ``head``,
            ``body``, ``status``, ``parse`` or ``echo``.
        failure: What broke, where that attempt brought no whole answer.
    """

    outcome: ClassVar[Outcome]
    _verb: ClassVar[str]

    operation: str
    reason: str = "no reason was given"
    attempts: int = 0
    elapsed: float = 0.0
    idempotency_key: str | None = None
    http_status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    type: str | None = None
    message: str | None = None
    param: str | None = None
    session: "CheckoutSession | None" = None
    phase: str | None = None
    failure: FailureKind | None = None

    def __attrs_post_init__(self) -> None:
        Exception.__init__(self, str(self))  # what `args` and pickles hold

    def __str__(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        notes = [tries] if self.attempts else []
        if self.idempotency_key is not None:
            notes.append(f"idempotency key {self.idempotency_key}")
        if self.request_id is not None:
            notes.append(f"request id {self.request_id}")
        tail = f" ({', '.join(notes)})" if notes else ""
        return f"{self.operation} {self._verb}: {self.reason}{tail}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Callable[..., "CallError"], tuple[object, ...]]:
        # Keyword-only exceptions do not unpickle by themselves.
        fields = {
            field.name: getattr(self, field.name) for field in attrs.fields(type(self))
        }
        if self.session is not None:
            fields["session"] = _what_is_shown(self.session)
        return _rebuilt, (type(self), fields)


N = TypeVar("N", bound=attrs.AttrsInstance)


def _what_is_shown(noun: N) -> N:
    """Return *noun* as its `repr` shows it: without the customer, and what came raw.

    Pickles go where errors are kept, and are kept longer.
    """
    return type(noun)(
        **{
            field.name: getattr(noun, field.name)
            for field in attrs.fields(type(noun))
            if field.repr or field.name == "call"
        }
    )


def _rebuilt(kind: Callable[..., CallError], fields: dict[str, object]) -> CallError:
    return kind(**fields)


class NotSentError(CallError):
    """Provably nothing of this call reached the gateway; it may be made again."""

    outcome = Outcome.NOT_SENT
    _verb = "was not sent"


class OutcomeUnknownError(CallError):
    """The call may have been done; look before making it again.

    Repeating a `create` or `refund` with the same *idempotency_key* is the only
    repeat that cannot do it twice, and only if the gateway honours keys.
    """

    outcome = Outcome.UNKNOWN
    _verb = "has an unknown outcome"


class WaitTimeoutError(OutcomeUnknownError, TimeoutError):
    """`wait` ran out of time; *session* is what was last seen."""


@attrs.define(auto_exc=False, eq=False, kw_only=True, repr=False, slots=False)
class ApiError(CallError):
    """The gateway answered, and its answer means: not done.

    Attributes:
        decline_code: The issuer's reason, where the gateway gives one.
        charge_id: The failed charge, where the gateway names one.
    """

    outcome = Outcome.REJECTED
    _verb = "was rejected"

    decline_code: str | None = None
    charge_id: str | None = None


class InvalidRequestError(ApiError):
    """The gateway does not accept the request as it is (400, 422 and the like)."""


class AuthenticationError(ApiError):
    """The gateway does not know the API key (401)."""


class DeclinedError(ApiError):
    """The request was understood, and the payment declined (402)."""


class PermissionDeniedError(ApiError):
    """The API key may not do this (403)."""


class NotFoundError(ApiError):
    """There is no such session or refund (404)."""


class ConflictError(ApiError):
    """The session's state, or another request under the same key, forbids it (409)."""


class RateLimitedError(ApiError):
    """Too many requests (429); come back after *retry_after*."""


class ServerError(ApiError):
    """The gateway failed without doing what was asked (5xx)."""

    _verb = "failed at the gateway"


class WebhookError(ConvergeGateError):
    """A webhook delivery that must not be acted upon.

    Attributes:
        reason: What is wrong, without a part of the delivery in it.
        http_status: What to answer.
    """

    def __init__(self, reason: str, http_status: int = 400) -> None:
        super().__init__(reason, http_status)
        self.reason = reason
        self.http_status = http_status

    def __str__(self) -> str:
        return self.reason


class BadSignatureError(WebhookError):
    """The signature is missing, malformed or not ours."""


class BadPayloadError(WebhookError):
    """The body is validly signed and still not an event, or too large (413)."""


class StaleWebhookError(WebhookError):
    """Validly signed, but older or newer than the tolerance.

    Attributes:
        event: What was delivered. Do not act on it; confirm it by `retrieve`. `None` if
            it was signed so long ago that it can only be a replay: answer 400.
    """

    def __init__(
        self, reason: str, http_status: int = 400, event: "WebhookEvent | None" = None
    ) -> None:
        super().__init__(reason, http_status)
        self.event = event

    def __reduce__(self) -> tuple[object, ...]:
        event = None if self.event is None else _what_is_shown(self.event)
        return type(self), (self.reason, self.http_status, event)
