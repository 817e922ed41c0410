"""HTTP as values: operation → request, response → answer or finding."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import attrs

from convergegate_async._version import __version__
from convergegate_async.errors import ConfigurationError
from convergegate_async.models import Answer, CallInfo

from .codec import structure
from .operations import Operation
from .redaction import is_free_of, redacted
from .settings import Settings
from .strict_json import (
    MOST_COMMAS,
    TooManyPartsError,
    decode_json,
    has_duplicate_key,
)
from .verdicts import (
    ERROR_WORDS,
    Finding,
    Ground,
    Verdict,
    is_success,
    judge_status,
)

A = TypeVar("A", bound=Answer)

BODY_LIMIT = 1_048_576
"""How many bytes of a body are read at most, in either direction."""

REMEMBERED = 16
"""How many ids are remembered of each connection."""

COMMON_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a compressed body may hide its truncation
    "User-Agent": f"convergegate-async/{__version__}",
}
"""What every request says beside its own headers."""

KEY_HEADER = "Idempotency-Key"

ID_HEADERS = ("request-id", "x-request-id")
"""The headers that name an answer, in lower case."""

READ_HEADERS = (*ID_HEADERS, "date", "retry-after")
"""The headers of an answer that mean something to us, in lower case."""

_MOST_OF_AN_APP = 100  # characters
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token of RFC 9110
_PRODUCT = f"{_WORD}(?:/{_WORD})?"  # its section 10.1.5
_MOST_SHOWN = 200  # characters of the gateway's text
_SECONDS = re.compile(r"[0-9]{1,9}")


@attrs.define
class HttpRequest:
    """What goes onto the wire; the same value for every attempt of a call.

    Attributes:
        authorization: Whose call it is, in the words of the header.
        idempotency_key: `None` on what has no need of one.
        body: Its form; empty where a POST has no fields.
    """

    method: str
    url: str = attrs.field(repr=False)
    authorization: str = attrs.field(repr=False)
    idempotency_key: str | None = attrs.field(default=None, repr=False)
    body: bytes | None = attrs.field(default=None, repr=False)

    @property
    def shared_headers(self) -> dict[str, str]:
        """What all say that have the same authorization and a body, or none, as it."""
        headers = {"Authorization": self.authorization}
        if self.body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return headers

    @property
    def headers(self) -> dict[str, str]:
        """What it says beside `COMMON_HEADERS`."""
        headers = self.shared_headers
        if self.idempotency_key is not None:
            headers[KEY_HEADER] = self.idempotency_key
        return headers


class Connection:
    """What answers come over, and what it has brought so far.

    Attributes:
        answers: How many answers.
    """

    __slots__ = ("_ids", "answers")

    def __init__(self) -> None:
        self.answers: int = 0
        self._ids: dict[str, str | None] = {}  # the last named, each with its key

    def note(self, identifier: str) -> None:
        """Note what a look has named, which has no key."""
        self._keep(identifier, self._ids.pop(identifier, None))

    def claim(self, identifier: str, key: str, *, own_key: bool) -> bool:
        """Note what an answer under *key* names; tell whether it may be that one's.

        Under its own key an id may come back: that is what keys are for. What a look
        has named may have been made under the caller's *own_key*, long ago.
        """
        known = self._ids.pop(identifier, key)
        if known != key and not (known is None and own_key):
            return False
        self._keep(identifier, key)
        return True

    def _keep(self, identifier: str, key: str | None) -> None:
        self._ids[identifier] = key
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]


@attrs.define
class HttpResponse:
    """What came back.

    Attributes:
        headers: Those of `READ_HEADERS` that were there, named in lower case; of a 2xx
            `ID_HEADERS` are enough.
        all_headers: What a caller may see of them all.
        connection: What it came over; `None` if the transport does not know.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    all_headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    connection: Connection | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def may_be_late(self) -> bool:
        """Tell whether it may be a second answer to an earlier request."""
        return self.connection is not None and self.connection.answers > 1


def common_headers(app_info: object) -> dict[str, str]:
    """Return what every request of one pool says beside its own headers.

    Args:
        app_info: Who calls through us, such as ``my-shop/1.2``: one product as in a
            ``User-Agent`` (RFC 9110); `None` for nobody.

    Raises:
        ConfigurationError: It is not one product of at most 100 characters.
    """
    if app_info is None:
        return COMMON_HEADERS
    if (
        not isinstance(app_info, str)
        or len(app_info) > _MOST_OF_AN_APP
        or not re.fullmatch(_PRODUCT, app_info)
    ):
        message = (
            "app_info must be a name, or a name and a version, such as my-shop/1.2: "
            f"token characters of RFC 9110, at most {_MOST_OF_AN_APP} in all"
        )
        raise ConfigurationError(message)
    return COMMON_HEADERS | {"User-Agent": f"{COMMON_HEADERS['User-Agent']} {app_info}"}


def build_request(operation: Operation[A], settings: Settings) -> HttpRequest:
    """Return the message that makes *operation*."""
    method, body = operation.endpoint.method, operation.body
    if body is None and method == "POST":
        body = b""  # or aiohttp's session would call nothing an octet stream
    url = settings.base_url + operation.path
    authorization = settings.authorization.reveal()
    return HttpRequest(method, url, authorization, operation.idempotency_key, body)


