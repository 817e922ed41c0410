"""What became of a job's sessions: looked at until final, and no more often."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_rows import rows_of
from raw import Exchange, RawServer, http

from convergegate_async import (
    CheckoutSession,
    CheckoutSessionFactory,
    RefundRequest,
    SessionStatus,
)
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    SessionCount,
    SessionSeen,
    read_progress,
)
from convergegate_async.bulk.jobs.refresh import GOES_ON_FOR, begin_of_looks
from convergegate_async.bulk.jobs.row_results import MOST_SHOWN
from convergegate_async.bulk.jobs.session_facts import facts_of
from convergegate_async.bulk.sending.pace import FIRST_LIMIT
from convergegate_async.cli._job_status import lines_of
from convergegate_async.errors import AuthenticationError, NotFoundError
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

MOMENTS = st.floats(0, 4e9)


@asynccontextmanager
async def a_job(
    sandbox: Sandbox, folder: JobFolder, rows: int = 0
) -> AsyncIterator[Job]:
    """Give a job that has so many sessions, begun here or before."""
    async with sandbox.factory() as factory:
        if rows:
            async with await Job.begin(folder, JobPlan(), factory) as job:
                async for _ in job.run(rows_of(rows)):
                    pass
        async with await Job.resume(folder, factory) as job:
            yield job


async def refreshed(job: Job, *, final: bool = False) -> list[SessionSeen]:
    """Refresh a job; return what was seen."""
    return [seen async for seen in job.refresh(final=final)]


async def test_a_refresh_stores_what_the_gateway_says(tmp_path: Path) -> None:
    """Status, amounts and expiry of each session are those of the gateway's book."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        async with a_job(sandbox, folder, 9) as job:
            before = await job.sessions()
            sessions = [*sandbox.book.sessions.values()]
            for session in sessions[:4]:
                sandbox.book.pay(session, "123456")
            for session in sessions[:2]:
                await refund(sandbox, session.id, 1)
            sessions[8].status = SessionStatus.EXPIRED

            seen = await refreshed(job)
            after = await job.sessions()

        assert before == [SessionCount(None, None, 9)]
        assert [(one.status, one.count, one.amount_refunded) for one in after] == [
            ("completed", 4, 2),
            ("expired", 1, 0),
            ("open", 4, 0),
        ]
        assert {one.currency for one in after} == {"pln"}
        assert sum(one.amount_total for one in after) == sum(
            session.request.amount for session in sandbox.book.sessions.values()
        )
        for one in seen:
            assert one.session is not None
            booked = sandbox.book.sessions[one.session.id]
            assert one.session.raw == booked.as_retrieved()


async def refund(sandbox: Sandbox, session_id: str, amount: int) -> None:
    """Pay a part of a session back, past the job."""
    async with sandbox.factory() as factory:
        await factory.refund(RefundRequest(session_id=session_id, amount=amount))


async def test_only_what_is_not_final_is_looked_at(tmp_path: Path) -> None:
    """What is completed or expired once is not asked for, unless all are."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox, a_job(sandbox, folder, 6) as job:
        for session in [*sandbox.book.sessions.values()][:5]:
            sandbox.book.pay(session, "123456")

        looks = []
        for final in (False, False, True):
            before = sandbox.count("retrieve")
            assert all(seen.error is None for seen in await refreshed(job, final=final))
            looks.append(sandbox.count("retrieve") - before)

    assert looks == [6, 1, 6]


async def test_a_refresh_that_was_ended_goes_on(tmp_path: Path) -> None:
    """Each session is looked at once, over however many processes."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        async with a_job(sandbox, folder, 40) as job:
            async for _ in job.refresh():
                job.stop()
        first = sandbox.count("retrieve")
        async with a_job(sandbox, folder) as job:
            rest = await refreshed(job)
            assert (job.progress.doing, job.progress.done) == ("refresh", len(rest))
            assert job.progress.total == len(rest)
            whole = await refreshed(job)

    assert 0 < first < 40
    assert first + len(rest) == 40
    assert len(whole) == 40


@given(MOMENTS, st.none() | MOMENTS, st.none() | MOMENTS)
def test_a_refresh_goes_on_for_an_hour(
    now: float, begun_at: float | None, last: float | None
) -> None:
    """Later, or where the clock went back, all that is not final is looked at anew."""
    begin = begin_of_looks(now, begun_at, last)

    assert begin in (now, begun_at)
    if begun_at is not None and begin != now:
        assert last is not None
        assert 0 <= now - last < GOES_ON_FOR
    if begun_at is None or last is None or last > now:
        assert begin == now


