"""What a journal holds of refunds, as values."""

from enum import StrEnum, auto

import attrs


class RefundState(StrEnum):
    """What is known of a refund.

    It is `SENT` from before its first byte leaves until its result is written. After a
    crash it may or may not have arrived, and is in doubt as an `UNKNOWN` one is.
    """

    PENDING = auto()
    SENT = auto()
    CREATED = auto()
    REJECTED = auto()
    UNKNOWN = auto()


IN_DOUBT = frozenset({RefundState.SENT, RefundState.UNKNOWN})


@attrs.frozen
class Batch:
    """Refunds that are made under one name, each once.

    Attributes:
        name: The user's.
        begun_at: In seconds since the epoch.
        is_whole: All of its refunds are written down: none is made before.
    """

    name: str
    begun_at: float
    is_whole: bool = False


@attrs.frozen
class PlannedRefund:
    """A refund that is to be made.

    Attributes:
        row_id: Of the row whose session is paid back.
        session_id: That session.
        currency: In lower case.
        amount: In minor units.
        refunded_elsewhere: What of the session was known to be paid back by others than
            this job, in minor units.
    """

    row_id: str
    session_id: str
    currency: str
    amount: int
    refunded_elsewhere: int = 0


@attrs.frozen
class RefundResult:
    """What became of a refund.

    Attributes:
        number: That of the refund.
        state: `CREATED`, `REJECTED` or `UNKNOWN`.
        refund_id: The gateway's, where it is known.
        code: The class name of the error.
        message: At most 200 characters, with nothing of the row in them.
    """

    number: int
    state: RefundState
    refund_id: str | None = None
    http_status: int | None = None
    code: str | None = None
    message: str | None = None


@attrs.frozen
class JournalRefund:
    """What the journal knows of a refund.

    Attributes:
        number: Its own, from 1, over all batches.
        batch: The name of its batch.
        row_id: Of the row whose session is paid back.
        session_id: That session.
        currency: In lower case.
        amount: In minor units.
        refunded_before: What of the session was paid back before it was sent, in minor
            units.
        sent_at: In seconds since the epoch.
        refunded_elsewhere: What of the session was known to be paid back by others than
            this job when it was planned, in minor units.
    """

    number: int
    batch: str
    row_id: str
    session_id: str
    currency: str
    amount: int
    state: RefundState
    refunded_before: int | None = None
    sent_at: float | None = None
    refund_id: str | None = None
    http_status: int | None = None
    code: str | None = None
    message: str | None = None
    refunded_elsewhere: int = 0

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether it was sent, and nobody knows what became of it."""
        return self.state in IN_DOUBT


@attrs.frozen(order=True)
class RefundCount:
    """How many refunds are alike, and what they come to.

    Attributes:
        batch: The name of their batch.
        currency: In lower case.
        count: How many there are.
        amount: Of them all, in minor units.
    """

    batch: str
    state: RefundState
    currency: str
    count: int
    amount: int
