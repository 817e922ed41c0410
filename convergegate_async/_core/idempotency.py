"""Idempotency keys: one per purchase, the same on every attempt."""

from hashlib import sha256

from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import rules

_PREFIX = "cg1-"
_SIZE = 16


def derive_key(namespace: str, identifier: str | int) -> str:
    """Return the idempotency key of one purchase, the same on every machine.

    Use it if you store an identifier of the purchase, so that a retry after a crash
    carries the same key: ``derive_key("order", order.id)``.

    A key is one session for good, and outlives it: sent again after that has expired,
    it is answered with the expired one. Whoever orders again then gets a key of his
    own, such as ``derive_key("order after", session.id)``.

    Args:
        namespace: The kind of identifier, such as ``order``.
        identifier: Your identifier of the purchase; 7 and ``"7"`` are the same.

    Raises:
        InvalidFieldError: One of them is empty or holds control characters.
    """
    dice = rules.made_or_refused(_digest, namespace, identifier)
    del namespace, identifier  # tracebacks show locals
    if isinstance(dice, InvalidFieldError):
        raise dice
    return fresh_key(dice)


def _digest(namespace: object, identifier: object) -> bytes:
    value = rules.plain(identifier)
    if isinstance(value, bool):
        field, reason = "identifier", "must be a str or an int"
        raise InvalidFieldError(field, reason)
    # NUL cannot occur in either part, so no two pairs share a digest.
    parts = [
        "cg1",
        rules.text("namespace", namespace),
        rules.text("identifier", str(value) if isinstance(value, int) else value),
    ]
    return sha256("\0".join(parts).encode()).digest()[:_SIZE]


def fresh_key(dice: bytes) -> str:
    """Return the idempotency key that *dice* (16 random bytes) rolled."""
    return _PREFIX + dice.hex()
