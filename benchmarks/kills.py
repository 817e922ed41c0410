"""Whether a durable job keeps its promises over thousands of kills.

A job runs as a process of its own against a sandbox in this one, which fails 5 % of its
requests; it is killed with SIGKILL, at random moments and in each of the crash points,
and resumed until it ends. The judge is the sandbox's own book.
"""

import csv
import random
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from harness.killed_job import JOB, TABLE, CrashPoint
from harness.killing import REFUSED, Kill, faults_of, plan_kills, run_killed
from harness.verdicts import Trial, Verdict, judge

from convergegate_async import derive_key
from convergegate_async.bulk import Journal, State, every_row
from convergegate_async.bulk.journal.records import JournalRow
from convergegate_async.sandbox import Sandbox, SeenRequest

KEY = "sk_test_CANARYkey"
ORDER = {
    "currency": "pln",
    "customer_email": "canary@example.com",
    "customer_firstname": "Canaria",
    "customer_lastname": "Canarinen",
    "customer_phone": "+48999888777",
    "success_url": "https://shop.example/thanks",
}
SECRETS = (b"canar", b"999888777", b"c2tfdGVzdF9DQU5BUlk")
"""What no journal may hold, in lower case but for the key in HTTP Basic's base64."""


@attrs.frozen
class Evidence:
    """All that is known of a job, from both sides, by row.

    Attributes:
        rows: What the journal says; nothing of a row that is pending.
        arrivals: What the sandbox saw, in order.
        sessions: The ids of those that the sandbox has.
    """

    rows: Mapping[str, JournalRow]
    arrivals: Mapping[str, Sequence[SeenRequest]]
    sessions: Mapping[str, Sequence[str]]


