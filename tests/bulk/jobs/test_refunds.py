"""Refunds of a job: each once, never beyond an amount, and doubts that are told."""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from job_rows import rows_of
from orders import an_order
from paid_job import ROWS, paid
from raw import Exchange, RawServer, http

from convergegate_async import CheckoutSessionFactory, RefundRequest
from convergegate_async.bulk import (
    AmountRow,
    Export,
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalError,
    JournalRefund,
    JournalRow,
    RefundCode,
    RefundOutcome,
    RefundSelection,
    RefundState,
    SourceError,
    WantedRefund,
    export,
)
from convergegate_async.bulk.jobs.refund_results import answered_result
from convergegate_async.errors import (
    AuthenticationError,
    ConfigurationError,
    OutcomeUnknownError,
)
from convergegate_async.models import Refund, RefundStatus
from convergegate_async.sandbox import Fault, FaultKind, Sandbox, SeenRequest

ALL = Decimal("0.36")  # 1 + 2 + … + 8 grosze


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Where the job is."""
    return JobFolder("april", tmp_path)


async def refunded(
    job: Job, batch: str = "march", total: Decimal = ALL, **options: bool
) -> list[RefundOutcome]:
    """Pay back all that is completed; return what became of each refund."""
    wanted = job.sessions_in("completed")
    outcomes = job.refund(batch, wanted, expect_sum={"PLN": total}, **options)
    return [outcome async for outcome in outcomes]


def back(sandbox: Sandbox) -> int:
    """Return what the gateway has paid back, in grosze."""
    return sum(one.amount_refunded for one in sandbox.book.sessions.values())


def states(outcomes: list[RefundOutcome]) -> Counter[RefundState]:
    """Count the outcomes by what is known of their refunds."""
    return Counter(one.refund.state for one in outcomes)


async def test_all_is_paid_back_once(folder: JobFolder) -> None:
    """However often the batch is repeated, and under however many processes."""
    async with Sandbox() as sandbox:
        for _ in range(3):
            async with paid(sandbox, folder) as job:
                await refunded(job)
                assert await refunded(job) == []
        async with paid(sandbox, folder) as job:
            assert await refunded(job) == []
            [count] = await job.refunds()
            sessions = await job.sessions()

        assert back(sandbox) == 36
        assert sandbox.count("refund") == ROWS
        assert (count.batch, count.state, count.count) == (
            *("march", RefundState.CREATED),
            ROWS,
        )
        assert sum(one.amount_refunded for one in sessions) == 36


async def test_a_batch_sends_nothing_but_the_sum_that_was_expected(
    folder: JobFolder,
) -> None:
    """Neither another sum nor another currency, nor one that was left out."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        plan = await job.plan_refunds("march", job.sessions_in("completed"))
        assert (plan.refunds, plan.sums, plan.left_out) == (ROWS, {"PLN": 36}, ())
        assert plan.major_sums == {"PLN": ALL}
        for expected in (
            {"PLN": Decimal("0.35")},
            {"EUR": ALL},
            {},
            {"PLN": ALL, "EUR": Decimal(0)},
        ):
            wanted = job.sessions_in("completed")
            with pytest.raises(ConfigurationError, match=r"PLN 0\.36"):
                await anext(job.refund("march", wanted, expect_sum=expected))
        assert sandbox.count("refund") == 0

        assert len(await refunded(job)) == ROWS
        with pytest.raises(ConfigurationError, match="was expected"):
            await refunded(job, total=Decimal("0.35"))


async def test_amounts_are_minor_units_or_major_ones(folder: JobFolder) -> None:
    """An int or an exact Decimal; what is not exact is refused before all is sent."""
    wanted = [
        WantedRefund("order-8", 3),
        WantedRefund("order-7", Decimal("0.02")),
        WantedRefund("order-6"),
    ]
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        expect = {"pln": Decimal("0.11")}
        outcomes = [one async for one in job.refund("a", wanted, expect_sum=expect)]
        odd = [WantedRefund("order-5", Decimal("0.001"))]
        with pytest.raises(ConfigurationError, match="at most 2 decimals"):
            await anext(job.refund("b", odd, expect_sum=expect))

        assert {one.refund.amount for one in outcomes} == {3, 2, 6}
        assert back(sandbox) == 11


