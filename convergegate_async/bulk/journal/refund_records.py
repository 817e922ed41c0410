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


class RefundCode(StrEnum):
    """Why a refund is not made, or not known to be, where no error of a call says so.

    Attributes:
        IN_DOUBT: Another refund of its session is; it is pending until that is not.
        NOT_TOLD: What is left of its session is not to be had; it is pending.
        CURRENCY_CHANGED: Its session is not in the currency that was planned.
        EXCEEDS_TOTAL: Less than its amount is left of its session.
        NOT_SHOWN: Less of its session is paid back than the job has made; it is
            pending, or in doubt if it was made.
        REFUNDED_ELSEWHERE: Others than the job have paid back of its session what they
            had not when it was planned, or no longer.
        CROSSED: It was answered with another one, and is in doubt.
        INTERRUPTED: It was on its way when the job was ended, and is in doubt.
        FAILED: The gateway took it, and could not make it.
    """

    IN_DOUBT = "InDoubt"
    NOT_TOLD = "NotTold"
    CURRENCY_CHANGED = "CurrencyChanged"
    EXCEEDS_TOTAL = "ExceedsTotal"
    NOT_SHOWN = "NotShown"
    REFUNDED_ELSEWHERE = "RefundedElsewhere"
    CROSSED = "Crossed"
    INTERRUPTED = "Interrupted"
    FAILED = "Failed"

    @property
    def reason(self) -> str:
        """The same as a sentence."""
        return _REASONS[self]


_REASONS = {
    RefundCode.IN_DOUBT: "another refund of its session is in doubt",
    RefundCode.NOT_TOLD: "the gateway does not tell what is left of the session",
    RefundCode.CURRENCY_CHANGED: (
        "the session is not in the currency that was planned"
    ),
    RefundCode.EXCEEDS_TOTAL: "less than that is left of the session",
    RefundCode.NOT_SHOWN: (
        "less of the session is paid back than the job has made: the gateway may be "
        "late, or a refund has failed"
    ),
    RefundCode.REFUNDED_ELSEWHERE: (
        "others have paid back more of the session, or less, than when it was planned: "
        "it may be this very refund; if it is not, plan another batch"
    ),
    RefundCode.CROSSED: "the gateway answered with another refund",
    RefundCode.INTERRUPTED: "the job was ended while the refund was on its way",
    RefundCode.FAILED: "it was made, and has failed since",
}


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
        code: A `RefundCode`, or the class name of the error.
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
