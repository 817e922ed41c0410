"""How far a run of a job has come."""

from collections import Counter

import attrs

from convergegate_async.bulk.sending.outcomes import (
    Created,
    NotSent,
    Rejected,
    RowOutcome,
    Unknown,
    is_pending,
)


@attrs.define(kw_only=True)
class Tally:
    """How far a run has come, in rows.

    Attributes:
        skipped: Completed by an earlier run.
        not_sent: Still pending: nothing of them reached the gateway, or it refused them
            until later.
        unknown: Their outcome is not known; those given up from an earlier run, too.
        changed: Another row stood under their id when it was used: not sent.
        invalid: Refused before sending.
        repeated: The lines of those that have the id of an earlier row: they are no
            dead letters.
        answered: The gateway said something about them, whatever it was.
        codes: How often each class of error was met, and how often a row was given up
            that had been on its way (``Interrupted``).
    """

    created: int = 0
    rejected: int = 0
    not_sent: int = 0
    unknown: int = 0
    skipped: int = 0
    changed: list[str] = attrs.field(factory=list)
    invalid: int = 0
    repeated: list[int] = attrs.field(factory=list)
    answered: int = 0
    codes: Counter[str] = attrs.field(factory=Counter)

    @property
    def seen(self) -> int:
        """Count the rows that were dealt with."""
        completed = self.created + self.rejected + self.not_sent + self.unknown
        return completed + self.skipped + len(self.changed) + self.invalid

    @property
    def is_complete(self) -> bool:
        """Tell whether no row of the input is left to be sent."""
        return not (self.not_sent or self.changed or self.invalid)

    def count(self, outcome: RowOutcome) -> None:
        """Count a row that was sent, or was to be."""
        match outcome:
            case Created():
                self.created += 1
                self.answered += 1
                return
            case Rejected() if not is_pending(outcome):
                self.rejected += 1
            case NotSent() | Rejected():
                self.not_sent += 1
            case Unknown():
                self.unknown += 1
        self.answered += getattr(outcome.error, "http_status", None) is not None
        self.codes[type(outcome.error).__name__] += 1
