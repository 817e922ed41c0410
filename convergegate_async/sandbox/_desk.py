"""Where requests are answered: authorisation, fields, the book. No network here.

The rules for fields are those of the SDK's own requests, so that they stand once. Where
the real gateway's behaviour is not documented, the comment says "assumed".
"""

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import attrs

from convergegate_async._core.operations import MINIMUM_LIFETIME
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest

from ._book import Book, KeptAnswer, moment

_BRACKETS = re.compile(r"metadata\[([^\[\]]*)\]")
_FIELDS = {field.name for field in attrs.fields(CheckoutSessionRequest)}
_REQUIRED = [
    field.name
    for field in attrs.fields(CheckoutSessionRequest)
    if field.default is attrs.NOTHING
]


@attrs.frozen(kw_only=True)
class Reply:
    """What the gateway answers."""

    status: int
    document: Mapping[str, object]
    replayed: bool = False


class Desk:
    """Answers as the gateway does.

    Args:
        book: The gateway's memory.
        api_key: Whose requests are answered.
        honour_keys: Answer a repeated idempotency key with the first answer (assumed:
            the provider documents nothing of the kind).
    """

    def __init__(self, book: Book, api_key: str, *, honour_keys: bool) -> None:
        self.book = book
        self.honour_keys = honour_keys
        self._authorizations = {
            f"Basic {base64.b64encode(f'{api_key}:'.encode()).decode()}",
            f"Bearer {api_key}",
        }

    def admits(self, authorization: str | None) -> bool:
        """Tell whether the header holds our key, by Basic or as a Bearer."""
        return authorization in self._authorizations

    def create(self, body: bytes, key: str | None, base_url: str, now: float) -> Reply:
        """Open a session, or say which field is wrong."""
        kept = self.book.answers.get(key) if key and self.honour_keys else None
        if kept is not None and kept.request_body != body:
            message = "this idempotency key was used with another request"
            return refusal(422, message, param="Idempotency-Key")  # assumed
        if kept is not None:
            return Reply(status=200, document=kept.answer, replayed=True)
        try:
            request = read_create_form(body, now)
        except InvalidFieldError as error:
            return refusal(400, f"{error.field} {error.reason}", param=error.field)
        answer = self.book.open_session(request, base_url).as_created()
        if key and self.honour_keys:
            self.book.answers[key] = KeptAnswer(body, answer)
        return Reply(status=200, document=answer)

    def retrieve(self, session_id: str) -> Reply:
        """Tell how a session stands."""
        session = self.book.find_session(session_id)
        if session is None:
            return refusal(404, "no such checkout session", param="id")
        return Reply(status=200, document=session.as_retrieved())


def refusal(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
) -> Reply:
    """Return the documented error envelope (API contract 2.3)."""
    error = {"message": message, "type": kind}
    if param is not None:
        error["param"] = param
    return Reply(status=status, document={"error": error})


def read_create_form(body: bytes, now: float) -> CheckoutSessionRequest:
    """Read the form of a new session.

    Raises:
        InvalidFieldError: A field is missing, unknown, given twice or breaks its rule.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
        )
    except ValueError:
        pairs = None
    if pairs is None:
        field, reason = "body", "must be application/x-www-form-urlencoded in UTF-8"
        raise InvalidFieldError(field, reason)
    values = _gather(pairs)
    missing = next((name for name in _REQUIRED if not values.get(name)), None)
    if missing is not None:
        reason = "is required"
        raise InvalidFieldError(missing, reason)
    request = CheckoutSessionRequest(**values)  # type: ignore[arg-type]  # its own rules check it
    expires_at = request.expires_at
    if expires_at is not None and expires_at.timestamp() - now < MINIMUM_LIFETIME:
        field, reason = "expires_at", "must be at least 2.5 hours ahead"
        raise InvalidFieldError(field, reason)
    return request


def _gather(pairs: list[tuple[str, str]]) -> dict[str, object]:
    values: dict[str, object] = {}
    metadata: dict[str, str] = {}
    methods: list[str] = []
    for name, text in pairs:
        bracketed = _BRACKETS.fullmatch(name)
        if bracketed is not None:
            metadata[bracketed[1]] = text
        elif name == "payment_method":
            methods.append(text)
        elif name not in _FIELDS or name == "metadata":
            reason = "is not a field of this request"  # assumed: refused, not ignored
            raise InvalidFieldError(name[:50], reason)
        elif name in values:
            reason = "is given twice"
            raise InvalidFieldError(name, reason)
        else:
            values[name] = _read_scalar(name, text)
    if metadata:
        values["metadata"] = metadata
    if methods:
        values["payment_method"] = _known_methods(methods)
    return values


def _known_methods(methods: list[str]) -> tuple[str, ...]:
    if set(methods) != {"blik"}:
        field, reason = "payment_method", "must be blik"
        raise InvalidFieldError(field, reason)
    return ("blik",)


def _read_scalar(name: str, text: str) -> object:
    if name not in {"amount", "expires_at"} or not text:
        return text
    try:
        return int(text) if name == "amount" else moment(text)
    except (ValueError, OverflowError, OSError):
        reason = "must be an integer"
    raise InvalidFieldError(name, reason)
