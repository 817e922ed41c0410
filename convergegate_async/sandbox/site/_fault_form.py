"""The form that plans a fault: what it offers, and what comes of it."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.sandbox._faults import Fault, FaultKind

MEANINGS: Mapping[FaultKind, str] = {
    FaultKind.STATUS: "answers a status instead",
    FaultKind.LATENCY: "answers later",
    FaultKind.STALL: "never answers, does nothing",
    FaultKind.RESET: "breaks the connection before the work",
    FaultKind.LOST: "does the work, then breaks the connection",
    FaultKind.TRUNCATE: "breaks the connection in the middle of the answer",
    FaultKind.STALL_BODY: "stops in the middle of the answer",
    FaultKind.DRIP: "answers a byte at a time",
    FaultKind.GARBAGE: "answers 200 with no JSON",
    FaultKind.WEBHOOK_LOST: "never delivers an event",
    FaultKind.WEBHOOK_LATE: "delivers an event later",
    FaultKind.WEBHOOK_SWAPPED: "delivers an event after the next",
    FaultKind.WEBHOOK_DUPLICATE: "delivers an event twice",
    FaultKind.WEBHOOK_FORGED: "signs an event wrongly at first",
}
"""What goes wrong, in the words of the form."""

_SECONDS: Mapping[FaultKind, float] = {
    FaultKind.LATENCY: 0.05,
    FaultKind.DRIP: 0.05,
    FaultKind.WEBHOOK_LATE: 60,
}
"""How long it takes where the form does not say: a webhook is late by what one sees."""

_READERS: Mapping[str, Callable[[str], Any]] = {
    "status": int,
    "retry_after": str,
    "seconds": float,
    "operation": str,
    "event": str,
    "probability": float,
    "times": int,
}


@attrs.frozen
class OfferedKind:
    """A kind of fault, as the form offers it.

    Attributes:
        meaning: What goes wrong.
        fields: Those of the form that not every kind has.
        seconds: What is usual, for a kind that takes its time.
    """

    kind: FaultKind
    meaning: str
    fields: str
    seconds: float | None


def kinds() -> list[OfferedKind]:
    """Return every kind of fault."""
    return [
        OfferedKind(
            kind, MEANINGS[kind], " ".join(_fields_of(kind)), _SECONDS.get(kind)
        )
        for kind in FaultKind
    ]


def read_fault_form(form: Mapping[str, str]) -> Fault:
    """Return the fault that was filled in; what is empty is as usual.

    Raises:
        ConfigurationError: It cannot be.
    """
    options: dict[str, Any] = {}
    kind = form.get("kind", "")
    for name, read in _READERS.items():
        text = form.get(name, "").strip()
        try:
            options |= {name: read(text)} if text else {}
        except ValueError:
            message = f"a fault's {name} must be a number"
            raise ConfigurationError(message) from None
    try:
        if kind in _SECONDS:
            options.setdefault("seconds", _SECONDS[FaultKind(kind)])
        return Fault(kind, work_done=bool(form.get("work_done")), **options)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _fields_of(kind: FaultKind) -> list[str]:
    return [
        *(["status", "retry_after", "work_done"] if kind is FaultKind.STATUS else []),
        *(["seconds"] if kind in _SECONDS else []),
        "event" if kind.concerns_webhooks else "operation",
    ]
