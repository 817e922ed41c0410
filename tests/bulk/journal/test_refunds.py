"""What a journal knows of refunds, and what it refuses whoever asks."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import attrs
import pytest
from harness.recorded_job import HEADER
from hypothesis import given, settings
from hypothesis import strategies as st

from convergegate_async.bulk import (
    Journal,
    JournalError,
    JournalRefund,
    RefundCode,
    RefundCount,
    RefundState,
)
from convergegate_async.bulk.journal.refund_records import (
    Batch,
    PlannedRefund,
    RefundResult,
)
from convergegate_async.models.rules import MAX_AMOUNT

NUMBERS = st.integers(1, 6)
CODE = RefundCode.EXCEEDS_TOTAL
OPEN = (RefundState.PENDING, RefundState.SENT, RefundState.UNKNOWN)
few = settings(max_examples=40, deadline=None)


@attrs.frozen
class Intend:
    """A refund is about to be sent."""

    number: int
    before: int


@attrs.frozen
class Refuse:
    """A refund is not made."""

    number: int


@attrs.frozen
class Fail:
    """A refund that was made has failed."""

    number: int


@attrs.frozen
class Withdraw:
    """A refund was not sent after all."""

    number: int


Step: TypeAlias = Intend | Refuse | Withdraw | Fail | RefundResult | None
ENDS = (RefundState.CREATED, RefundState.REJECTED, RefundState.UNKNOWN)
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=9)
results = st.builds(
    RefundResult,
    NUMBERS,
    st.sampled_from(ENDS),
    texts,
    st.none() | st.integers(100, 599),
    texts,
    texts,
)
intents = st.builds(Intend, NUMBERS, st.integers(0, MAX_AMOUNT))
steps = st.one_of(
    intents,
    intents,
    results,
    st.builds(Refuse, NUMBERS),
    st.builds(Withdraw, NUMBERS),
    st.builds(Fail, NUMBERS),
    st.none(),
)


class Model:
    """What a journal should know of six refunds of three sessions, in a dict."""

    def __init__(self) -> None:
        self.refunds = {
            number: JournalRefund(
                number=number,
                batch="one" if number <= 3 else "two",
                row_id=f"order-{number % 3}",
                session_id=f"session-{number % 3}",
                currency="pln",
                amount=number,
                state=RefundState.PENDING,
                refunded_elsewhere=7 * number,
            )
            for number in range(1, 7)
        }

    def planned(self, batch: str) -> list[PlannedRefund]:
        """Return what is planned of a batch."""
        return [
            PlannedRefund(
                *(one.row_id, one.session_id, one.currency, one.amount),
                one.refunded_elsewhere,
            )
            for one in self.refunds.values()
            if one.batch == batch
        ]

    def take(self, step: Step) -> bool:
        """Take a step; tell whether it is refused."""
        assert step is not None
        known = self.refunds[step.number]
        beside = [
            one
            for one in self.refunds.values()
            if one.session_id == known.session_id and one.is_in_doubt
        ]
        if known.state not in FROM[type(step)] or (isinstance(step, Intend) and beside):
            return True
        self.refunds[step.number] = attrs.evolve(known, **changes_of(step))
        return False


FROM: dict[type, frozenset[RefundState]] = {
    Intend: frozenset({RefundState.PENDING}),
    Refuse: frozenset({RefundState.PENDING}),
    Withdraw: frozenset({RefundState.SENT}),
    Fail: frozenset({RefundState.CREATED}),
    RefundResult: frozenset({RefundState.SENT, RefundState.UNKNOWN}),
}
"""The states in which a refund has to be for a step."""


def changes_of(step: Step) -> dict[str, Any]:
    """Return what a step changes."""
    match step:
        case Intend():
            sent = {"refunded_before": step.before, "sent_at": 17.0}
            return {"state": RefundState.SENT, **sent}
        case Withdraw():
            unsent = {"refunded_before": None, "sent_at": None}
            return {"state": RefundState.PENDING, **unsent}
        case RefundResult():
            return attrs.asdict(step)
        case _:
            code = CODE if isinstance(step, Refuse) else RefundCode.FAILED
            end = {"code": code, "message": code.reason}
            return {"state": RefundState.REJECTED, **end}


async def refused(journal: Journal, step: Step) -> bool:
    """Take the same step in the journal."""
    refunds = journal.refunds
    try:
        match step:
            case Intend():
                await refunds.intend(step.number, step.before, 17.0)
            case Refuse():
                await refunds.refuse(step.number, CODE)
            case Withdraw():
                await refunds.withdraw(step.number)
            case Fail():
                await refunds.fail(step.number)
            case RefundResult():
                await refunds.complete(step)
            case None:
                raise AssertionError
    except JournalError:
        return True
    return False


async def planned(path: Path, model: Model) -> Journal:
    """Make a journal with both batches, whole."""
    journal = Journal.create(path, HEADER)
    for name in ("one", "two"):
        await journal.refunds.begin(Batch(name, 1.0))
        assert await journal.refunds.plan(name, model.planned(name)) == []
        await journal.refunds.seal(name)
    return journal


@given(st.lists(steps, min_size=5, max_size=40))
@few
def test_a_journal_knows_of_refunds_what_a_dict_would(history: list[Step]) -> None:
    """After any history, closings and all; it is sound, with one doubt a session."""

    async def live(path: Path) -> None:
        model = Model()
        journal = await planned(path, model)
        for step in history:
            if step is None:
                journal.close()
                journal = Journal.open(path)
            else:
                assert await refused(journal, step) is model.take(step)
        with journal:
            known = [*model.refunds.values()]
            ids = [f"session-{number}" for number in range(3)]
            assert await journal.refunds.of_sessions(*ids) == known
            assert sorted(await journal.refunds.counts()) == counts(known)
            for name in ("one", "two"):
                own = [one for one in known if one.batch == name]
                assert await journal.refunds.listed(name) == own
                left = [one for one in own if one.state in OPEN]
                assert await journal.refunds.listed(name, OPEN) == left
                assert (
                    await journal.refunds.listed(name, OPEN, after=2, limit=1)
                    == [one for one in left if one.number > 2][:1]
                )
            assert await journal.check() == []

    with TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder, "a.journal")))


def counts(refunds: list[JournalRefund]) -> list[RefundCount]:
    """Count refunds that are alike, in their order as values."""
    alike = Counter((one.batch, one.state) for one in refunds)
    return [
        RefundCount(
            *(*like, "pln", count),
            sum(one.amount for one in refunds if (one.batch, one.state) == like),
        )
        for like, count in sorted(alike.items())
    ]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("state = 'lost'", "are in no known state"),
        ("amount = 0", "pay back nothing"),
        ("batch = 'none'", "are of no batch"),
        ("state = 'sent'", "were sent at no time"),
        (
            "state = 'unknown', sent_at = 1, refunded_before = 0, session_id = 's'",
            "are in doubt beside another one",
        ),
        (f"amount = {MAX_AMOUNT + 1}", "have an amount that is none"),
        ("sent_at = 1e300", "have a time that is none"),
        ("sent_at = -1e300", "have a time that is none"),
        *[
            (number, "has values of another type")
            for number in (
                "amount = 'x'",
                "amount = 1.5",
                "amount = 1e300",
                "refunded_before = 'x'",
                "refunded_elsewhere = 'x'",
                "sent_at = 'x'",
            )
        ],
    ],
)
async def test_a_broken_rule_of_refunds_is_reported(
    tmp_path: Path, fault: str, words: str
) -> None:
    """What no process writes: the journal is refused, and not gone on with."""
    path = tmp_path / "april.journal"
    (await planned(path, Model())).close()
    change(path, fault)

    with pytest.raises(JournalError, match=words):
        Journal.open(path)


def change(path: Path, what: str) -> None:
    """Change what no process would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE OR IGNORE refunds SET {what}")  # noqa: S608 -- our own
