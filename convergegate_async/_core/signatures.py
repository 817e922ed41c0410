"""Webhooks: trust first (signature, age), meaning second (event).

The provider gives pseudo-code only: HMAC-SHA-256, keyed with the SHA-256 of the secret,
over the ``Sec-Timestamp`` header followed at once by the body. That the key is the raw
digest and the signature lower-case hex is assumed; both can be chosen otherwise, and
never more than one reading is tried (DESIGN.md, *Webhook signatures*).
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

import attrs

from convergegate_async.errors import (
    BadPayloadError,
    BadSignatureError,
    StaleWebhookError,
    WebhookError,
)
from convergegate_async.models import WebhookEvent
from convergegate_async.models.code_generation import sealed

from .codec import read_fields
from .strict_json import decode_json

TIMESTAMP_HEADER = "Sec-Timestamp"
SIGNATURE_HEADER = "Sec-Signature"
_HEADERS = (TIMESTAMP_HEADER, SIGNATURE_HEADER)
# In lower case: as it was sent, and as CGI and WSGI spell it.
_SPELLINGS = {
    prefix + header.lower().replace("-", dash).encode(): header
    for header in _HEADERS
    for prefix, dash in ((b"", "-"), (b"", "_"), (b"http_", "_"))
}
_NAME_LENGTHS = set(map(len, _SPELLINGS))  # most other names are passed over by these

# int() would also take " 1700000000", "+1", "1_7" and digits of other scripts.
_TIMESTAMP = re.compile(rb"[0-9]{10}(?:[0-9]{3})?")
_SECONDS_DIGITS = 10
_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{43}=")

Sign = Callable[[bytes, bytes, bytes], bytes]
"""Signs *timestamp* and *body* with *key*."""


def derive_webhook_key(secret: str, derivation: str) -> bytes:
    """Return the key of the signature: the secret's digest, ``raw`` or in ``hex``."""
    digest = sha256(secret.encode())
    return digest.digest() if derivation == "raw" else digest.hexdigest().encode()


def sign_hex(key: bytes, timestamp: bytes, body: bytes) -> bytes:
    """Return the signature in lower-case hex."""
    return hmac.digest(key, timestamp + body, "sha256").hex().encode()


def sign_base64(key: bytes, timestamp: bytes, body: bytes) -> bytes:
    """Return the signature in base64."""
    return b64encode(hmac.digest(key, timestamp + body, "sha256"))


def read_headers(headers: object) -> tuple[bytes, bytes] | WebhookError:
    """Return timestamp and signature as received, or what is wrong with them.

    Args:
        headers: A mapping, or pairs, of text or bytes; a WSGI environ is one. A name
            counts in any case, with ``_`` for ``-``, and as WSGI's ``HTTP_SEC_…``; two
            different values of one header are refused: nobody knows which was signed.
    """
    found: dict[str, set[bytes]] = {header: set() for header in _HEADERS}
    try:
        for name, value in _pairs(headers):
            if len(name) not in _NAME_LENGTHS:
                continue
            header = _SPELLINGS.get(_bytes(name).lower())
            if header is not None:
                several = value if isinstance(value, list | tuple) else [value]
                found[header].update(map(_bytes, several))
    except (TypeError, ValueError):
        return BadSignatureError("the headers cannot be read")
    for header, values in found.items():
        if not values:
            return BadSignatureError(
                f"there is no {header} header (some proxies strip Sec-* headers)"
            )
        if len(values) > 1:
            return BadSignatureError(f"there are several {header} headers")
    (timestamp,), (signature,) = found.values()
    return timestamp, signature


def check_signature(
    keys: Sequence[bytes], timestamp: bytes, signature: bytes, body: bytes, sign: Sign
) -> WebhookError | None:
    """Compare with every key, in constant time and without stopping early."""
    if not _TIMESTAMP.fullmatch(timestamp):
        return BadSignatureError("the timestamp has neither 10 nor 13 digits")
    if sign is sign_hex:
        shape, signature = _HEX, signature.lower()
    else:
        shape = _BASE64
    if not shape.fullmatch(signature):
        return BadSignatureError("the signature is malformed")
    matched = False
    for key in keys:
        matched |= hmac.compare_digest(sign(key, timestamp, body), signature)
    return None if matched else BadSignatureError("the signature does not match")


def read_event(body: bytes) -> WebhookEvent | WebhookError:
    """Read a validly signed body; what it does not tell stays `None`."""
    try:
        raw = decode_json(body)
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        return BadPayloadError("the body is not a JSON object")
    data = raw.get("data")
    if not isinstance(data, dict):
        data = {}
    fields = {
        "id": raw.get("id"),
        "type": raw.get("type"),
        "version": raw.get("version"),
        "created_at": raw.get("created_at"),
        "session_id": data.get("session_id"),
        "refund_id": data.get("refund_id"),
        "status": data.get("status"),
    }
    draft, _ = read_fields(WebhookEvent, fields)
    if not draft.id or not draft.type:
        return BadPayloadError("the event has no id or no type")
    draft.raw, draft.stale = raw, False
    return sealed(draft, WebhookEvent)


def check_age(
    event: WebhookEvent,
    timestamp: bytes,
    now: float,
    tolerance: float | None,
    oldest: float,
) -> WebhookError | None:
    """Refuse what was signed longer ago, or further ahead, than *tolerance* seconds.

    The refusal holds the event, unless it is beyond *oldest*: then nothing shall come
    of it, as whoever has kept a delivery can send it for ever.
    """
    moment = int(timestamp)
    seconds = moment if len(timestamp) == _SECONDS_DIGITS else moment / 1_000
    distance = abs(now - seconds)
    if not distance <= oldest:  # nan, too
        reason = f"the timestamp is more than {oldest:g} seconds from now"
        return StaleWebhookError(reason)
    if tolerance is None or distance <= tolerance:
        return None
    stale = attrs.evolve(event, stale=True)
    reason = f"the timestamp is more than {tolerance:g} seconds from now"
    return StaleWebhookError(reason, event=stale)


def _pairs(headers: object) -> Iterable[tuple[str | bytes, object]]:
    items = getattr(headers, "items", None)
    return items() if callable(items) else headers  # type: ignore[return-value]  # a wrong one raises TypeError


def _bytes(text: object) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode("latin-1")  # as a server read it; else ValueError
    raise TypeError