class JobUnderTest:
    """One job from its begin to its end, through as many runs as it takes."""

    def __init__(
        self, home: Path, sandbox: Sandbox, rows: int, *, honoured: bool
    ) -> None:
        self.row_ids = [f"o{number}" for number in range(rows)]
        self._sandbox = sandbox
        self._honoured = honoured
        self._orders = home / "orders.csv"
        self._folder = home / "job"
        self._copy = home / "copy"
        self._folder.mkdir()
        with self._orders.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "amount", *ORDER])
            writer.writerows(
                [row_id, amount, *ORDER.values()]
                for amount, row_id in enumerate(self.row_ids, 1)
            )

    async def run(self, kill: Kill | None) -> bool:
        """Run the job, and tell whether it was killed before it ended.

        Raises:
            RuntimeError: It ended otherwise.
        """
        arguments = [str(self._orders), str(self._folder / f"{JOB}.journal")]
        if self._honoured:
            arguments.append("--keys-honoured")
        url = self._sandbox.base_url
        return await run_killed("killed_job", arguments, kill, key=KEY, url=url)

    async def judge(self, *, over: bool) -> tuple[Evidence, list[str]]:
        """Return what is known now, and what of it breaks a promise."""
        rows, wrong = await self._read_copy()
        evidence = Evidence(rows, self._arrivals(), self._sessions())
        known = set(self.row_ids)
        wrong += [f"I1: {name} is no row" for name in set(rows) - known]
        wrong += [
            f"I4: {key} is no row's key" for key in set(evidence.arrivals) - known
        ]
        wrong += [f"I6: {name} holds personal data" for name in self._leaking_files()]
        for row_id in self.row_ids:
            broken = _broken(evidence, row_id, honoured=self._honoured, over=over)
            wrong += [f"{promise} ({row_id})" for promise in broken]
        return evidence, wrong

    async def _read_copy(self) -> tuple[dict[str, JournalRow], list[str]]:
        """Read what a dead job left as a resumed one would, and leave it to that."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._folder, self._copy)
        path = self._copy / f"{JOB}.journal"
        if not path.exists():
            return {}, []
        with Journal.open(path) as journal:
            rows = {row.row_id: row async for row in every_row(journal)}
            return rows, await journal.check()

    def _leaking_files(self) -> list[str]:
        contents = {path.name: path.read_bytes() for path in self._folder.iterdir()}
        return [
            name
            for name, data in contents.items()
            if any(secret in data or secret in data.lower() for secret in SECRETS)
        ]

    def _arrivals(self) -> dict[str, list[SeenRequest]]:
        names = {derive_key(JOB, row_id): row_id for row_id in self.row_ids}
        arrivals = defaultdict(list)
        for seen in self._sandbox.seen:
            key = str(seen.idempotency_key)
            arrivals[names.get(key, key)].append(seen)
        return arrivals

    def _sessions(self) -> dict[str, list[str]]:
        sessions = defaultdict(list)
        for session in self._sandbox.book.sessions.values():
            metadata = session.request.metadata or {}
            sessions[metadata[str(TABLE.row_metadata)]].append(session.id)
        return sessions


def _broken(
    evidence: Evidence, row_id: str, *, honoured: bool, over: bool
) -> Iterator[str]:
    """Yield the promises that are broken to a row."""
    row = evidence.rows.get(row_id)
    state = None if row is None else row.state
    came = evidence.arrivals.get(row_id, ())
    made = evidence.sessions.get(row_id, ())
    if over and state in (None, State.SENT):
        yield "I1: left open at the end"
    if came and state is None:
        yield "I2: sent before it was intended"
    if not honoured and any(seen.status != REFUSED for seen in came[:-1]):
        yield "I3: sent again though it may have been done"
    if len({seen.body for seen in came}) > 1:
        yield "I4: sent with two bodies"
    if len(made) > 1:
        yield "I5: opened twice"
    if made and state in (None, State.REJECTED):
        yield "I5: opened, and the journal denies it"
    if row is not None and state is State.CREATED and [row.session_id] != [*made]:
        yield "I5: done, and not by the session that was opened"
    if over and honoured and state is not State.CREATED:
        yield "I5: not done though keys are honoured"


async def kill_jobs(
    kills: Iterable[Kill],
    *,
    rows: int,
    honoured: bool,
    deceived: bool = False,
    seed: int = 17,
) -> Verdict:
    """Work on one job after the other until each of *kills* has ended a run.

    Args:
        kills: Each happens once, in this order.
        rows: Of one job.
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
                faults=faults_of("create"),
                seed=seed + verdict.jobs,
            ) as sandbox:
                job = JobUnderTest(Path(home), sandbox, rows, honoured=honoured)
                await _run_to_end(job, left, verdict)
    verdict.seconds = time.perf_counter() - started
    return verdict


async def _run_to_end(job: JobUnderTest, left: deque[Kill], verdict: Verdict) -> None:
    """Kill a job with what is *left* until it ends, and judge it after each run."""
    over, kills = False, 0
    evidence = Evidence({}, {}, {})
    while not over:
        kill = left[0] if left else None
        over = not await job.run(kill)
        verdict.runs += 1
        evidence, wrong = await job.judge(over=over)
        verdict.violations += wrong
        if not over and kill is not None:
            verdict.kills[kill.point] += 1
            kills += 1
            left.popleft()
        elif kill is not None and not kills:
            left[0] = kill.sooner()
    verdict.jobs += 1
    for row_id, row in evidence.rows.items():
        verdict.states[row.state] += 1
        is_alarm = row.state is State.UNKNOWN and not evidence.sessions.get(row_id)
        verdict.odd += is_alarm


def plan(dice: random.Random, *, moments: int, points: int, rows: int) -> list[Kill]:
    """Return so many kills at random *moments*, and so many in each of the points."""
    most = min(200, rows // 2)
    each = [(point, most) for point in CrashPoint for _ in range(points)]
    return plan_kills(dice, each, moments=moments)


def main() -> None:
    """Kill in both modes at once; print what became of the jobs."""
    trial = Trial(
        work=kill_jobs,
        plan=plan,
        points=CrashPoint,
        items="rows",
        odd="without a session",
        kills=2_000,
        rows=2_000,
    )
    judge(trial, __doc__)


if __name__ == "__main__":
    main()
