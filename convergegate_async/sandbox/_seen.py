"""A request as the sandbox saw it."""

import attrs

from ._faults import FaultKind


@attrs.define(kw_only=True)
class SeenRequest:
    """A request as it arrived, and what became of it.

    Attributes:
        operation: The name of the factory's method, or ``other`` for an unknown path.
        status: What was answered; `None` if nothing was.
        replayed: It was answered from memory, under its idempotency key.
        fault: What went wrong on purpose.
    """

    operation: str
    method: str
    path: str
    idempotency_key: str | None
    body: bytes = attrs.field(repr=False)
    status: int | None = None
    replayed: bool = False
    fault: FaultKind | None = None