async def test_what_cannot_be_paid_back_is_told_before_anything_is(
    folder: JobFolder,
) -> None:
    """All of it is refused, unless it is to go on without."""
    wanted = [
        WantedRefund("order-1"),
        WantedRefund("order-1"),
        WantedRefund("nobody"),
        WantedRefund("order-2", 3),
        WantedRefund("order-3", 0),
    ]
    expect = {"PLN": Decimal("0.01")}
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        plan = await job.plan_refunds("march", wanted)
        with pytest.raises(ConfigurationError, match="4 of what is wanted"):
            await anext(job.refund("march", wanted, expect_sum=expect))
        assert sandbox.count("refund") == 0
        go_on = job.refund("march", wanted, expect_sum=expect, leaves_out=True)
        outcomes = [one async for one in go_on]

    assert [one.row_id for one in plan.left_out] == [
        *("order-1", "nobody", "order-2", "order-3")
    ]
    assert [one.refund.row_id for one in outcomes] == ["order-1"]


async def test_what_is_left_out_is_counted_by_why(folder: JobFolder) -> None:
    """All of it, though only the first are listed."""
    nobody = [WantedRefund(f"nobody-{number}") for number in range(295)]
    wanted = [WantedRefund("order-1"), WantedRefund("order-1"), *nobody]
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        plan = await job.plan_refunds("march", wanted)
        await refunded(job)
        begun = await job.plan_refunds("march", nobody)

    assert plan.reasons == {
        "is wanted more than once: add its amounts up": 1,
        "has no session in this job": 295,
    }
    assert (len(plan.left_out), plan.more) == (100, 196)
    assert [*begun.reasons.values()] == [295]


async def test_all_batches_together_exceed_nothing(folder: JobFolder) -> None:
    """Nor with what was paid back by hand, before the plan or after it."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        half = [WantedRefund(f"order-{number}", 1) for number in range(2, ROWS + 1)]
        async for _ in job.refund("one", half, expect_sum={"PLN": Decimal("0.07")}):
            pass
        by_row = {one.row_id: one.session_id or "" for one in await rows_in(job)}
        wanted = job.sessions_in("completed")
        rest = await job.plan_refunds("two", wanted)
        await by_hand(sandbox, by_row["order-8"], 1)
        outcomes = await refunded(job, "two", Decimal("0.29"))
        known = [one async for one in job.refunds_in("two", [RefundState.REJECTED])]

        assert rest.sums == {"PLN": 29}
        refused = [one.refund for one in outcomes if one.refund.code]
        assert [(one.row_id, one.code, one.message) for one in refused] == [
            ("order-8", "ExceedsTotal", "less than that is left of the session")
        ]
        assert known == refused
        for session in sandbox.book.sessions.values():
            assert session.amount_refunded <= session.request.amount


async def rows_in(job: Job) -> list[JournalRow]:
    """Return what the journal knows of the rows."""
    return [seen.row async for seen in job.refresh(final=True)]


async def by_hand(sandbox: Sandbox, session_id: str, amount: int) -> None:
    """Pay a part of a session back, past the job."""
    async with sandbox.factory() as factory:
        await factory.refund(RefundRequest(session_id=session_id, amount=amount))


@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.RESET])
async def test_a_refund_whose_answer_is_lost_is_looked_for(
    folder: JobFolder, kind: FaultKind
) -> None:
    """It is made if so much more is paid back; else in doubt, and not repeated."""
    async with Sandbox() as sandbox:
        async with paid(sandbox, folder) as job:
            sandbox.faults.add(Fault(kind, operation="refund", times=1))
            outcomes = await refunded(job)
        async with paid(sandbox, folder) as job:
            again = await refunded(job)

        lost = kind is FaultKind.RESET
        doubt = [one for one in outcomes if one.refund.state is RefundState.UNKNOWN]
        assert len(doubt) == lost
        assert states(again) == Counter({RefundState.UNKNOWN: lost} if lost else {})
        for one in doubt:
            assert isinstance(one.error, OutcomeUnknownError)
        assert sandbox.count("refund") == ROWS
        assert back(sandbox) == 36 - sum(one.refund.amount for one in doubt)


async def test_a_doubt_ends_by_a_refresh_too(folder: JobFolder) -> None:
    """The session of a refund in doubt is looked at though it is completed."""
    sees_nothing = Fault(FaultKind.STATUS, operation="retrieve", status=503)

    def look(seen: SeenRequest) -> None:
        if seen.operation == "refund":
            sandbox.faults.add(sees_nothing)

    sandbox = Sandbox(on_request=look)
    async with sandbox, paid(sandbox, folder) as job:
        one = [WantedRefund("order-8", 1)]
        sandbox.faults.add(Fault(FaultKind.LOST, operation="refund", times=1))
        expect = {"PLN": Decimal("0.01")}
        [doubt] = [o async for o in job.refund("one", one, expect_sum=expect)]
        sandbox.faults.clear()
        seen = [one async for one in job.refresh()]
        [count] = await job.refunds()

        assert doubt.refund.state is RefundState.UNKNOWN
        assert [one.row.row_id for one in seen] == ["order-8"]
        assert count.state is RefundState.CREATED


async def test_a_session_with_a_doubt_is_paid_back_by_no_batch(
    folder: JobFolder,
) -> None:
    """What is in doubt counts as paid back, until it has an end."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        sandbox.faults.add(Fault(FaultKind.RESET, operation="refund", times=1))
        one = [WantedRefund("order-8", 1)]
        expect = {"PLN": Decimal("0.01")}
        [doubt] = [o async for o in job.refund("one", one, expect_sum=expect)]
        plan = await job.plan_refunds("two", job.sessions_in("completed"))

        assert doubt.refund.state is RefundState.UNKNOWN
        assert plan.sums == {"PLN": 28}
        assert [left.reason for left in plan.left_out] == [
            "has a refund in doubt: `bulk resolve` ends that"
        ]
        assert sandbox.count("refund") == 1


