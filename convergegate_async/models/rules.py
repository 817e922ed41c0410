"""What a field may hold: each rule returns the value to send, or refuses it.

The rules are the provider's (its pages on *create* and metadata) plus what any gateway
would choke on: control characters and lone surrogates are refused in every text. No
refusal repeats the value, which may be personal data.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from typing import ParamSpec, TypeAlias, TypeVar, cast
from urllib.parse import unquote, urlsplit

from convergegate_async.errors import InvalidFieldError

from .answers import CheckoutSession, Refund
from .enums import RefundReason

Rule: TypeAlias = Callable[[str, object], object]
P = ParamSpec("P")
T = TypeVar("T")

MAX_AMOUNT = 2**53
MAX_TEXT = 2_048
MAX_METADATA_KEYS = 50
MAX_METADATA_KEY = 50
MAX_METADATA_VALUE = 500
MAX_EXTRA = 50

_MOST_OF_A_LABEL = 63
# ASCII letters, digits, - and _, and whatever is not ASCII.
_HOST_LABEL = rf"[^\x00-,./:-@\[-^`{{-\x7f\s]{{1,{_MOST_OF_A_LABEL}}}"
_HOST = re.compile(rf"{_HOST_LABEL}(\.{_HOST_LABEL})*\.?")
_ATOM = r'[^\s@<>()\[\]\\,;:".]+'
_EMAIL = re.compile(
    rf'(?=[^@]{{1,64}}@)({_ATOM}(\.{_ATOM})*|"[^"\\\s@]+")'
    rf"@{_HOST_LABEL}(\.{_HOST_LABEL})+"
)
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
LOCALE = re.compile(
    r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*|[xXiI](-[A-Za-z0-9]{1,8})+"  # x: private use
)
CURRENCY = re.compile("[a-z]{3}")
COUNTRY = re.compile("[A-Z]{2}")
_SESSION_ID = re.compile(r"[A-Za-z0-9_+=-]{1,128}")
_EXTRA_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}(\[[A-Za-z0-9_-]{0,100}\]){0,9}")
_BLIK_CODE = re.compile(r"[0-9]{6}")
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,255}")


def made_or_refused(
    make: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T | InvalidFieldError:
    """Return what *make* makes, or its refusal without the frames that saw values.

    Whoever raises it forgets the values first: tracebacks show locals.
    """
    try:
        return make(*args, **kwargs)
    except InvalidFieldError as error:
        return error.with_traceback(None)


def plain(value: object) -> object:
    """Return the value of an enum's member, and a text or number of no subclass.

    Members are written by their names, and other subclasses by what they make up:
    nothing but the text or number itself may be sent. Anything else is as it was.
    """
    if type(value) in (str, int):
        return value
    if isinstance(value, Enum) and isinstance(value.value, str | int):
        value = value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__index__(value)
    return value


def text(field: str, value: object) -> str:
    """Accept 1 to 2,048 printable characters."""
    if type(value) is not str:
        value = plain(value)
    if not isinstance(value, str):
        raise InvalidFieldError(field, "must be a str")
    if not value:
        raise InvalidFieldError(field, "must not be empty")
    if len(value) > MAX_TEXT:
        raise InvalidFieldError(field, f"must hold at most {MAX_TEXT:,} characters")
    if not value.isprintable() and any(map(_is_control, value)):
        reason = "must not hold control characters or lone surrogates"
        raise InvalidFieldError(field, reason)
    return value


def _is_control(letter: str) -> bool:
    """Tell whether *letter* is a control character or a lone surrogate."""
    return unicodedata.category(letter) in {"Cc", "Cs"}


def _is_seen(letter: str) -> bool:
    """Tell whether *letter* is neither white space nor a format character.

    `str.isprintable` would refuse what Python's Unicode does not know yet.
    """
    return unicodedata.category(letter) not in {"Zs", "Zl", "Zp", "Cf"}


def name(field: str, value: object) -> str:
    """Accept a text of which something can be seen."""
    value = text(field, value)
    if not any(map(_is_seen, value)):
        raise InvalidFieldError(field, "must hold something that can be seen")
    return value


def is_payable(value: int) -> bool:
    """Tell whether *value* is from 1 to 2^53."""
    return 0 < value <= MAX_AMOUNT


def amount(field: str, value: object) -> int:
    """Accept a whole number of minor units, 1 to 2^53."""
    if type(value) is not int:
        value = plain(value)
    if not isinstance(value, int) or isinstance(value, bool):
        reason = 'must be an int of minor units: minor_units("49.99", "PLN") makes one'
        raise InvalidFieldError(field, reason)
    if value <= 0:
        raise InvalidFieldError(field, "must be above zero")
    if not is_payable(value):
        raise InvalidFieldError(field, f"must be at most {MAX_AMOUNT:,} minor units")
    return value


def currency(field: str, value: object) -> str:
    """Accept three ASCII letters in any case; they are sent in lower case."""
    value = text(field, value)
    if not (value.isascii() and CURRENCY.fullmatch(value.lower())):
        raise InvalidFieldError(field, "must be a three-letter ISO 4217 code")
    return value.lower()


def email(field: str, value: object) -> str:
    """Accept something@domain.tld, without white space or what cannot be seen."""
    value = text(field, value)
    if not all(letter == " " or _is_seen(letter) for letter in value):
        raise InvalidFieldError(field, "must not hold what cannot be seen")
    if not _EMAIL.fullmatch(value) or not is_host(value.rpartition("@")[2]):
        raise InvalidFieldError(field, "must be an e-mail address")
    return value


def phone(field: str, value: object) -> str:
    """Accept a number in E.164, such as +48123456789."""
    value = text(field, value)
    if not PHONE.fullmatch(value):
        raise InvalidFieldError(field, "must be a phone number in E.164 (+48123456789)")
    return value


def is_host(host: str) -> bool:
    """Tell whether *host* is an IP address, or a name whose labels are not too long."""
    if ":" in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    if not all(map(_is_seen, host)) or not _HOST.fullmatch(host):
        return False
    # A label that is not ASCII is looked up as xn-- and its Punycode.
    return host.isascii() or all(
        label.isascii() or len(label.encode("punycode")) <= _MOST_OF_A_LABEL - 4
        for label in host.split(".")
    )


def is_url(value: str) -> bool:
    """Tell whether *value* is an absolute http or https URL."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and is_host(unquote(parts.hostname or ""))
        and "\\" not in parts.netloc  # browsers take it for a slash
        and " " not in value
    )


