"""Verify a delivery, sign one, and confirm at the gateway what it says."""

import time
from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from convergegate_async._core import signatures
from convergegate_async._core.messages import BODY_LIMIT
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import problem_of_key
from convergegate_async.errors import BadPayloadError, ConfigurationError, WebhookError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import CheckoutSession, Refund, WebhookEvent
from convergegate_async.policy import is_duration

KeyDerivation = Literal["raw", "hex"]
SignatureEncoding = Literal["hex", "base64"]

_DERIVATIONS = ("raw", "hex")
_SIGNS = {"hex": signatures.sign_hex, "base64": signatures.sign_base64}


class WebhookVerifier:
    """Tells the gateway's deliveries from all others.

    Give it the raw bytes, and ask again what is true::

        verifier = WebhookVerifier(api_key)
        event = verifier.verify(body, headers)
        session = await confirm(event, checkout)

    Args:
        secrets: Your API key, from which the signature's key derives; several while you
            rotate it (add the new one here first, then rotate, then take the old one
            out). One verifier per mode: do not mix test and live keys.
        tolerance: How old a delivery may be to be fresh, in seconds and in both
            directions; `None` for as old as *oldest*.
        oldest: How old one may be to be an event at all, in seconds and in both
            directions; not below *tolerance*. The gateway delivers again for three
            days, perhaps under the first timestamp.
        key_derivation: Whether the secret's digest is used raw (assumed) or in hex.
        signature_encoding: Whether the signature comes in hex (assumed) or in base64.

    Raises:
        ConfigurationError: A secret, the tolerance or the oldest cannot be right.
    """

    def __init__(
        self,
        secrets: Iterable[str] | str,
        *,
        tolerance: float | None = 300,
        oldest: float = 302_400,
        key_derivation: KeyDerivation = "raw",
        signature_encoding: SignatureEncoding = "hex",
    ) -> None:
        given: object = (secrets,) if isinstance(secrets, str) else secrets
        hidden = tuple(map(Secret, given if isinstance(given, Iterable) else ()))
        del secrets, given  # tracebacks show locals
        if not hidden:
            message = "give the webhook secret, or several"
            raise ConfigurationError(message)
        for one in hidden:
            _require_usable(one)
        if tolerance is not None and not is_duration(tolerance):
            message = "the tolerance must be a number of seconds above 0, or None"
            raise ConfigurationError(message)
        if not is_duration(oldest) or (tolerance is not None and oldest < tolerance):
            message = "the oldest must be a number of seconds, not below the tolerance"
            raise ConfigurationError(message)
        _check_reading(key_derivation, signature_encoding)
        self._keys = [
            Secret(signatures.derive_webhook_key(one.reveal(), key_derivation))
            for one in hidden
        ]
        self.tolerance = tolerance
        self.oldest = oldest
        self._sign = _SIGNS[signature_encoding]
        signatures.read_event(b"{}")  # loads what the first delivery would wait for

    def verify(
        self,
        body: bytes | bytearray | memoryview,
        headers: "Mapping[str, str] | Iterable[tuple[object, object]]",
        now: float | None = None,
    ) -> WebhookEvent:
        """Return the event, or raise; there is no third way.

        Args:
            body: The raw bytes, as received: not parsed, not decoded.
            headers: The delivery's headers, or the WSGI environ that holds them.
            now: Epoch seconds; the clock's if `None`.

        Raises:
            BadSignatureError: It is not the gateway's, or was changed on its way.
            BadPayloadError: Validly signed, but no event; or larger than 1 MiB.
            StaleWebhookError: Validly signed, but outside of the tolerance; without an
                event if it is further away than *oldest*.
            TypeError: *body* is not bytes-like: a web framework has parsed it already.
        """
        result = self._judge(body, headers, time.time() if now is None else now)
        del body, headers  # tracebacks show locals
        if isinstance(result, Exception):
            raise result
        return result

    def _judge(
        self, body: object, headers: object, now: float
    ) -> WebhookEvent | WebhookError | TypeError:
        if not isinstance(body, bytes | bytearray | memoryview):
            message = "the body must be the raw bytes of the request"
            return TypeError(message)
        body = bytes(body)
        if len(body) > BODY_LIMIT:
            reason = "the body is larger than 1 MiB"
            return BadPayloadError(reason, http_status=413)
        signed = signatures.read_headers(headers)
        if isinstance(signed, WebhookError):
            return signed
        timestamp, signature = signed
        keys = [key.reveal() for key in self._keys]
        refusal = signatures.check_signature(
            keys, timestamp, signature, body, self._sign
        )
        if refusal is not None:
            return refusal
        event = signatures.read_event(body)
        if isinstance(event, WebhookError):
            return event
        stale = signatures.check_age(event, timestamp, now, self.tolerance, self.oldest)
        return event if stale is None else stale