@pytest.mark.parametrize("status", [400, 402, 404, 409])
async def test_a_refusal_is_an_end(folder: JobFolder, status: int) -> None:
    """Whatever the batch is told later, it does not ask again."""
    fault = Fault(FaultKind.STATUS, operation="refund", status=status)
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        sandbox.faults.add(fault)
        outcomes = await refunded(job)
        sandbox.faults.clear()
        again = await refunded(job)

        if status == 409:  # one is at work under the key, for all that is known
            assert states(outcomes) == {RefundState.UNKNOWN: ROWS}
        else:
            assert states(outcomes) == {RefundState.REJECTED: ROWS}
            assert again == []
        assert back(sandbox) == 0


async def test_what_was_provably_not_sent_is_made_later(folder: JobFolder) -> None:
    """A 429 is waited for, and a wrong key leaves all pending."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        sandbox.faults.add(Fault(FaultKind.STATUS, operation="refund", status=401))
        with pytest.raises(AuthenticationError):
            await refunded(job)
        sandbox.faults.clear()
        busy = Fault(FaultKind.STATUS, operation="refund", status=429, times=3)
        sandbox.faults.add(busy)
        outcomes = await refunded(job)

        assert states(outcomes) == {RefundState.CREATED: ROWS}
        assert back(sandbox) == 36


async def test_each_refund_has_a_key_of_its_own(folder: JobFolder) -> None:
    """The same in every run; of no other batch, session, amount or job."""
    async with Sandbox() as sandbox:
        async with paid(sandbox, folder) as job:
            half = [WantedRefund(f"order-{n}", 1) for n in range(2, ROWS + 1)]
            for batch in ("one", "two"):
                wanted = [
                    one for one in half if batch == "one" or one.row_id > "order-2"
                ]
                total = {"PLN": Decimal(len(wanted)) / 100}
                async for _ in job.refund(batch, wanted, expect_sum=total):
                    pass
        keys = [
            one.idempotency_key for one in sandbox.seen if one.operation == "refund"
        ]

    assert len({*keys}) == len(keys) == 13


async def test_a_batch_that_was_not_written_down_whole_has_made_nothing(
    folder: JobFolder,
) -> None:
    """A kill while it is planned: the name is as new, and nothing is taken."""
    async with Sandbox() as sandbox:
        async with paid(sandbox, folder) as job:
            wanted = job.sessions_in("completed")
            with pytest.raises(ConfigurationError):
                await anext(job.refund("march", wanted, expect_sum={}))
        with Journal.open(folder.journal) as journal:
            [part] = await journal.refunds.listed("march", limit=1)
            with pytest.raises(JournalError, match="not whole"):
                await journal.refunds.intend(part.number, 0, 1.0)
            assert await journal.check() == []
        async with paid(sandbox, folder) as job:
            other = await job.plan_refunds("april", job.sessions_in("completed"))
            outcomes = await refunded(job)

    assert (other.sums, other.left_out) == ({"PLN": 36}, ())
    assert states(outcomes) == {RefundState.CREATED: ROWS}


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 65])
async def test_a_batch_has_a_name_as_jobs_have(folder: JobFolder, name: str) -> None:
    """Which is a part of its keys."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        with pytest.raises(ConfigurationError, match="batch's name"):
            await job.plan_refunds(name, [])
        with pytest.raises(ConfigurationError, match="batch's name"):
            job.refund(name, [], expect_sum={})


@asynccontextmanager
async def a_doubt(sandbox: Sandbox, folder: JobFolder) -> AsyncIterator[Job]:
    """Give a job whose batch ``march`` has one refund, in doubt and not made."""
    async with paid(sandbox, folder) as job:
        sandbox.faults.add(Fault(FaultKind.RESET, operation="refund", times=1))
        expect = {"PLN": Decimal("0.05")}
        wanted = [WantedRefund("order-8", 5)]
        async for _ in job.refund("march", wanted, expect_sum=expect):
            pass
    async with paid(sandbox, folder) as job:
        yield job


