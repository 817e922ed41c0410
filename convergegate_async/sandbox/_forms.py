"""Forms as they come in, read into the SDK's own requests: each rule stands once."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import parse_qsl

import attrs

from convergegate_async._core.moments import from_epoch
from convergegate_async._core.operations import lives_long_enough
from convergegate_async._core.redaction import Hidden, redacted
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest, RefundRequest, rules

_BRACKETS = re.compile(r"metadata\[([^\[\]]*)\]")
_NUMBERS = frozenset({"amount", "expires_at"})

_CREATE_FIELDS = tuple(field.name for field in attrs.fields(CheckoutSessionRequest))
_CREATE_REQUIRED = tuple(
    field.name
    for field in attrs.fields(CheckoutSessionRequest)
    if field.default is attrs.NOTHING
)
_REFUND_FIELDS = ("session_id", "amount", "reason", "metadata")
_SHOWN = frozenset(
    field.name
    for request in (CheckoutSessionRequest, RefundRequest)
    for field in attrs.fields(request)
    if field.repr and field.metadata.get("wire") is not False
)
_LONGEST_SEARCHED = 8 * 1024  # bytes; each value is searched for each of the others
_MOST_PAIRS = 200
_MOST_SHOWN = 100  # characters of a value


def read_create_form(body: bytes, now: float) -> CheckoutSessionRequest:
    """Read the form of a new session.

    Raises:
        InvalidFieldError: A field is missing, unknown, given twice or breaks its rule.
    """
    values = _read(body, _CREATE_FIELDS, _CREATE_REQUIRED)
    if values.get("payment_method") not in (None, "", ("blik",)):
        field, reason = "payment_method", "must be blik"
        raise InvalidFieldError(field, reason)
    # Assumed: every currency is taken. BLIK is PLN, but the provider lists none, and
    # has samples in others.
    request = CheckoutSessionRequest(**values)  # type: ignore[arg-type]  # its own rules check it
    if not lives_long_enough(request.expires_at, now):
        field, reason = "expires_at", "must be at least 2.5 hours ahead"
        raise InvalidFieldError(field, reason)
    return request


def read_kept_form(body: bytes) -> CheckoutSessionRequest:
    """Read a form that was accepted once; its time may have passed."""
    return CheckoutSessionRequest(**_read(body, _CREATE_FIELDS, _CREATE_REQUIRED))  # type: ignore[arg-type]  # its own rules check it


def read_refund_form(body: bytes) -> RefundRequest:
    """Read the form of a refund; without an amount it is a full one.

    Raises:
        InvalidFieldError: A field is missing, unknown, given twice or breaks its rule.
    """
    values = _read(body, _REFUND_FIELDS, ("session_id",))
    values["full"] = not values.get("amount")
    return RefundRequest(**values)  # type: ignore[arg-type]  # its own rules check it


def refunded_session(body: bytes) -> str | None:
    """Return which session a refund is for, also where its form is refused."""
    try:
        return dict(_parse(body)).get("session_id")
    except InvalidFieldError:
        return None


def read_pay_form(body: bytes) -> str:
    """Read the code of a payment.

    Raises:
        InvalidFieldError: It is not six digits.
    """
    return read_code(_read(body, ("blik_code",), ("blik_code",))["blik_code"])


def read_code(code: object) -> str:
    """Return a code as it is.

    Raises:
        InvalidFieldError: It is not six digits.
    """
    if not rules.is_blik_code(code):
        field, reason = "blik_code", "must be six digits"
        raise InvalidFieldError(field, reason)
    return str(code)


def masked_form(body: bytes, customer: Hidden = ()) -> Iterator[str]:
    """Yield a form's pairs, personal values and texts of the shop's own by name only.

    What is shown is searched for what is not: a customer can be called like a locale.
    A body that is far longer than any shop's is not searched, and only its size told.

    Args:
        body: The form.
        customer: That of the session it is about, who may have no field in there.
    """
    try:
        texts = pairs_of(body)
    except ValueError as error:
        yield str(error)
        return
    hidden = [
        *customer,
        *((name, value) for name, value in texts if name not in _SHOWN),
    ]
    for name, value in texts:
        if name in _SHOWN:
            yield f"{name}={redacted(value, hidden, _MOST_SHOWN)}"
            continue
        field = name.partition("[")[0]
        if field in _CREATE_FIELDS:
            yield f"{field}{'[…]' if '[' in name else ''}=[{field}]"
        else:
            yield "extra[…]=[extra]"  # and its name may tell as much


def pairs_of(body: bytes) -> list[tuple[str, str]]:
    """Return the pairs of a form that are searched and shown.

    Raises:
        ValueError: It is no form, or far longer than any shop's; in the words that are
            shown instead.
    """
    if len(body) > _LONGEST_SEARCHED:
        message = f"[body of {len(body)} bytes]"
        raise ValueError(message)
    with suppress(ValueError):
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MOST_PAIRS,
            errors="strict",
        )
    message = "[body]"
    raise ValueError(message)


def _read(
    body: bytes, fields: Iterable[str], required: Iterable[str]
) -> dict[str, object]:
    values = _gather(_parse(body), frozenset(fields))
    missing = next((name for name in required if not values.get(name)), None)
    if missing is not None:
        reason = "is required"
        raise InvalidFieldError(missing, reason)
    return values


def _parse(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
        )
    except ValueError:  # it holds what the customer typed
        field, reason = "body", "must be application/x-www-form-urlencoded in UTF-8"
    raise InvalidFieldError(field, reason)


def _gather(
    pairs: Iterable[tuple[str, str]], fields: frozenset[str]
) -> dict[str, object]:
    values: dict[str, object] = {}
    metadata: dict[str, str] = {}
    extra: dict[str, str] = {}
    for name, text in pairs:
        bracketed = _BRACKETS.fullmatch(name)
        if bracketed is not None and "metadata" in fields:
            metadata[bracketed[1]] = text
        elif name == "metadata" or not (name in fields or "extra" in fields):
            reason = "is not a field of this request"
            raise InvalidFieldError(name[:50], reason)
        elif name in values or name in extra:
            reason = "is given twice"
            raise InvalidFieldError(name, reason)
        elif name not in fields or name == "extra":
            extra[name] = text  # assumed: kept, and otherwise ignored
        elif name == "payment_method" and text:
            values[name] = (text,)
        else:
            values[name] = _read_number(name, text) if name in _NUMBERS else text
    if metadata:
        values["metadata"] = metadata
    if extra:
        values["extra"] = extra
    return values


def _read_number(name: str, text: str) -> object:
    if not text:
        return None
    try:
        number = int(text)
        return number if name == "amount" else from_epoch(number)
    except ValueError:
        reason = "must be an integer"
        raise InvalidFieldError(name, reason) from None
