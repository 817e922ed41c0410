"""Whether the refunds of a job keep their promises over hundreds of kills.

The sessions of a job are all paid. They are paid back in part by one batch, and the
rest by another, each by a process of its own against a sandbox in this one, which fails
5 % of refunds and looks. The process is killed with SIGKILL, at random moments and in
each of the crash points, and its command repeated until the batch has come to its end,
and twice more. The judge is the sandbox's own book.
"""

import csv
import random
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias
from urllib.parse import parse_qsl

import attrs
from harness.killed_refund import AMOUNTS, JOB, REPORTED, RefundPoint, wanted_in
from harness.killing import REFUSED, Kill, faults_of, plan_kills, run_killed
from harness.verdicts import Trial, Verdict, judge

from convergegate_async import CheckoutSessionRequest, major_units
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Journal,
    JournalRefund,
    RefundState,
    ResumeRules,
    Row,
    plan_refunds,
    sessions_in,
)
from convergegate_async.bulk.jobs.refund_run import refund_key
from convergegate_async.sandbox import BookedRefund, Sandbox, SeenRequest

KEY = "sk_test_CANARYkey"
BATCHES = ("part", "rest")
_LEAST = 4_001  # minor units: no part of it is the 666 that the sandbox fails
_MOST_ROWS = 500  # of a job: a journal tells the refunds of so many sessions at once
_MOST_RUNS = 5  # that a batch needs to come to its end, once nothing kills it

What: TypeAlias = tuple[str, int]
"""A session and an amount: each refund of a job has another pair."""


@attrs.frozen
class Evidence:
    """All that is known of the refunds of a job, from both sides.

    Attributes:
        refunds: What the journal says, of batches that are whole.
        keys: Under which each of them is to be sent.
        arrivals: What the sandbox saw, in order.
        made: What is in its book.
        reported: The numbers of those that somebody was told are made.
    """

    refunds: Mapping[What, JournalRefund]
    keys: Mapping[What, str]
    arrivals: Mapping[What, Sequence[SeenRequest]]
    made: Mapping[What, Sequence[BookedRefund]]
    reported: frozenset[int]


