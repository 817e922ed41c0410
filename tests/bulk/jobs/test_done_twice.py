"""A chunk that was done again: what its lost worker did with it nobody knows."""

import asyncio
import json
import multiprocessing
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from job_rows import rows_of
from orders import ORDER_FIELDS
from thread_runner import ThreadRunner
from twice_runner import TwiceRunner

from convergegate_async import (
    ApiError,
    AuthenticationError,
    CallError,
    CheckoutSession,
    DeclinedError,
    InvalidFieldError,
    InvalidRequestError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
)
from convergegate_async.bulk import (
    Created,
    Intent,
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalRow,
    Rejected,
    ResumeRules,
    Row,
    RowOutcome,
    RowResult,
    State,
    Unknown,
    new_header,
)
from convergegate_async.bulk.jobs.chunks import ChunkResult
from convergegate_async.bulk.jobs.header import fingerprint
from convergegate_async.bulk.sending.outcomes import outcome_of
from convergegate_async.runners import Done, LocalRunner
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

RULES = ResumeRules(keys_honoured=True, retries_failed=True)
ROWS = 6


# -- every outcome, whatever was known before ----------------------------------------


def refused(kind: type[ApiError], status: int) -> ApiError:
    """Return what a `create` raises that was answered so."""
    return kind(operation="create", reason=f"HTTP {status}", http_status=status)


ENDS: dict[str, CheckoutSession | CallError | InvalidFieldError] = {
    "created": CheckoutSession(id="cs_1"),
    "bad": refused(InvalidRequestError, 400),
    "declined": refused(DeclinedError, 402),
    "forbidden": refused(PermissionDeniedError, 403),
    "limited": refused(RateLimitedError, 429),
    "wrong key": refused(AuthenticationError, 401),
    "not sent": NotSentError(operation="create", reason="refused", attempts=2),
    "too late": InvalidFieldError("expires_at", "must be later"),
    "lost": OutcomeUnknownError(operation="create", reason="lost", phase="body"),
}
KNOWN = (None, State.REJECTED, State.UNKNOWN)
CASES = list(product(KNOWN, ENDS))


class ScriptedRunner(ThreadRunner):
    """Does no work: the n-th row of all ends as the n-th case says.

    Args:
        again: Whether other workers may have begun every chunk.
    """

    def __init__(self, *, again: bool) -> None:
        self._again = again

    async def everywhere(self, work: Callable[[Any], Any], item: object) -> list[Any]:
        """Have no worker at all."""
        del work, item
        return []

    async def map(
        self,
        work: Callable[[Any], Any],  # noqa: ARG002 -- the script knows better
        chunks: AsyncIterator[Any],
    ) -> AsyncGenerator[Done[Any], None]:
        """Yield the results of chunks."""
        async for chunk in chunks:
            ends = [outcome_of(row, ENDS[CASES[row.index][1]]) for row in chunk.rows]
            result = ChunkResult(number=chunk.number, outcomes=tuple(ends))
            yield Done(result, again=self._again)


async def know(journal: Journal, row: Row, state: State | None) -> None:
    """Have the journal know a row, if it knows it at all, in that state."""
    if state is not None:
        mark = fingerprint(row.request, journal.header.salt)
        await journal.intend(Intent(row.row_id, row.position, mark, time.time()))
        await journal.complete(RowResult(row.row_id, state))


async def ended(
    sandbox: Sandbox, folder: Path, *, again: bool
) -> AsyncIterator[tuple[State | None, str, RowOutcome, JournalRow | None]]:
    """Run all cases, and yield each with what became of it."""
    rows = rows_of(len(CASES))
    plan = JobPlan(rules=RULES, format="jsonl", max_outage=0.1)
    outcomes = []
    async with sandbox.factory() as checkout:
        files = JobFolder("april", folder)
        header = new_header(checkout, "april", plan)
        with Journal.create(files.journal, header) as journal:
            for row, (known, _) in zip(rows, CASES, strict=True):
                await know(journal, row, known)
            job = Job(journal, checkout, plan, files)
            runner = ScriptedRunner(again=again)
            with suppress(CallError):  # of what goes again in vain
                async for outcome in job.run_on(runner, rows):
                    outcomes.append(outcome)  # noqa: PERF401 -- kept beside an error
            assert job.tally.seen == len(outcomes) == len(CASES)
            letters = await job.write_dead_letters()
            noted = await journal.lookup([row.row_id for row in rows])
    lines = [] if letters is None else letters.read_text().splitlines()
    lost = {json.loads(line)["id"] for line in lines}
    assert lost == {
        row_id for row_id, row in noted.items() if row.state is State.REJECTED
    }
    for outcome in outcomes:
        assert outcome.row_id == rows[outcome.index].row_id
        known, end = CASES[outcome.index]
        yield known, end, outcome, noted.get(rows[outcome.index].row_id)