def sign(
    body: bytes,
    *,
    secret: str,
    timestamp: int,
    key_derivation: KeyDerivation = "raw",
    signature_encoding: SignatureEncoding = "hex",
) -> dict[str, str]:
    """Return both headers of a delivery, as the gateway would send them.

    Args:
        body: The raw bytes.
        secret: The API key.
        timestamp: Epoch seconds (10 digits) or milliseconds (13).
        key_derivation: As in `WebhookVerifier`.
        signature_encoding: As in `WebhookVerifier`.

    Raises:
        ConfigurationError: The secret or a choice cannot be right.
        TypeError: *timestamp* is not an int.
    """
    hidden = Secret(secret)
    del secret  # tracebacks show locals
    _require_usable(hidden)
    _check_reading(key_derivation, signature_encoding)
    if type(timestamp) is not int:
        message = "the timestamp must be an int"
        raise TypeError(message)
    stamp = str(timestamp).encode()
    key = signatures.derive_webhook_key(hidden.reveal(), key_derivation)
    signature = _SIGNS[signature_encoding](key, stamp, body)
    return {
        signatures.TIMESTAMP_HEADER: stamp.decode(),
        signatures.SIGNATURE_HEADER: signature.decode(),
    }


async def confirm(
    event: WebhookEvent, factory: CheckoutSessionFactory
) -> CheckoutSession | Refund:
    """Ask the gateway what a verified *event* is about, as it stands now.

    The provider demands it even after a valid signature: events come late, twice and
    out of order, and what they tell of a status is past.

    Returns:
        The refund of a refund event, else the session. Where the gateway's refund does
        not name its session, *session_id* is what the event says.

    Raises:
        BadPayloadError: The event names neither, or the refund is another session's.
        NotFoundError: The gateway does not know it: it may be another merchant's.
        CallError: The gateway could not be asked.
        InvalidFieldError: The event's id cannot be one.
        ConfigurationError: The factory is not open here.
    """
    if event.refund_id is not None:
        refund = await factory.retrieve_refund(event.refund_id)
        if None not in (refund.session_id, event.session_id) and (
            refund.session_id != event.session_id
        ):
            reason = "the refund belongs to another session than the event says"
            raise BadPayloadError(reason)
        # The documented refund has no session_id, and the signed event has.
        return attrs.evolve(refund, session_id=refund.session_id or event.session_id)
    if event.session_id is None:
        reason = "the event names neither a session nor a refund"
        raise BadPayloadError(reason)
    return await factory.retrieve(event.session_id)


def _require_usable(secret: Secret[str]) -> None:
    problem = problem_of_key(secret.reveal())  # it is the API key
    if problem is not None:
        message = f"the webhook secret {problem}"
        raise ConfigurationError(message)


def _check_reading(key_derivation: object, signature_encoding: object) -> None:
    if key_derivation not in _DERIVATIONS or signature_encoding not in list(_SIGNS):
        message = (
            "key_derivation must be raw or hex, and signature_encoding hex or base64"
        )
        raise ConfigurationError(message)
