"""Whether an answer belongs to the request: what it repeats must be what was sent.

A stray answer on a pooled connection looks like any other 2xx. Compared is only what
the answer does repeat; the gateway's samples leave much out (DESIGN.md, *Echo check*).
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

ECHO_FIELDS = (
    "id",
    "customer_email",
    "currency",
    "amount_subtotal",
    "success_url",
    "cancel_url",
    "notification_url",
    "session_id",
    "amount",
    "reason",
    "metadata",
)


def differing_fields(
    expected: Mapping[str, object], answer: object, fields: Collection[str]
) -> tuple[str, ...]:
    """Return the names of *fields* in which *answer* repeats something else."""
    names: list[str] = []
    for name, sent in expected.items():
        reported = getattr(answer, name)
        if sent == reported or sent is None or reported is None:
            continue
        if name in fields and _differs(name, sent, reported):
            names.append(name)
    return tuple(names)


def _differs(name: str, sent: object, reported: object) -> bool:
    match sent, reported:
        case Mapping(), Mapping():
            return any(
                reported[key] not in ("", sent[key])
                for key in sent.keys() & reported.keys()
            )
        case str(), str() if name in {"customer_email", "currency"}:
            return sent.casefold() != reported.casefold()
        case str(), str() if name.endswith("_url"):
            return _address(sent) != _address(reported)
        case _:
            return sent != reported


def _address(url: str) -> object:
    """Return *url* with what may be spelled in two ways spelled in one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts._replace(netloc=parts.netloc.lower(), path=parts.path or "/")