async def test_a_refund_that_was_not_made_is_made_by_another_batch(
    folder: JobFolder,
) -> None:
    """Once somebody has said so, who is written down; its own batch makes it never."""
    async with Sandbox() as sandbox, a_doubt(sandbox, folder) as job:
        settled = await job.resolve_refund("order-8", "march", not_created=True)
        with pytest.raises(JournalError, match="not in doubt: it is rejected"):
            await job.resolve_refund("order-8", "march", not_created=True)
        again = job.refund("march", [], expect_sum={"PLN": Decimal("0.05")})
        assert [one async for one in again] == []
        await refunded(job, "april")
    with Journal.read(folder.journal) as journal:
        [resolution] = await journal.resolutions()

    assert (settled.state, settled.code) == (RefundState.REJECTED, "NotCreated")
    assert (resolution.row_id, resolution.batch) == ("order-8", "march")
    assert (resolution.session_id, resolution.refund_id) == (None, None)
    assert back(sandbox) == 36


async def test_a_refund_that_was_made_is_named(folder: JobFolder) -> None:
    """Where the gateway does not show it in time; one of another amount is refused."""
    async with Sandbox() as sandbox, a_doubt(sandbox, folder) as job:
        session = max(
            sandbox.book.sessions.values(), key=lambda one: one.request.amount
        )
        for amount in (2, 5):
            await by_hand(sandbox, session.id, amount)
        other, made = sandbox.book.refunds
        with pytest.raises(JournalError, match="differs in amount"):
            await job.resolve_refund("order-8", "march", refund_id=other)
        with pytest.raises(JournalError, match="there is none"):
            await job.resolve_refund("order-8", "may", refund_id=made)
        settled = await job.resolve_refund("order-8", "march", refund_id=made)
        plan = await job.plan_refunds("rest", job.sessions_in("completed"))

    assert (settled.state, settled.refund_id) == (RefundState.CREATED, made)
    assert plan.sums == {"PLN": 36 - 7}


ANSWER = '{"id":"%s","status":"completed","amount_total":900,"currency":"pln",%s}'


async def test_an_answer_to_another_refund_is_believed_by_nobody(
    folder: JobFolder,
) -> None:
    """One of another amount, or an id that another refund has: it is in doubt."""
    made: dict[str, int] = {}

    async def gateway(exchange: Exchange) -> None:
        request = await exchange.read_request()
        if b"/refunds" in request:  # always the same one, and none is made
            body = b'{"id":"refund-1","amount":3,"status":"pending"}'
        elif request.startswith(b"POST"):
            number = len(made)
            made[f"session-{number}"] = 0
            body = f'{{"id":"session-{number}"}}'.encode()
        else:
            session_id = request.split()[1].rsplit(b"/", 1)[-1].decode()
            body = (ANSWER % (session_id, '"amount_refunded":0')).encode()
        await exchange.write(http(body))

    wanted = [WantedRefund(f"order-{number}", 3) for number in (1, 2, 3)]
    async with (
        RawServer(gateway) as server,
        CheckoutSessionFactory("sk_test_key", server.base_url) as factory,
        await Job.begin(folder, JobPlan(concurrency=1), factory) as job,
    ):
        async for _ in job.run(rows_of(3)):
            pass
        async for _ in job.refresh():
            pass
        expect = {"PLN": Decimal("0.09")}
        outcomes = [one async for one in job.refund("a", wanted, expect_sum=expect)]

    assert [one.refund.state for one in outcomes] == [
        *(RefundState.CREATED, RefundState.UNKNOWN, RefundState.UNKNOWN)
    ]
    assert [one.refund.code for one in outcomes] == [None, "Crossed", "Crossed"]


async def test_a_job_does_one_thing_at_a_time(folder: JobFolder) -> None:
    """Refunds and runs are begun one after the other, and nothing is hurt by a slip."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        refreshing = job.refresh(final=True)
        await anext(refreshing)
        with pytest.raises(JournalError, match="before what the job does now"):
            job.refund("march", [], expect_sum={})
        await refreshing.aclose()
        assert states(await refunded(job)) == {RefundState.CREATED: ROWS}


async def test_a_refund_of_another_session_ends_no_doubt(folder: JobFolder) -> None:
    """A gateway's refund does not name its session, but the job knows its own."""
    wanted = [WantedRefund("order-7", 5)]
    expect = {"PLN": Decimal("0.05")}
    async with Sandbox() as sandbox:
        async with a_doubt(sandbox, folder) as job:
            [other] = [o async for o in job.refund("may", wanted, expect_sum=expect)]
        async with paid(sandbox, folder) as job:
            its_id = other.refund.refund_id
            with pytest.raises(JournalError, match="that of row order-7 in batch may"):
                await job.resolve_refund("order-8", "march", refund_id=its_id)
            [doubt] = [one for one in await job.refunds() if one.batch == "march"]

    assert doubt.state is RefundState.UNKNOWN