class JobUnderTest:
    """One job whose sessions are paid back, through as many runs as it takes."""

    def __init__(self, home: Path, sandbox: Sandbox, *, honoured: bool) -> None:
        self._sandbox = sandbox
        self._honoured = honoured
        self._home = home / "job"
        self._copy = home / "copy"
        self._folder = JobFolder(JOB, self._home)
        self._expected: dict[str, list[str]] = {}
        self._home.mkdir()

    async def begin(self, rows: int, currencies: Sequence[str]) -> None:
        """Open a session for every row, and have it paid and looked at."""
        orders = [_order(n, currencies[n % len(currencies)]) for n in range(rows)]
        with (self._home / AMOUNTS).open("w", newline="") as file:
            csv.writer(file).writerows(
                [row.row_id, max(1, row.request.amount // (2 + number % 3))]
                for number, row in enumerate(orders)
            )
        plan = JobPlan(rules=ResumeRules(keys_honoured=self._honoured), concurrency=64)
        async with (
            self._sandbox.factory() as factory,
            await Job.begin(self._folder, plan, factory) as job,
        ):
            async for _ in job.run(orders):
                pass
            for session in self._sandbox.book.sessions.values():
                self._sandbox.book.pay(session, "123456")
            async for _ in job.refresh():
                pass
        for operation in ("refund", "retrieve"):
            for fault in faults_of(operation):
                self._sandbox.faults.add(fault)

    async def run(self, batch: str, kill: Kill | None) -> bool:
        """Pay a batch back, and tell whether that was killed before it ended."""
        if batch not in self._expected:  # a dry run is made once
            self._expected[batch] = await self._dry_run(batch)
        return await run_killed(
            "killed_refund",
            [str(self._home), batch, *self._expected[batch]],
            kill,
            key=KEY,
            url=self._sandbox.base_url,
        )

    async def _dry_run(self, batch: str) -> list[str]:
        amounts = self._home / AMOUNTS
        with Journal.read(self._folder.journal) as journal:
            rest = sessions_in(journal, "completed")
            wanted = wanted_in(amounts) if batch == BATCHES[0] else rest
            found = await plan_refunds(journal, batch, wanted)
        return [
            word
            for code, amount in found.sums.items()
            for word in ("--expect", code, str(major_units(amount, code)))
        ]

    async def judge(self) -> tuple[Evidence, list[str]]:
        """Return what is known now, and what of it breaks a promise."""
        evidence, wrong = await self._evidence()
        wrong += [
            f"R1 paid back more than its amount ({session.id})"
            for session in self._sandbox.book.sessions.values()
            if session.amount_refunded > session.request.amount
        ]
        for found in (evidence.arrivals, evidence.made):
            wrong += [
                f"R6 sent or made, and in no batch that is whole ({what})"
                for what in found.keys() - evidence.refunds.keys()
            ]
        for what in evidence.refunds:
            broken = _broken(evidence, what, honoured=self._honoured)
            wrong += [f"{promise} ({what})" for promise in broken]
        return evidence, wrong

    async def _evidence(self) -> tuple[Evidence, list[str]]:
        """Read what a dead job left as a resumed one would, and leave it to that."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._home, self._copy)
        with Journal.open(JobFolder(JOB, self._copy).journal) as journal:
            faults = await journal.check()
            ids = self._sandbox.book.sessions
            refunds = {
                (one.session_id, one.amount): one
                for one in await journal.refunds.of_sessions(*ids)
            }
            salt = journal.header.salt
        keys = {what: refund_key(salt, one) for what, one in refunds.items()}
        report = self._copy / REPORTED
        numbers = report.read_text().split() if report.exists() else []
        made = self._made()
        arrivals = self._arrivals()
        return Evidence(
            refunds, keys, arrivals, made, frozenset(map(int, numbers))
        ), faults

    def _arrivals(self) -> dict[What, list[SeenRequest]]:
        arrivals = defaultdict(list)
        for seen in self._sandbox.seen:
            if seen.operation == "refund":
                form = dict(parse_qsl(seen.body.decode()))
                arrivals[form["session_id"], int(form["amount"])].append(seen)
        return arrivals

    def _made(self) -> dict[What, list[BookedRefund]]:
        made = defaultdict(list)
        for refund in self._sandbox.book.refunds.values():
            made[refund.session_id, refund.amount].append(refund)
        return made


def _order(number: int, currency: str) -> Row:
    # Odd amounts have no two halves that are alike.
    request = CheckoutSessionRequest(
        amount=_LEAST + 2 * number,
        currency=currency,
        customer_email="canary@example.com",
        customer_firstname="Canaria",
        customer_lastname="Canarinen",
        customer_phone="+48999888777",
        success_url="https://shop.example/thanks",
    )
    return Row(
        position=number + 1,
        line=number + 1,
        row_id=f"o{number}",
        request=request,
        raw={},
    )


def _broken(evidence: Evidence, what: What, *, honoured: bool) -> Iterator[str]:
    """Yield the promises that are broken to a refund."""
    refund = evidence.refunds[what]
    came = evidence.arrivals.get(what, ())
    made = evidence.made.get(what, ())
    ids = {one.id for one in made}
    is_reported = refund.number in evidence.reported
    if len(made) > 1:
        yield "R1 made twice"
    if refund.state is RefundState.CREATED and not made:
        yield "R2 made, says the journal, and is not"
    if refund.refund_id is not None and refund.refund_id not in ids:
        yield "R2 made, and not by the refund that the journal names"
    if is_reported and refund.state is not RefundState.CREATED:
        yield "R2 told as made, and forgotten"
    if refund.state in (RefundState.PENDING, RefundState.REJECTED) and made:
        yield f"R3 made, and {refund.state} in the journal"
    if refund.state is RefundState.PENDING and any(
        seen.status != REFUSED for seen in came
    ):
        yield "R3 pending though it may have been done"
    if not honoured and any(seen.status != REFUSED for seen in came[:-1]):
        yield "R4 sent again though it may have been done"
    if {seen.idempotency_key for seen in came} - {evidence.keys[what]}:
        yield "R5 sent under another key"
    if len({seen.body for seen in came}) > 1:
        yield "R5 sent with two bodies"


async def kill_refunds(
    kills: Iterable[Kill],
    *,
    rows: int,
    honoured: bool,
    deceived: bool = False,
    seed: int = 17,
) -> Verdict:
    """Pay back one job after the other until each of *kills* has ended a run.

    Args:
        kills: Each happens once, in this order.
        rows: Of one job; 500 at most. Every other job has two currencies.
        honoured: What the jobs expect of keys.
        deceived: The gateway ignores them all the same.
        seed: Of the first sandbox; each has the next.
    """
    verdict, left = Verdict(honoured), deque(kills)
    started = time.perf_counter()
    while left:
        with TemporaryDirectory() as home:
            async with Sandbox(
                api_key=KEY,
                honour_keys=honoured and not deceived,
                seed=seed + verdict.jobs,
            ) as sandbox:
                job = JobUnderTest(Path(home), sandbox, honoured=honoured)
                currencies = ("pln", "eur")[: 1 + verdict.jobs % 2]
                await job.begin(min(rows, _MOST_ROWS), currencies)
                await _pay_back(job, left, verdict)
    verdict.seconds = time.perf_counter() - started
    return verdict


async def _pay_back(job: JobUnderTest, left: deque[Kill], verdict: Verdict) -> None:
    """Kill both batches with what is *left* until they end; judge after each run."""
    before = len(left)
    for batch in BATCHES:
        await _run_to_end(job, batch, left, verdict)
    evidence = Evidence({}, {}, {}, {}, frozenset())
    for batch in BATCHES * 2:
        evidence = await _run(job, batch, None, verdict)
    if len(left) == before:
        left[0] = left[0].sooner()
    verdict.jobs += 1
    for what, refund in evidence.refunds.items():
        verdict.states[refund.state] += 1
        verdict.odd += refund.is_in_doubt and bool(evidence.made.get(what))


async def _run_to_end(
    job: JobUnderTest, batch: str, left: deque[Kill], verdict: Verdict
) -> None:
    """Repeat the command of a batch until nothing of it is pending."""
    whole_runs = 0
    while whole_runs < _MOST_RUNS:
        kills = len(left)
        evidence = await _run(job, batch, left, verdict)
        if len(left) < kills:
            continue
        whole_runs += 1
        states = [r.state for r in evidence.refunds.values() if r.batch == batch]
        if RefundState.PENDING not in states:
            return
    verdict.violations.append(f"R7 the batch {batch} never comes to its end")


async def _run(
    job: JobUnderTest, batch: str, left: deque[Kill] | None, verdict: Verdict
) -> Evidence:
    """Run the command of a batch once; judge what there is then."""
    kill = left[0] if left else None
    if await job.run(batch, kill) and left and kill is not None:
        verdict.kills[kill.point] += 1
        left.popleft()
    verdict.runs += 1
    evidence, wrong = await job.judge()
    verdict.violations += wrong
    return evidence


def plan(dice: random.Random, *, moments: int, points: int, rows: int) -> list[Kill]:
    """Return so many kills at random *moments*, and so many in each of the points."""
    most = {point: max(1, rows // 4) for point in RefundPoint}
    most |= {RefundPoint.PLANNED: 1 + (rows > 256), RefundPoint.SEALED: 1}  # noqa: PLR2004 -- are planned together
    each = [(point, most[point]) for point in RefundPoint for _ in range(points)]
    return plan_kills(dice, each, moments=moments)


def main() -> None:
    """Kill in both modes at once; print what became of the refunds."""
    trial = Trial(
        work=kill_refunds,
        plan=plan,
        points=RefundPoint,
        items="refunds",
        odd="in the gateway's book",
        kills=300,
        rows=400,
    )
    judge(trial, __doc__)


if __name__ == "__main__":
    main()