async def test_what_cannot_be_seen_is_told_and_left_as_it_was(tmp_path: Path) -> None:
    """A session that the gateway has lost is an error of its own, and no end of all."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox, a_job(sandbox, folder, 3) as job:
        await refreshed(job)
        [lost, *_] = sandbox.book.sessions
        del sandbox.book.sessions[lost]

        seen = await refreshed(job)

        assert len(seen) == 3
        [failed] = [one for one in seen if one.error is not None]
        assert isinstance(failed.error, NotFoundError)
        assert (failed.row.session_id, failed.session) == (lost, None)
        assert failed.row.facts is not None
        assert failed.row.facts.status == "open"
        assert (await job.sessions())[0].count == 3


async def test_sessions_without_an_amount_are_counted(tmp_path: Path) -> None:
    """Sums leave them out, and people are told so, as of amounts that cannot be."""
    answers = ["", *(f',"amount_total":{n}' for n in (900, -1, 10**30))]

    async def gateway(exchange: Exchange) -> None:
        request = await exchange.read_request()
        body = f'{{"id":"session-{len(posted)}"}}'
        if request.startswith(b"POST"):
            posted.append(body)
        else:
            number = int(re.findall(rb"session-([0-9]+)", request)[0])
            facts = f',"currency":"pln","status":"open"{answers[number]}'
            body = f'{{"id":"session-{number}"{facts}}}'
        await exchange.write(http(body.encode()))

    posted: list[str] = []
    async with (
        RawServer(gateway) as server,
        CheckoutSessionFactory("sk_test_key", server.base_url) as factory,
        await Job.begin(JobFolder("april", tmp_path), JobPlan(), factory) as job,
    ):
        async for _ in job.run(rows_of(len(answers))):
            pass
        unseen = await job.sessions()
        await refreshed(job)
        [seen] = await job.sessions()

    assert [one.without_amount for one in unseen] == [0]
    assert (seen.count, seen.amount_total, seen.without_amount) == (4, 900, 3)
    [_, line] = lines_of([seen])
    assert line.endswith(" 9.00, 3 without an amount")


def test_words_of_the_gateway_are_kept_as_far_as_they_are_shown() -> None:
    """As messages are: a status of a megabyte would fill a screen and break a sheet."""
    session = CheckoutSession(id="s1", status="x" * 10**6, currency="y" * 10**6)

    facts = facts_of(session, 0.0)

    assert (facts.status, facts.currency) == ("x" * MOST_SHOWN, "y" * MOST_SHOWN)


async def test_one_retry_after_holds_all_looks(tmp_path: Path) -> None:
    """As it holds all rows of a run: what was refused is looked at later."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox, a_job(sandbox, folder, 30) as job:
        busy = Fault(
            FaultKind.STATUS, operation="retrieve", status=429, retry_after=1, times=1
        )
        sandbox.faults.add(busy)

        seen = await refreshed(job)

    looks = [one.status for one in sandbox.seen if one.operation == "retrieve"]
    assert [one.error for one in seen] == [None] * 30
    assert Counter(looks) == {200: 30, 429: 1}


async def test_a_wrong_key_ends_a_refresh(tmp_path: Path) -> None:
    """With the error; nothing is looked at further."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox, a_job(sandbox, folder, 90) as job:
        sandbox.faults.add(Fault(FaultKind.STATUS, operation="retrieve", status=401))

        with pytest.raises(AuthenticationError):
            await refreshed(job)

    assert sandbox.count("retrieve") <= FIRST_LIMIT


async def test_a_refresh_that_is_left_has_written_what_it_saw(tmp_path: Path) -> None:
    """After a break what is under way goes on, is written, and its note is gone."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox:
        async with a_job(sandbox, folder, 40) as job:
            async for _ in job.refresh():
                break
        looked = sandbox.count("retrieve")
        async with a_job(sandbox, folder) as job:
            counts = await job.sessions()

    seen = sum(one.count for one in counts if one.status is not None)
    assert 0 < seen == looked < 40
    assert read_progress(folder.progress) is None


async def test_a_refresh_may_be_slower_than_the_job(tmp_path: Path) -> None:
    """Its own rate is what whoever watches it is told."""
    folder = JobFolder("april", tmp_path)
    async with Sandbox() as sandbox, a_job(sandbox, folder, 3) as job:
        before = job.limits.maximum_rps
        async for _ in job.refresh(maximum_rps=500):
            assert job.limits.maximum_rps == 500

    assert before is None