async def test_a_refund_that_fails_later_is_made_no_more(folder: JobFolder) -> None:
    """A look at its session finds that less is paid back, and asks; another may go."""
    [row, *_] = rows_of(1)
    fails = attrs.evolve(row, request=an_order(amount=666))  # as the sandbox has it
    expect = {"PLN": Decimal("6.66")}
    async with (
        Sandbox() as sandbox,
        sandbox.factory() as factory,
        await Job.begin(folder, JobPlan(), factory) as job,
    ):
        async for _ in job.run([fails]):
            pass
        for session in sandbox.book.sessions.values():
            sandbox.book.pay(session, "123456")
        async for _ in job.refresh():
            pass
        wanted = [WantedRefund(fails.row_id)]
        [made] = [o async for o in job.refund("one", wanted, expect_sum=expect)]
        before = await job.plan_refunds("two", wanted)
        sandbox.advance(3_600)
        async for _ in job.refresh(final=True):
            pass
        [count] = await job.refunds()
        after = await job.plan_refunds("two", wanted)

    assert made.refund.state is RefundState.CREATED
    assert (before.refunds, after.sums) == (0, {"PLN": 666})
    assert count.state is RefundState.REJECTED


@asynccontextmanager
async def paid_once(sandbox: Sandbox, folder: JobFolder) -> AsyncIterator[Job]:
    """Give a job of one session, of which 666 can be paid back: that fails later."""
    [row, *_] = rows_of(1)
    async with (
        sandbox.factory() as factory,
        await Job.begin(folder, JobPlan(), factory) as job,
    ):
        request = an_order(amount=1_500)
        async for _ in job.run([attrs.evolve(row, request=request)]):
            pass
        for session in sandbox.book.sessions.values():
            sandbox.book.pay(session, "123456")
        async for _ in job.refresh():
            pass
        yield job


async def pay_back_666(job: Job) -> JournalRefund:
    """Return what is known of the refund that fails later."""
    wanted, expect = [WantedRefund("order-1", 666)], {"PLN": Decimal("6.66")}
    [made] = [one async for one in job.refund("one", wanted, expect_sum=expect)]
    return made.refund


async def test_a_rise_that_is_undone_leaves_its_refund_in_doubt(
    folder: JobFolder,
) -> None:
    """It may have failed, and without its id nobody can ask: a person ends that."""
    rest = [WantedRefund("order-1", 500)]
    expect = {"PLN": Decimal("5.00")}
    lost = Fault(FaultKind.LOST, operation="refund", times=1)
    async with Sandbox(faults=[lost]) as sandbox, paid_once(sandbox, folder) as job:
        made = await pay_back_666(job)
        planned = await job.plan_refunds("two", rest)
        sandbox.advance(3_600)
        async for _ in job.refresh(final=True):
            pass
        [doubt] = [one async for one in job.refunds_in("one")]
        held = await job.plan_refunds("two", rest)
        await job.resolve_refund("order-1", "one", not_created=True)
        [two] = [one async for one in job.refund("two", rest, expect_sum=expect)]

    assert (made.state, made.refund_id) == (RefundState.CREATED, None)
    assert (doubt.state, doubt.code) == (RefundState.UNKNOWN, "NotShown")
    assert (planned.refunds, held.refunds) == (1, 0)
    assert two.refund.state is RefundState.CREATED
    assert back(sandbox) == 500


async def test_a_refund_by_hand_hides_none_that_has_failed(folder: JobFolder) -> None:
    """Where more is paid back than the job knows of, its own are asked for, too."""
    async with Sandbox() as sandbox, paid_once(sandbox, folder) as job:
        await pay_back_666(job)
        for session_id in sandbox.book.sessions:
            await by_hand(sandbox, session_id, 700)
        sandbox.advance(3_600)
        async for _ in job.refresh(final=True):
            pass
        [known] = [one async for one in job.refunds_in("one")]

    assert (known.state, known.code) == (RefundState.REJECTED, "Failed")


async def test_a_refund_that_its_session_does_not_show_ends_no_doubt(
    folder: JobFolder,
) -> None:
    """The gateway's refund names no session, and may be one of another session."""
    async with Sandbox() as sandbox, a_doubt(sandbox, folder) as job:
        other = next(
            one.id
            for one in sandbox.book.sessions.values()
            if one.request.amount == ROWS - 1
        )
        await by_hand(sandbox, other, 5)
        [made] = sandbox.book.refunds
        with pytest.raises(JournalError, match="shows no such refund"):
            await job.resolve_refund("order-8", "march", refund_id=made)