def is_proxy(value: str) -> bool:
    """Tell whether *value* is the URL of a proxy, and of no more than that.

    A password with ``/``, ``?`` or ``#`` in it ends the host before its user has ended:
    the user would be called, and the password taken for a port.
    """
    if not is_url(value) or any(map(_is_control, value)):
        return False
    parts = urlsplit(value)
    return parts.path in {"", "/"} and not (parts.query or parts.fragment)


def url(field: str, value: object) -> str:
    """Accept an absolute http or https URL."""
    value = text(field, value)
    if not is_url(value):
        raise InvalidFieldError(field, "must be an absolute http or https URL")
    return value


def ip_address(field: str, value: object) -> str:
    """Accept an IPv4 or IPv6 address."""
    value = text(field, value)
    try:
        ipaddress.ip_address(value)
        usable = "%" not in value
    except ValueError:
        usable = False
    if not usable:
        raise InvalidFieldError(field, "must be an IPv4 or IPv6 address")
    return value


def country(field: str, value: object) -> str:
    """Accept two ASCII letters (ISO 3166-1 alpha-2); they are sent in upper case."""
    value = text(field, value)
    if not (value.isascii() and COUNTRY.fullmatch(value.upper())):
        raise InvalidFieldError(field, "must be a two-letter ISO 3166 code")
    return value.upper()


def locale(field: str, value: object) -> str:
    """Accept an IETF language tag, such as pl or en-GB."""
    value = text(field, value)
    if not LOCALE.fullmatch(value):
        raise InvalidFieldError(field, "must be an IETF language tag (pl, en-GB)")
    return value


def session_id(field: str, value: object) -> str:
    """Accept 1 to 128 of ``A-Z a-z 0-9 _ + = -``, so that no id can leave its path."""
    value = plain(value)
    if not isinstance(value, str) or not _SESSION_ID.fullmatch(value):
        reason = "must be 1 to 128 letters, digits or any of _ + = -"
        if isinstance(value, CheckoutSession | Refund):
            reason = "must be an id: give the answer's .id, not the answer"
        raise InvalidFieldError(field, reason)
    return value


def idempotency_key(field: str, value: object) -> str:
    """Accept 1 to 255 of ``A-Z a-z 0-9 . _ : -``, safe in a header."""
    value = plain(value)
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        reason = "must be 1 to 255 letters, digits or any of . _ : -"
        raise InvalidFieldError(field, reason)
    return value


def is_blik_code(value: object) -> bool:
    """Tell whether *value* is six digits in a `str`; leading zeros matter.

    It is asked instead of raising, so that a wrong code stays in no frame.
    """
    return isinstance(value, str) and _BLIK_CODE.fullmatch(value) is not None


