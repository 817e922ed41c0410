"""What to do with a row that may have been met before: one table, no I/O."""

from collections.abc import Mapping
from enum import Enum, StrEnum, auto

import attrs

from convergegate_async.bulk.journal.records import DAMAGED, JournalRow, State
from convergegate_async.errors import ConfigurationError
from convergegate_async.policy import RetryPolicy

KEY_WINDOW = 24 * 3600.0
"""Seconds that a gateway is trusted to remember a key."""


class OnUnknown(StrEnum):
    """What becomes of a row whose outcome nobody knows."""

    REPORT = auto()  # it is listed, and never sent again
    REPEAT = auto()  # it is sent again under its key


class Decision(Enum):
    """What to do with a row."""

    SEND = auto()
    SKIP = auto()
    GIVE_UP = auto()  # it was on its way when the job died: nobody knows
    CHANGED = auto()  # another row under an id that was used


def _on_unknown(word: OnUnknown | str) -> OnUnknown:
    try:
        return OnUnknown(word)
    except ValueError:
        message = f"on_unknown must be {' or '.join(OnUnknown)}"
    raise ConfigurationError(message)


def _is_flag(_: object, field: "attrs.Attribute[bool]", value: object) -> None:
    if type(value) is not bool:
        message = f"{field.name} must be True or False"
        raise ConfigurationError(message)


@attrs.frozen(kw_only=True)
class ResumeRules:
    """What a job may do with rows that it met before.

    Send rows again whose outcome nobody knows::

        rules = ResumeRules(on_unknown=OnUnknown.REPEAT)
        plan = JobPlan(source="orders.csv", rules=rules)

    Attributes:
        on_unknown: What the user wants done with unknown rows.
        keys_honoured: The user knows that a repeated key gives the first session.
        retries_failed: Rejected rows are sent again in this run.

    Raises:
        ConfigurationError: One of them is none.
    """

    on_unknown: OnUnknown = attrs.field(default=OnUnknown.REPORT, converter=_on_unknown)
    keys_honoured: bool = attrs.field(default=False, validator=_is_flag)
    retries_failed: bool = attrs.field(default=False, validator=_is_flag)

    @property
    def repeats(self) -> bool:
        """Tell whether a row of unknown outcome may be sent again."""
        return self.keys_honoured or self.on_unknown is OnUnknown.REPEAT

    def policy(self, own: RetryPolicy | None = None) -> RetryPolicy:
        """Return the retry policy that keeps these rules on the wire, too.

        Args:
            own: That of the factory; its pauses are kept.
        """
        return attrs.evolve(
            own or RetryPolicy(),
            max_attempts=6,
            repeat_unknown_create=self.repeats,
            keys_honoured=self.keys_honoured,
        )

    def decide(
        self, known: JournalRow | None, fingerprint: bytes, now: float
    ) -> Decision:
        """Return what to do with a row.

        Args:
            known: What the journal knows of its id; `None` if nothing.
            fingerprint: Of the row as it is now.
            now: Epoch seconds. A clock that went back counts as too late.
        """
        if known is None:
            return Decision.SEND
        if known.fingerprint != fingerprint:
            return Decision.CHANGED
        in_time = 0 <= now - known.sent_at < KEY_WINDOW
        may_repeat = self.repeats and in_time and known.code != DAMAGED
        table: Mapping[State, Decision] = {
            State.CREATED: Decision.SKIP,
            State.REJECTED: Decision.SEND if self.retries_failed else Decision.SKIP,
            State.UNKNOWN: Decision.SEND if may_repeat else Decision.SKIP,
            State.SENT: Decision.SEND if may_repeat else Decision.GIVE_UP,
        }
        return table[known.state]
