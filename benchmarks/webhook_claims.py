"""Whether webhook events are handled, and by one worker at a time, whatever dies.

Two workers of a shop share a real Redis. Every delivery has a fate: it goes well, its
handler raises, hangs, is killed or stopped, its claim is slow, its `complete` hangs,
its 200 is lost; Redis is restarted meanwhile. What is not answered 200 is signed anew
and delivered again, to either worker; every fifth delivery is made twice at once, and
every fifth is given up so soon that its handler is still at work.

The judge is what handlers wrote down, by the clock that all processes share. An overlap
with a process that was stopped is counted apart: no lease can prevent it.

All times hang on *handler_timeout*, as they do in `WebhookReceiver`: with 2 s the lease
is 3 s, a claim may take 1 s, each try to complete 0.2 s, and a slow claim takes 2.4 s.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import attrs
from harness.claiming_shop import FATE_HEADER, SECRET, Fate, Note
from harness.figures import table
from harness.redis_server import running_redis

from convergegate_async import sign

SHARES = {
    Fate.LOST: 0.05,
    Fate.FAILS: 0.1,
    Fate.HANGS: 0.05,
    Fate.KILLED: 0.02,
    Fate.STOPPED: 0.01,
    Fate.SLOW_ASKING: 0.01,
    Fate.SLOW_ANSWER: 0.01,
    Fate.DEAF_CLAIM: 0.01,
    Fate.DEAF_COMPLETE: 0.01,
}
"""Of first deliveries; later ones go wrong half as often. The rest goes well."""

UNHEARD = {Fate.LOST, Fate.DEAF_COMPLETE}
"""Fates of which the 200 does not arrive."""

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
OK = 200
_WORKER = Path(__file__).parent / "harness" / "claiming_shop.py"
_AT_ONCE = 40  # events under way
_TWICE = 0.2  # of deliveries are two at once
_HASTY = (
    0.2  # of deliveries are given up before their handler has ended, and made again
)


@attrs.define
class Work:
    """One run of a handler.

    Attributes:
        end: When it ended, or its process died.
        done: Whether it did what it is for.
        stopped: Whether its process was stopped meanwhile.
    """

    pid: int
    begin: float
    end: float = float("inf")
    done: bool = False
    stopped: bool = False


@attrs.define
class Verdict:
    """What became of all events.

    Attributes:
        fates: How many deliveries had each.
        answers: How often each status was answered; ``None`` is no answer.
        restarts: How often Redis was.
        never: Events that nobody handled.
        again: Events that were handled more than once, one after the other.
        overlaps: Events that two handlers worked on at a time.
        overlaps_of_stopped: The same, where a process had been stopped.
    """

    fates: Counter[Fate] = attrs.field(factory=Counter)
    answers: Counter[int | None] = attrs.field(factory=Counter)
    restarts: int = 0
    handlers: int = 0
    never: list[str] = attrs.field(factory=list)
    again: list[str] = attrs.field(factory=list)
    overlaps: list[str] = attrs.field(factory=list)
    overlaps_of_stopped: list[str] = attrs.field(factory=list)
    seconds: float = 0.0


class Worker:
    """A process of the shop, started anew when it dies, and woken when it is stopped.

    Attributes:
        deaths: When each process died, by its id.
        stops: From when to when each was stopped.
    """

    def __init__(self, home: Path, name: str, redis: str, seconds: float) -> None:
        self.deaths: dict[int, float] = {}
        self.stops: list[tuple[int, float, float]] = []
        self.socket = str(home / name)
        self._arguments = [redis, str(home / "journal"), str(seconds)]
        self._pause = 1.5 * 1.5 * seconds  # half a lease longer than a lease

    async def live(self) -> None:
        """Keep a process running until cancelled."""
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(_WORKER), self.socket, *self._arguments
            )
            waking = asyncio.create_task(self._wake(process.pid))
            try:
                await process.wait()
            finally:
                waking.cancel()
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                self.deaths[process.pid] = time.monotonic()

    async def _wake(self, pid: int) -> None:
        while True:
            await asyncio.sleep(0.02)
            if _is_stopped(pid):
                since = time.monotonic()
                await asyncio.sleep(self._pause)
                os.kill(pid, signal.SIGCONT)
                self.stops.append((pid, since, time.monotonic()))


def _is_stopped(pid: int) -> bool:
    with suppress(OSError):
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        )
    return False


class Gateway:
    """Delivers every event until it is answered 200."""

    def __init__(
        self, workers: Sequence[Worker], verdict: Verdict, seconds: float, seed: int
    ) -> None:
        self._dice = random.Random(seed)  # noqa: S311 -- chance, not secrets
        self._verdict = verdict
        self._workers = workers
        self._seconds = seconds
        self._doors: list[aiohttp.ClientSession] = []
        self.delivered = 0

    async def deliver(self, events: int) -> None:
        """Deliver so many."""
        waiting = iter(range(events))

        async def work() -> None:
            for number in waiting:
                await self._deliver_until_heard(f"evt_{number}")
                self.delivered += 1

        async with AsyncExitStack() as stack:
            for worker in self._workers:
                door = aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(worker.socket, force_close=True)
                )
                self._doors.append(await stack.enter_async_context(door))
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(work())

    async def _deliver_until_heard(self, event_id: str) -> None:
        weight = 1.0
        while True:
            at_once = 2 if self._dice.random() < _TWICE else 1
            heard = await asyncio.gather(
                *[self._deliver_once(event_id, weight) for _ in range(at_once)]
            )
            if any(heard):
                return
            await asyncio.sleep(self._dice.uniform(0.02, 0.3) * self._seconds)
            weight = 0.5

    async def _deliver_once(self, event_id: str, weight: float) -> bool:
        """Deliver, and tell whether a 200 has arrived."""
        fate, door = self._fate(weight), self._dice.choice(self._doors)
        patience = 0.2 if self._dice.random() < _HASTY else 2.0
        status = await _post(door, event_id, fate, patience * self._seconds)
        self._verdict.fates[fate] += 1
        self._verdict.answers[status] += 1
        return status == OK and fate not in UNHEARD

    def _fate(self, weight: float) -> Fate:
        drawn = self._dice.random()
        for fate, share in SHARES.items():
            drawn -= share * weight
            if drawn < 0:
                return fate
        return Fate.WELL


async def _post(
    door: aiohttp.ClientSession, event_id: str, fate: Fate, patience: float
) -> int | None:
    event = {"id": event_id, "type": "session.completed", "data": {"session_id": "s1"}}
    body = json.dumps(event).encode()
    headers = sign(body, secret=SECRET, timestamp=int(time.time()))
    headers[FATE_HEADER] = fate
    try:
        async with (
            asyncio.timeout(patience),
            door.post("http://shop/", data=body, headers=headers) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return None


async def run(events: int, seconds: float, restarts: int, seed: int) -> Verdict:
    """Deliver *events*, restart Redis meanwhile, and judge."""
    verdict = Verdict()
    started = time.monotonic()
    with TemporaryDirectory(prefix="cg-") as folder:
        home = Path(folder)
        with ExitStack() as redis:
            socket = redis.enter_context(running_redis(*DURABLE, folder=home))
            workers = [Worker(home, name, socket, seconds) for name in "ab"]
            gateway = Gateway(workers, verdict, seconds, seed)
            lives = [asyncio.create_task(worker.live()) for worker in workers]
            while not all(map(os.path.exists, (worker.socket for worker in workers))):  # noqa: ASYNC110 -- processes tell no other way
                await asyncio.sleep(0.1)
            delivering = asyncio.create_task(gateway.deliver(events))
            for number in range(1, restarts + 1):
                while gateway.delivered < events * number // (restarts + 1):  # noqa: ASYNC110 -- a number tells no other way
                    await asyncio.sleep(0.1)
                await asyncio.to_thread(redis.close)
                await asyncio.sleep(0.2 * seconds)
                redis.enter_context(running_redis(*DURABLE, folder=home))
                verdict.restarts += 1
            await delivering
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
        judge(verdict, events, read(home / "journal", workers))
    verdict.seconds = time.monotonic() - started
    return verdict


def read(journal: Path, workers: Sequence[Worker]) -> Mapping[str, Sequence[Work]]:
    """Return all that handlers did, by event, in the order of their begin."""
    deaths = {pid: died for worker in workers for pid, died in worker.deaths.items()}
    stops = [stop for worker in workers for stop in worker.stops]
    works: dict[str, list[Work]] = defaultdict(list)
    for line in journal.read_text().splitlines():
        moment, pid, note, event_id = json.loads(line)
        mine = [work for work in works[event_id] if work.pid == pid]
        match note:
            case Note.BEGUN:
                works[event_id].append(Work(pid, moment, deaths[pid]))
            case Note.DONE:
                mine[-1].done = True
            case Note.ENDED:
                mine[-1].end = moment
            case _:
                pass
    for work in (work for several in works.values() for work in several):
        work.stopped = any(
            pid == work.pid and since < work.end and work.begin < until
            for pid, since, until in stops
        )
    return {
        event_id: sorted(several, key=lambda work: work.begin)
        for event_id, several in works.items()
    }


def judge(verdict: Verdict, events: int, works: Mapping[str, Sequence[Work]]) -> None:
    """Note what breaks a promise, and what does not."""
    for event_id in (f"evt_{number}" for number in range(events)):
        several = works.get(event_id, ())
        verdict.handlers += len(several)
        times = sum(work.done for work in several)
        if not times:
            verdict.never.append(event_id)
        if times > 1:
            verdict.again.append(event_id)
        overlaps = list(_overlaps(several))
        if not all(overlaps):
            verdict.overlaps.append(event_id)
        elif overlaps:
            verdict.overlaps_of_stopped.append(event_id)


def _overlaps(works: Sequence[Work]) -> Iterator[bool]:
    """Yield for every two at a time whether one of them had been stopped."""
    for index, work in enumerate(works):
        for later in works[index + 1 :]:
            if later.begin < work.end:
                yield work.stopped or later.stopped


def show(verdict: Verdict) -> None:
    """Print what became of all events."""
    answers = verdict.answers
    rows = [
        *(
            (f"deliveries: {fate}", often)
            for fate, often in verdict.fates.most_common()
        ),
        ("restarts of Redis", verdict.restarts),
        *(
            (f"answers: {status or 'none'}", answers[status])
            for status in sorted(answers, key=lambda status: status or 0)
        ),
        ("handlers begun", verdict.handlers),
        ("events handled again, later", len(verdict.again)),
        (
            "events handled by two at a time, one stopped",
            len(verdict.overlaps_of_stopped),
        ),
        ("EVENTS HANDLED BY TWO AT A TIME", len(verdict.overlaps)),
        ("EVENTS NEVER HANDLED", len(verdict.never)),
    ]
    print(table(("what", "how often"), [(what, f"{often:,}") for what, often in rows]))


def main() -> None:
    """Deliver, judge, print; exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--handler-timeout", type=float, default=2.0)
    parser.add_argument("--restarts", type=int, default=2, help="of Redis")
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args()
    verdict = asyncio.run(
        run(options.events, options.handler_timeout, options.restarts, options.seed)
    )
    print(f"{options.events:,} events in {verdict.seconds:,.0f} s\n")
    show(verdict)
    raise SystemExit(bool(verdict.never or verdict.overlaps))


if __name__ == "__main__":
    main()