def parse_response(
    operation: Operation[A],
    response: HttpResponse,
    *,
    settings: Settings,
    account: Callable[[int, str | None, Mapping[str, str]], CallInfo],
    now: float,
) -> A | Finding:
    """Return the answer, whoever asked for it, or what its absence shows.

    Args:
        operation: What was asked.
        response: What came back.
        settings: Whose key must not show up.
        account: Makes what an answer tells of its call, of its status, request id and
            headers.
        now: The time, in epoch seconds, where the response has no date of its own.
    """
    header = response.headers.get
    request_id = header("request-id") or header("x-request-id")
    if is_success(response.status):
        if request_id:
            request_id = _shown_id(request_id, operation, settings)
        call = account(response.status, request_id or None, response.all_headers)
        return _read_answer(operation, response.body, call)
    verdict, ground = judge_status(response.status, writes=operation.endpoint.writes)
    hidden = (*operation.sent, *settings.spellings.reveal())
    words = _read_error(response.body, hidden)
    reason = f"HTTP {response.status}"
    if words.get("message"):
        reason = f"{reason}, {words['message']}"
    return Finding(
        verdict=verdict,
        ground=ground,
        reason=reason,
        phase="status",
        http_status=response.status,
        request_id=shown(request_id, hidden),
        retry_after=parse_retry_after(
            response.headers.get("retry-after"), response.headers.get("date"), now
        ),
        **words,
    )


def _read_answer(operation: Operation[A], body: bytes, call: CallInfo) -> A | Finding:
    try:
        raw = decode_json(body)
    except TooManyPartsError:
        reason = f"the answer has more than {MOST_COMMAS:,} commas, and was not read"
        return _unreadable(call, reason, Ground.AMBIGUOUS)
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        return _unreadable(call, "the answer is not a JSON object", Ground.AMBIGUOUS)
    answer = structure(operation.endpoint.answer, raw, call)
    if answer is None:
        # Something was done that we cannot name: a repeat would only add to it.
        return _unreadable(call, "the answer has no usable id", Ground.NONE)
    if has_duplicate_key(body, raw):
        return _unreadable(call, "the answer names a field twice", Ground.NONE)
    return answer


def _unreadable(call: CallInfo, reason: str, ground: Ground) -> Finding:
    return Finding(
        verdict=Verdict.UNKNOWN,
        ground=ground,
        reason=f"HTTP {call.http_status}, but {reason}",
        phase="parse",
        http_status=call.http_status,
        request_id=call.request_id,
    )


# -- the error envelope -------------------------------------------------------------


def _read_error(body: bytes, hidden: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Read the provider's envelope, ``{"error": {...}}``, however broken.

    Whatever is not a text where a text belongs is left out.
    """
    try:
        document = decode_json(body)
    except ValueError:
        document = None
    error = document.get("error", document) if isinstance(document, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        error = {}
    hidden = tuple(hidden)
    return {word: shown(error.get(word), hidden) for word in ERROR_WORDS}


def shown(text: object, hidden: Iterable[tuple[str, str]]) -> str | None:
    """Return the gateway's *text*, fit to be printed: short, without what was sent."""
    if not isinstance(text, str) or not text:
        return None
    text = redacted(text, hidden, _MOST_SHOWN)
    if not text.isprintable():
        seen = ("\ufffd" if _is_unprintable(letter) else letter for letter in text)
        text = "".join(seen)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def _is_unprintable(letter: str) -> bool:
    """Tell whether *letter* controls, breaks or turns round a line, or is none."""
    return "\u202a" <= letter <= "\u202e" or (
        unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"}
    )


def _shown_id(
    request_id: str, operation: Operation[Answer], settings: Settings
) -> str | None:
    """Return the gateway's name for an answer, as `shown` does, at less expense."""
    secrets = settings.spellings.reveal()
    # What is hidden of a look was sent by its call: no form of its own tells of it.
    form = b"" if operation.noun is None else operation.body
    if (
        form is not None
        and len(request_id) <= _MOST_SHOWN
        and is_free_of(request_id, form, secrets)
    ):
        return request_id
    return shown(request_id, (*operation.sent, *secrets))


# -- Retry-After --------------------------------------------------------------------


def parse_retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """Return the seconds that the gateway asks to wait, or `None` if it is unclear.

    Args:
        value: The header: up to nine ASCII digits, or an HTTP date (RFC 9110).
        date: The answer's own ``Date``, which a date is measured against, so that a
            wrong clock on either side does no harm.
        now: The local time in epoch seconds, where the answer has no date.
    """
    value = (value or "").strip(" \t")
    if _SECONDS.fullmatch(value):
        return float(value)
    until = parse_date(value)
    if until is None:
        return None
    since = parse_date((date or "").strip(" \t"))
    start = now if since is None else since.timestamp()
    return max(0.0, until.timestamp() - start)


def parse_date(value: str) -> datetime | None:
    """Return the moment of an HTTP date, in any of its three forms."""
    if not value.isascii() or not value[:1].isalpha():
        return None
    try:
        date = parsedate_to_datetime(value)
        # RFC 850 and asctime carry no zone that the parser knows: HTTP dates are UTC.
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