def test_a_refund_that_fails_at_once_says_what_one_says_that_fails_later() -> None:
    """A sentence, beside its id and code."""
    failed = Refund(id="re_1", status=RefundStatus.FAILED)

    result = answered_result(7, failed)

    assert (result.refund_id, result.code) == ("re_1", "Failed")
    assert result.message == RefundCode.FAILED.reason


async def test_who_lags_behind_makes_no_refund_fail(folder: JobFolder) -> None:
    """Less is shown than was made, and the refund itself says that it goes on."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        await refunded(job)
        for session in sandbox.book.sessions.values():
            session.refunds.clear()  # its figure, and not its refund, is of yesterday
        async for _ in job.refresh(final=True):
            pass
        [count] = await job.refunds()

    assert (count.state, count.count) == (RefundState.CREATED, ROWS)


async def test_a_name_that_was_used_is_not_mistaken_for_a_new_batch(
    folder: JobFolder,
) -> None:
    """What is wanted now and is no part of it is told, though the sum is the same."""
    expect = {"PLN": Decimal("0.05")}
    first = [WantedRefund("order-8", 2), WantedRefund("order-7", Decimal("0.03"))]
    other = [WantedRefund("order-6", 2), WantedRefund("order-7", 2)]
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        async for _ in job.refund("march", first, expect_sum=expect):
            pass
        same = await job.plan_refunds("march", first)
        plan = await job.plan_refunds("march", other)

    assert (same.is_begun, same.left_out) == (True, ())
    assert (plan.is_begun, plan.sums) == (True, {"PLN": 5})
    assert [(one.row_id, one.reason) for one in plan.left_out] == [
        ("order-6", "is not in the batch as it was begun: another one may have it"),
        ("order-7", "is in the batch with another amount"),
    ]


HALVES = [WantedRefund(f"order-{number}", 1) for number in range(2, ROWS + 1)]
"""What can be paid back twice without exceeding what was paid."""

SEVEN = Decimal("0.07")
UNSEEN = Fault(FaultKind.STATUS, operation="retrieve", status=404)
"""Leaves a batch as it was planned."""


async def halves(job: Job, batch: str = "march") -> list[RefundOutcome]:
    """Pay a part of each session back; return what became of each refund."""
    outcomes = job.refund(batch, HALVES, expect_sum={"PLN": SEVEN})
    return [outcome async for outcome in outcomes]


@pytest.mark.parametrize("made_first", [0, 3])
async def test_a_copy_of_a_journal_pays_nothing_back_twice(
    folder: JobFolder, tmp_path: Path, made_first: int
) -> None:
    """Both go on with a batch of before the copy, and the gateway ignores keys."""
    copy = JobFolder("april", tmp_path / "copy")
    copy.directory.mkdir()
    async with Sandbox(honour_keys=False) as sandbox:
        async with paid(sandbox, folder) as job:
            sandbox.faults.add(UNSEEN)
            assert states(await halves(job)) == {RefundState.PENDING: 7}
            sandbox.faults.clear()
        shutil.copy(folder.journal, copy.journal)
        async with paid(sandbox, copy) as other:
            outcomes = other.refund("march", [], expect_sum={"PLN": SEVEN})
            for _ in range(made_first):
                await anext(outcomes)
            await outcomes.aclose()
        async with paid(sandbox, folder) as job:
            first = await halves(job)
        before = back(sandbox)
        async with paid(sandbox, copy) as other:
            second = await halves(other)

        assert before == back(sandbox) == 7
        refused = [one.refund for one in (*first, *second) if one.refund.code]
        assert {one.code for one in refused} == {"RefundedElsewhere"}
        assert {one.state for one in refused} == {RefundState.REJECTED}


async def test_what_was_refused_for_a_refund_by_hand_is_planned_anew(
    folder: JobFolder,
) -> None:
    """A batch of another name goes by what is known now, without another look."""
    wanted = [WantedRefund("order-8", 3)]
    expect = {"PLN": Decimal("0.03")}
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        by_row = {one.row_id: one.session_id or "" for one in await rows_in(job)}
        await by_hand(sandbox, by_row["order-8"], 1)
        [first] = [one async for one in job.refund("a", wanted, expect_sum=expect)]
        again = [one async for one in job.refund("a", wanted, expect_sum=expect)]
        plan = await job.plan_refunds("b", wanted)
        [other] = [one async for one in job.refund("b", wanted, expect_sum=expect)]

    assert (first.refund.code, again) == ("RefundedElsewhere", [])
    assert "plan another batch" in (first.refund.message or "")
    assert plan.elsewhere == {"PLN": 1}
    assert other.refund.state is RefundState.CREATED
    assert back(sandbox) == 4


async def test_batches_that_are_planned_before_one_another_are_all_paid(
    folder: JobFolder,
) -> None:
    """Each accounts for what the others have made since it was planned."""
    async with Sandbox(honour_keys=False) as sandbox, paid(sandbox, folder) as job:
        by_row = {one.row_id: one.session_id or "" for one in await rows_in(job)}
        await by_hand(sandbox, by_row["order-8"], 1)
        async for _ in job.refresh(final=True):
            pass
        sandbox.faults.add(UNSEEN)
        for batch in ("a", "b"):
            outcomes = job.refund(
                batch,
                [WantedRefund("order-8", 2), WantedRefund("order-4", 2)],
                expect_sum={"PLN": Decimal("0.04")},
            )
            assert states([one async for one in outcomes]) == {RefundState.PENDING: 2}
        sandbox.faults.clear()
        for batch in ("b", "a"):
            outcomes = job.refund(batch, [], expect_sum={"PLN": Decimal("0.04")})
            assert states([one async for one in outcomes]) == {RefundState.CREATED: 2}

    assert back(sandbox) == 9


async def test_a_refund_beside_a_doubt_is_held(folder: JobFolder) -> None:
    """It is pending, with the reason, and is not sent however often it is begun."""
    wanted = [WantedRefund("order-8", 2)]
    expect = {"PLN": Decimal("0.02")}
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        sandbox.faults.add(UNSEEN)
        for batch in ("a", "b"):
            async for _ in job.refund(batch, wanted, expect_sum=expect):
                pass
        sandbox.faults.clear()
        sandbox.faults.add(Fault(FaultKind.RESET, operation="refund", times=1))
        [doubt] = [o async for o in job.refund("a", [], expect_sum=expect)]
        for _ in range(2):
            [held] = [o async for o in job.refund("b", [], expect_sum=expect)]
            assert held.refund.state is RefundState.PENDING
            assert held.held is RefundCode.IN_DOUBT

    assert doubt.refund.state is RefundState.UNKNOWN
    assert sandbox.count("refund") == 1


# -- what a table or a status selects ------------------------------------------------


async def test_a_table_of_amounts_is_paid_back(
    folder: JobFolder, tmp_path: Path
) -> None:
    """In its own spelling, and only where the session has the status."""
    table = tmp_path / "refunds.csv"
    table.write_text("Nr;Kwota\norder-8;0,03\norder-7;0,02\nnobody;1,00\n")
    selection = RefundSelection(
        rows=str(table),
        status="completed",
        amount_column="kwota",
        table={"id_column": "nr", "amount_unit": "major"},
    )
    expect = {"PLN": Decimal("0.05")}
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        plan = await job.plan_refunds("a", selection)
        outcomes = [one async for one in job.refund("a", selection, expect_sum=expect)]

    assert (plan.major_sums, plan.left_out) == (expect, ())
    assert {one.refund.row_id: one.refund.amount for one in outcomes} == {
        "order-8": 3,
        "order-7": 2,
    }
    assert back(sandbox) == 5


async def test_a_row_that_cannot_be_read_stops_a_batch(
    folder: JobFolder, tmp_path: Path
) -> None:
    """Whoever takes such rows himself is told of each."""
    table = tmp_path / "refunds.csv"
    table.write_text("id,amount\norder-8,3\norder-7,x\n,2\n")
    selection = RefundSelection(rows=str(table), amount_column="amount")
    faults: list[AmountRow] = []
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        with pytest.raises(SourceError, match="line 3: column amount must be"):
            await job.plan_refunds("a", selection)
        with pytest.raises(SourceError, match="line 3"):
            await anext(job.refund("a", selection, expect_sum={"PLN": Decimal("0.03")}))
    telling = attrs.evolve(selection, on_fault=faults.append)
    with Journal.read(folder.journal) as journal:
        wanted = [one async for one in telling.wanted(journal)]

    assert wanted == [WantedRefund("order-8", 3)]
    assert [one.line for one in faults] == [3, 4]
    assert sandbox.count("refund") == 0


async def test_a_status_selects_what_is_left_of_its_sessions(folder: JobFolder) -> None:
    """As `Job.sessions_in` does; and nothing at all selects nothing."""
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        plan = await job.plan_refunds("a", RefundSelection(status="completed"))

    assert plan.major_sums == {"PLN": ALL}
    with pytest.raises(ConfigurationError, match="a table of rows, or a status"):
        RefundSelection()


async def test_a_status_that_no_session_has_is_refused(folder: JobFolder) -> None:
    """With those that there are, of a new batch and of one that was begun."""
    slip = RefundSelection(status="completd")
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        for _ in range(2):
            what = r"no session has the status completd \(completed\)"
            with pytest.raises(ConfigurationError, match=what):
                await job.plan_refunds("march", slip)
            with pytest.raises(ConfigurationError, match=what):
                await anext(job.refund("march", slip, expect_sum={"PLN": ALL}))
            await refunded(job)

    assert sandbox.count("refund") == ROWS


async def test_the_way_to_look_at_sessions_is_named(folder: JobFolder) -> None:
    """Where none has a status yet."""
    async with (
        Sandbox() as sandbox,
        sandbox.factory() as factory,
        await Job.begin(folder, JobPlan(), factory) as job,
    ):
        with pytest.raises(ConfigurationError, match="none was looked at: `bulk ref"):
            await job.plan_refunds("march", RefundSelection(status="completed"))


async def test_a_batch_of_nothing_takes_no_name(folder: JobFolder) -> None:
    """What is paid back under it later is no slip."""
    left_out = [WantedRefund("nobody")]
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        nothing = job.refund("march", left_out, expect_sum={}, leaves_out=True)
        assert [one async for one in nothing] == []
        plan = await job.plan_refunds("march", job.sessions_in("completed"))
        outcomes = await refunded(job)

    assert (plan.is_begun, plan.left_out) == (False, ())
    assert states(outcomes) == {RefundState.CREATED: ROWS}


# -- a table of refunds --------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx"])
async def test_every_refund_is_exported(
    folder: JobFolder, tmp_path: Path, suffix: str
) -> None:
    """One a row, of each batch that is whole, in major units and with its reason."""
    for reader in {"parquet": ("pyarrow",), "xlsx": ("openpyxl",)}.get(suffix, ()):
        pytest.importorskip(reader)
    path = tmp_path / f"refunds.{suffix}"
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        by_row = {one.row_id: one.session_id or "" for one in await rows_in(job)}
        sandbox.faults.add(
            Fault(FaultKind.STATUS, operation="refund", status=402, times=1)
        )
        outcomes = await halves(job, "a")
        with pytest.raises(ConfigurationError):
            await anext(job.refund("b", HALVES, expect_sum={}))
        written = await job.export(str(path), refunds=True)
        [first, *_] = (one.refund for one in outcomes if one.refund.refund_id)

    assert written == Export(rows=7)
    assert export(folder, str(tmp_path / "again.csv"), refunds=True) == written
    if suffix != "jsonl":
        return
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["cg_row_id"] for line in lines] == [one.row_id for one in HALVES]
    by_id = {line["cg_row_id"]: line for line in lines}
    assert by_id[first.row_id] == {
        "cg_batch": "a",
        "cg_row_id": first.row_id,
        "cg_session_id": by_row[first.row_id],
        "cg_state": "created",
        "cg_refund_id": first.refund_id,
        "cg_currency": "PLN",
        "cg_amount": "0.01",
        "cg_sent_at": by_id[first.row_id]["cg_sent_at"],
        "cg_code": None,
        "cg_message": None,
    }
    assert Counter(line["cg_state"] for line in lines) == {"created": 6, "rejected": 1}


async def test_a_refund_on_its_way_at_a_kill_is_exported_as_unknown(
    folder: JobFolder, tmp_path: Path
) -> None:
    """As the next run says; what is pending was sent at no time."""
    path = tmp_path / "refunds.jsonl"
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        sandbox.faults.add(UNSEEN)
        await halves(job)
    with Journal.open(folder.journal) as journal:
        await journal.refunds.intend(1, 0, 1534255900.5)
    export(folder, str(path), refunds=True)
    [sent, pending, *_] = [json.loads(line) for line in path.read_text().splitlines()]

    assert (sent["cg_state"], sent["cg_code"]) == ("unknown", "Interrupted")
    assert sent["cg_sent_at"].startswith("2018-08-14T14:11:40")
    assert (pending["cg_state"], pending["cg_sent_at"]) == ("pending", None)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("amount = 'x'", "table refunds has values of another type: 1"),
        ("sent_at = 'x'", "table refunds has values of another type: 1"),
        ("sent_at = 1e300", "have a time that is none: 1"),
    ],
)
async def test_refunds_of_an_edited_journal_are_not_exported(
    folder: JobFolder, tmp_path: Path, edit: str, words: str
) -> None:
    """A number that is none is told as damage, and no part of a table is left."""
    path = tmp_path / "refunds.csv"
    async with Sandbox() as sandbox, paid(sandbox, folder) as job:
        await refunded(job)
    with closing(sqlite3.connect(folder.journal)) as connection, connection:
        connection.execute(f"UPDATE refunds SET {edit} WHERE number = 1")  # noqa: S608 -- our own

    with pytest.raises(JournalError, match=words):
        export(folder, str(path), refunds=True)

    assert not path.exists()