async def test_no_row_of_a_chunk_done_again_is_told_as_without_a_session(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Whatever its second doing says: it is done, or unknown with that beside it.

    However the first doing ended, the row's session may exist.
    """
    async for _, end, outcome, row in ended(sandbox, tmp_path, again=True):
        assert row is not None
        if end == "created":
            assert (type(outcome), row.state) == (Created, State.CREATED)
        else:
            error = ENDS[end]
            assert (type(outcome), row.state) == (Unknown, State.UNKNOWN)
            assert row.code == type(error).__name__
            assert row.http_status == getattr(error, "http_status", None)


async def test_a_row_of_a_chunk_done_once_is_what_its_call_says(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Unless it was in doubt before: refused is failed, what may come later pending."""
    async for known, end, outcome, row in ended(sandbox, tmp_path, again=False):
        state = None if row is None else row.state
        if end == "created":
            assert (type(outcome), state) == (Created, State.CREATED)
        elif end == "lost" or known is State.UNKNOWN:
            assert (type(outcome), state) == (Unknown, State.UNKNOWN)
        elif end in ("not sent", "limited", "wrong key"):
            assert (type(outcome), state) == (type(outcome), known)
        else:
            assert (type(outcome), state) == (Rejected, State.REJECTED)


# -- at a gateway --------------------------------------------------------------------


SECOND = {
    "400": Fault(FaultKind.STATUS, status=400, operation="create"),
    "402": Fault(FaultKind.STATUS, status=402, operation="create"),
    "429": Fault(FaultKind.STATUS, status=429, retry_after="3600", operation="create"),
    "401": Fault(FaultKind.STATUS, status=401, operation="create"),
    "403": Fault(FaultKind.STATUS, status=403, operation="create"),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An input whose rows the sandbox's book can tell apart: by their amount."""
    path = tmp_path / "orders.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"id": f"order-{number}", **ORDER_FIELDS, "amount": number})
            for number in range(1, ROWS + 1)
        )
    )
    return path


@pytest.mark.parametrize("fault", SECOND.values(), ids=list(SECOND))
async def test_a_refusal_of_what_a_lost_worker_sent_opens_no_second_session(
    sandbox: Sandbox, source: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """No row is failed or pending; the next run finds the first doing's sessions."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    folder = JobFolder("april", source.parent)
    plan = JobPlan(source=str(source), rules=RULES)
    runner = TwiceRunner(lambda: sandbox.faults.add(fault))
    async with sandbox.factory() as checkout:
        async with await Job.begin(folder, plan, checkout) as job:
            with suppress(AuthenticationError, PermissionDeniedError, RateLimitedError):
                async for outcome in job.run_on(runner):
                    assert isinstance(outcome, Unknown)
                    assert outcome.error.http_status == fault.status
            assert await job.write_dead_letters() is None
            counts = await job.counts()
        sandbox.faults.clear()
        async with await Job.resume(folder, checkout) as job:
            again = [outcome async for outcome in job.run()]

    assert (counts.rejected, counts.unknown) == (0, ROWS)
    assert [type(outcome) for outcome in again] == [Created] * ROWS
    assert len(sandbox.book.sessions) == ROWS


async def test_a_killed_process_leaves_its_rows_in_doubt(
    sandbox: Sandbox, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL with sessions opened, and the gateway refuses the rest of the day."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=0.2))

    async def kill_it() -> None:
        while len(sandbox.book.sessions) < ROWS // 2:  # noqa: ASYNC110 -- of a server
            await asyncio.sleep(0.01)
        [process] = multiprocessing.active_children()
        process.kill()
        sandbox.faults.clear()
        sandbox.faults.add(Fault(FaultKind.STATUS, status=400))

    plan = JobPlan(source=str(source), rules=RULES, concurrency=1)
    async with sandbox.factory() as checkout:
        folder = JobFolder("april", source.parent)
        async with await Job.begin(folder, plan, checkout) as job:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(kill_it())
                outcomes = [one async for one in job.run_on(LocalRunner(1))]
            letters, counts = await job.write_dead_letters(), await job.counts()

    assert ROWS // 2 <= len(sandbox.book.sessions) < ROWS
    assert [type(outcome) for outcome in outcomes] == [Unknown] * ROWS
    assert (letters, counts.unknown) == (None, ROWS)
