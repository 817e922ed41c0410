"""How far a job has come, for people and for programs."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

import attrs

from convergegate_async._core.money import spell_major
from convergegate_async.bulk import (
    JobFolder,
    JobProgress,
    Journal,
    JournalInUseError,
    RefundCount,
    RefundState,
    RowCounts,
    SessionCount,
    read_progress,
)

from ._streams import printable

_SHOWN = (
    *(RefundState.CREATED, RefundState.REJECTED),
    *(RefundState.UNKNOWN, RefundState.PENDING),
)

FRESH = 5.0
"""Seconds that what a process notes each second is taken for what it does."""


@attrs.frozen(kw_only=True)
class JobStatus:
    """What is known of a job.

    Attributes:
        facts: What else there is to say, by name, in the order in which it is shown.
        counts: How many rows are where.
        sessions: What became of the sessions, as far as they were looked at.
        refunds: What is paid back, by batch.
        progress: What a process that works on it has noted last.
    """

    facts: dict[str, str]
    counts: RowCounts
    sessions: tuple[SessionCount, ...] = ()
    refunds: tuple[RefundCount, ...] = ()
    progress: JobProgress | None = None

    def as_object(self) -> dict[str, object]:
        """Return what programs read."""
        progress = None
        if self.progress is not None:
            progress = attrs.asdict(self.progress, filter=_is_no_count)
        is_known = self.progress is None
        return {
            "gateway": None,
            "mode": None,
            "damaged": None,
            **self.facts,
            **attrs.asdict(self.counts),
            "pending": self.counts.pending,
            "sessions": [attrs.asdict(o) for o in self.sessions] if is_known else None,
            "refunds": [attrs.asdict(o) for o in self.refunds] if is_known else None,
            "progress": progress,
        }

    def lines(self) -> Iterator[str]:
        """Yield what people read."""
        counts = {**attrs.asdict(self.counts), "pending": self.counts.pending}
        facts = self.facts | (_as_facts(self.progress) if self.progress else {})
        for name, value in {**facts, **counts}.items():
            number = f"{value:,}" if isinstance(value, int) else value
            yield f"{name:<12} {'not known' if number is None else number}"
        yield from lines_of(self.sessions)
        for batch in dict.fromkeys(one.batch for one in self.refunds):
            yield from lines_of_batch(batch, self.refunds)


def lines_of(sessions: Collection[SessionCount]) -> Iterator[str]:
    """Yield how many sessions are in each status, and what they come to, if any are."""
    if sessions:
        yield f"{'sessions':<16} {'count':>11}  {'amount':>18}"
    for one in sessions:
        if one.seen_at is None:
            yield f"  {'not looked at':<14} {one.count:>11,}"
            continue
        line = f"  {printable(one.status or 'no status'):<14} {one.count:>11,}"
        if one.currency is not None:
            code = printable(one.currency.upper())
            line += f"  {code} {_spelled(one.amount_total, code)}"
            if one.amount_refunded:
                line += f", refunded {spell_major(one.amount_refunded, code)}"
            if one.without_amount:
                line += f", {one.without_amount:,} without an amount"
        yield line


def lines_of_batch(batch: str, counts: Iterable[RefundCount]) -> Iterator[str]:
    """Yield how many refunds of a batch are where, and what they come to."""
    own = [one for one in counts if one.batch == batch]
    by_state = Counter[RefundState]()
    for one in own:
        # One that was on its way at a kill is as unknown as the rest.
        is_sent = one.state is RefundState.SENT
        by_state[RefundState.UNKNOWN if is_sent else one.state] += one.count
    words = [f"{state} {by_state[state]:,}" for state in _SHOWN]
    yield f"batch {batch}: {', '.join(words)}"
    for one in own:
        code = printable(one.currency.upper())
        yield f"  {one.state:<14} {one.count:>11,}  {code} {_spelled(one.amount, code)}"


def _spelled(amount: int, code: str) -> str:
    return f"{spell_major(amount, code):>14}"


def status_of(folder: JobFolder) -> JobStatus:
    """Return how many rows are where, and what became of the sessions.

    While a process works on the job, that is what the process has noted last.

    Raises:
        JournalError: The journal cannot be read.
    """
    progress = read_progress(folder.progress)
    if progress is not None and abs(time.time() - progress.at) < FRESH:
        return _noted(folder, progress)
    try:
        with Journal.read(folder.journal) as journal:
            return asyncio.run(_known(journal))
    except JournalInUseError:
        progress = read_progress(folder.progress)  # it may have begun this moment
        if progress is None:
            raise
        return _noted(folder, progress)


async def _known(journal: Journal) -> JobStatus:
    header = journal.header
    facts = {
        "job": header.job,
        "gateway": header.base_url,
        "mode": "live" if header.live else "test",
    }
    if header.damaged_at is not None:
        facts["damaged"] = _moment(header.damaged_at)
    return JobStatus(
        facts=facts,
        counts=RowCounts.of(await journal.counts(), header),
        sessions=tuple(await journal.sessions.counts()),
        refunds=tuple(await journal.refunds.counts()),
    )


def _noted(folder: JobFolder, progress: JobProgress) -> JobStatus:
    return JobStatus(
        facts={"job": folder.job}, counts=progress.counts, progress=progress
    )


def _as_facts(progress: JobProgress) -> dict[str, str]:
    age = max(0, round(time.time() - progress.at))
    total = "" if progress.total is None else f" of {progress.total:,}"
    return {
        "doing": f"{progress.doing}, {progress.done:,}{total} done",
        "as of": f"{_moment(progress.at)}, {age:,} s ago",
    }


def _is_no_count(field: "attrs.Attribute[object]", _: object) -> bool:
    return field.name != "counts"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat()