def moment(field: str, value: object) -> datetime:
    """Accept an aware datetime, or what `read_epoch` makes one of."""
    if not isinstance(value, datetime):
        value = read_epoch(value)  # type: ignore[arg-type]  # whatever it is
    if not isinstance(value, datetime) or value.utcoffset() is None:
        reason = "must be a datetime with a time zone, or whole epoch seconds"
        raise InvalidFieldError(field, reason)
    return value


def read_epoch(value: datetime | int | None) -> datetime | None:
    """Return the time in UTC that whole seconds tell; the rule judges all else."""
    if value is None:
        return None
    seconds = plain(value)
    if isinstance(seconds, int) and not isinstance(seconds, bool):
        with suppress(ValueError, OverflowError, OSError):  # outside of the calendar
            return datetime.fromtimestamp(seconds, UTC)
    return cast("datetime | None", value)


def words(field: str, value: object) -> tuple[str, ...]:
    """Accept a tuple or list of non-empty texts."""
    if not isinstance(value, (tuple, list)):
        raise InvalidFieldError(field, "must be a tuple or list of texts")
    if are_words(value):
        return tuple(value)
    return tuple([name(field, word) for word in value])


def are_words(values: Sequence[object]) -> bool:
    """Tell by one look that *values* are names."""
    for value in values:  # to set up `all` and `map` costs as much as three words
        if type(value) is not str or not is_of_letters(value):
            return False
    return True


def is_of_letters(value: str) -> bool:
    """Tell by one look that *value* is a name."""
    return value.isalpha() and len(value) <= MAX_TEXT


def metadata(field: str, value: object) -> Mapping[str, str]:
    """Accept up to 50 keys of up to 50 characters with values of up to 500."""
    if not isinstance(value, (dict, Mapping)):  # most are a dict, which is told sooner
        raise InvalidFieldError(field, "must be a mapping of str to str")
    if len(value) > MAX_METADATA_KEYS:
        raise InvalidFieldError(field, f"must hold at most {MAX_METADATA_KEYS} keys")
    kept: dict[str, str] = {}
    for pair in value.items():
        key, content = pair
        if type(key) is not str or type(content) is not str:
            key, content = _plain_pair(field, *pair)
        if not (key and key.isprintable()):
            text(field, key)  # tells why it cannot be sent, or that it can
        if len(key) > MAX_METADATA_KEY or "[" in key or "]" in key:
            reason = f"keys must hold at most {MAX_METADATA_KEY} characters, no [ or ]"
            raise InvalidFieldError(field, reason)
        if len(content) > MAX_METADATA_VALUE:
            reason = f"values must hold at most {MAX_METADATA_VALUE} characters"
            raise InvalidFieldError(field, reason)
        if not content.isprintable():
            text(field, content)
        kept[key] = content
    if len(kept) < len(value):
        raise InvalidFieldError(field, "must not hold a key twice")
    return kept


def _plain_pair(field: str, *pair: object) -> tuple[str, str]:
    key, content = map(plain, pair)
    if not isinstance(key, str) or not isinstance(content, str):
        raise InvalidFieldError(field, "must map str to str")
    return key, content


def further_pairs(
    field: str, value: object, known: Collection[str]
) -> Mapping[str, str]:
    """Accept up to 50 pairs of texts, none of them named as one of the *known* fields.

    Some frameworks read a dot or a space in a name as ``_``, and any case: with none of
    that no pair can be taken for a field.
    """
    if not isinstance(value, Mapping):
        raise InvalidFieldError(field, "must be a mapping of str to str")
    if len(value) > MAX_EXTRA:
        raise InvalidFieldError(field, f"must hold at most {MAX_EXTRA} pairs")
    kept: dict[str, str] = {}
    for pair in value.items():
        name, content = _plain_pair(field, *pair)
        if not _EXTRA_NAME.fullmatch(name):
            reason = "names must hold letters, digits, _ and -, such as a or a[b]"
            raise InvalidFieldError(field, reason)
        stem = name.partition("[")[0].lower()
        if stem in known:
            raise InvalidFieldError(field, f"must not hold {stem}, which is a field")
        kept[name] = "" if content == "" else text(field, content)
    if len(kept) < len(value):
        raise InvalidFieldError(field, "must not hold a name twice")
    return kept


def refund_reason(field: str, value: object) -> str:
    """Accept one of the documented reasons."""
    value = text(field, value)
    if value not in set(RefundReason):
        raise InvalidFieldError(field, f"must be one of {', '.join(RefundReason)}")
    return RefundReason(value)
