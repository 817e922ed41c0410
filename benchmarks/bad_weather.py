"""What a durable job does in bad weather: how long it takes, how it ends, what it says.

One job after the other meets an outage in its middle, a resolver that is restarted, a
balancer with one bad certificate of three, and a gateway that asks to come back later.
The gateway is on loopback, honours keys, and answers after 20 ms. Judged by what it
saw: each row has to have one session in the end, or to be pending.

The second table shows what pacing costs where refusals are strays, and how soon it
gives back what it took.
"""

import argparse
import asyncio
import contextlib
import logging
import socket
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from enum import StrEnum
from itertools import cycle
from pathlib import Path

import aiohttp
import attrs
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult
from harness.faulty import (
    Connection,
    FaultyGateway,
    an_order,
    answer,
    running_gateway,
    session_of,
)
from harness.figures import table

from convergegate_async import CallError, CheckoutSessionFactory
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    ResumeRules,
    Row,
    Tally,
)

CONCURRENCY = 64
LATENCY = 0.02  # seconds
REQUESTS_PER_CONNECTION = 50
DAY = 86_400
HOST = "localhost"
WEATHER_HEAD = (
    "weather",
    "what ended it, and what it said",
    "s",
    "created",
    "not sent",
    "unknown",
    "rejected",
    "requests a row",
)
PACING_HEAD = ("refusals", "s", "times as long", "at once, mean", "back after, s")


class Weather(StrEnum):
    """What befalls a job."""

    FINE = "fine"
    OUTAGE = "an outage in the middle"
    RESOLVER = "the resolver is restarted"
    CERTIFICATE = "one bad certificate of three"
    BUSY = "1 % 429"
    BUSY_WITH_HINT = "1 % 429, Retry-After: 1"
    A_DAY = "one Retry-After of a day"


class Resolver(AbstractResolver):
    """Knows one host, or for a while no longer."""

    def __init__(self) -> None:
        self.is_down = False

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return this machine's address."""
        if self.is_down:
            raise OSError(socket.EAI_NONAME, "no such host")
        found = ResolveResult(
            hostname=host,
            host="127.0.0.1",
            port=port,
            family=family,
            proto=0,
            flags=socket.AI_NUMERICHOST,
        )
        return [found]

    async def close(self) -> None:
        """Hold nothing."""


def a_certificate(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a server of that authority speaks TLS with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    return context


def a_balancer(authority: trustme.CA) -> ssl.SSLContext:
    """Return what three servers speak TLS with in turn; one of them is bad."""
    good, bad = a_certificate(authority), a_certificate(trustme.CA())
    turns = cycle([good, good, bad])
    front = a_certificate(authority)

    def choose(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = next(turns)

    front.sni_callback = choose
    return front


@attrs.define
class Site:
    """A gateway, and what goes wrong with it.

    Attributes:
        refusal: Tells by the number of a request how it is refused, if it is.
        requests: How many there were.
        sessions: Those that were opened: keys.
    """

    refusal: Callable[[int], bytes | None] = lambda _: None
    requests: int = 0
    sessions: set[bytes] = attrs.field(factory=set)

    def reply(self, connection: Connection, key: bytes, form: dict[str, str]) -> None:
        """Open a session, or refuse to; end the connection now and then."""
        self.requests += 1
        said = self.refusal(self.requests)
        if said is None:
            self.sessions.add(key)
            said = session_of(key, form)
        ends = self.requests % REQUESTS_PER_CONNECTION == 0
        if ends:
            said = said.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        loop = asyncio.get_running_loop()
        loop.call_later(LATENCY, self._say, connection, said, ends)

    @staticmethod
    def _say(connection: Connection, said: bytes, ends: bool) -> None:  # noqa: FBT001 -- as `call_later` hands it on
        connection.say(said)
        if ends:
            connection.transport.close()


def busy(retry_after: int | None = None) -> bytes:
    """Return a 429."""
    said = answer({"error": {"type": "rate_limit_error"}}, "429 Too Many Requests")
    if retry_after is None:
        return said
    return said.replace(b"\r\n", b"\r\nRetry-After: %d\r\n" % retry_after, 1)


def every(count: int, said: bytes) -> Callable[[int], bytes | None]:
    """Return what refuses one request of so many."""
    return lambda number: said if number % count == 0 else None


class Listener(logging.Handler):
    """Keeps what the package says to those who only listen to warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Count it."""
        self.said[record.getMessage().partition(" under the idempotency key ")[0]] += 1


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """Listen to the package's log."""
    logger, listener = logging.getLogger("convergegate_async"), Listener()
    logger.addHandler(listener)
    was, logger.propagate = logger.propagate, False
    try:
        yield listener
    finally:
        logger.removeHandler(listener)
        logger.propagate = was


@attrs.define
class Course:
    """How a job went.

    Attributes:
        seconds: How long it took.
        error: What ended it before its last row.
        said: What the log said, and how often.
        at_once: How many rows could be under way: samples, by their time.
    """

    tally: Tally
    site: Site
    seconds: float
    error: CallError | None
    said: Counter[str]
    at_once: list[tuple[float, int]]

    @property
    def is_whole(self) -> bool:
        """Tell whether there is nothing left for another run."""
        return self.error is None and not (self.tally.unknown or self.tally.not_sent)

    @property
    def mean_at_once(self) -> float:
        """Return how many rows could be under way, on an average."""
        return sum(size for _, size in self.at_once) / max(1, len(self.at_once))


def rows(count: int) -> Iterator[Row]:
    """Yield so many rows."""
    for number in range(1, count + 1):
        name = str(number)
        order = an_order(name)
        yield Row(position=number, line=number, row_id=name, request=order, raw={})


async def go(
    job: Job,
    count: int,
    site: Site,
    meanwhile: Callable[[Job], Coroutine[None, None, None]] | None = None,
) -> Course:
    """Run *job* to its end, and watch it."""
    at_once: list[tuple[float, int]] = []
    started = time.perf_counter()

    async def sample() -> None:
        while True:
            await asyncio.sleep(0.02)
            if job.pace is not None:
                at_once.append((time.perf_counter() - started, job.pace.at_once))

    error: CallError | None = None
    tasks = [asyncio.create_task(sample())]
    if meanwhile is not None:
        tasks.append(asyncio.create_task(meanwhile(job)))
    with listening() as listener:
        try:
            async for _ in job.run(rows(count)):
                pass
        except CallError as end:
            error = end
        seconds = time.perf_counter() - started
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Course(job.tally, site, seconds, error, listener.said, at_once)


@contextlib.asynccontextmanager
async def job_at(
    gateway: FaultyGateway,
    folder: Path,
    *,
    authority: trustme.CA | None = None,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[Job]:
    """Begin a job at *gateway*, or go on with it."""
    context = None
    if authority is not None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=resolver or Resolver(),
        use_dns_cache=False,
        ssl=context if context is not None else True,
    )
    scheme = "http" if authority is None else "https"
    jobs = JobFolder("weather", folder)
    plan = JobPlan(
        format="jsonl",
        rules=ResumeRules(keys_honoured=True),
        concurrency=CONCURRENCY,
    )
    async with (
        connector,
        CheckoutSessionFactory(
            "sk_test_x", f"{scheme}://{HOST}:{gateway.port}", connector=connector
        ) as checkout,
    ):
        is_new = not jobs.journal.exists()
        begun = (
            Job.begin(jobs, plan, checkout) if is_new else Job.resume(jobs, checkout)
        )
        async with await begun as job:
            yield job


async def go_through(
    weather: Weather, count: int, *, outage: float, restart: float, folder: Path
) -> list[Course]:
    """Run a job of *count* rows through *weather*, and again where that ended it."""
    site, resolver = Site(), Resolver()
    authority = trustme.CA() if weather is Weather.CERTIFICATE else None
    refusals = {
        Weather.BUSY: every(100, busy()),
        Weather.BUSY_WITH_HINT: every(100, busy(1)),
        Weather.A_DAY: lambda number: busy(DAY) if number == count // 2 else None,
    }
    site.refusal = refusals.get(weather, site.refusal)

    async with running_gateway(site.reply) as gateway:
        if authority is not None:
            await gateway.close()
            gateway.tls = a_balancer(authority)
            await gateway.open()

        async def meanwhile(job: Job) -> None:
            while job.tally.created < count // 2:  # noqa: ASYNC110 -- only to look on
                await asyncio.sleep(0.01)
            if weather is Weather.OUTAGE:
                await gateway.close()
                await asyncio.sleep(outage)
                await gateway.open()
            elif weather is Weather.RESOLVER:
                resolver.is_down = True
                await asyncio.sleep(restart)
                resolver.is_down = False

        courses: list[Course] = []
        while not courses or (len(courses) == 1 and not courses[0].is_whole):
            async with job_at(
                gateway, folder, authority=authority, resolver=resolver
            ) as job:
                courses.append(await go(job, count, site, meanwhile))
        return courses


def weather_line(name: str, count: int, course: Course) -> list[str]:
    """Return a line of the first table."""
    said = [f"{times:,} x {words}" for words, times in course.said.most_common(4)]
    if course.error is not None:
        said.insert(0, type(course.error).__name__)
    tally = course.tally
    return [
        name,
        "; ".join(said) or "nothing",
        f"{course.seconds:.1f}",
        f"{tally.created:,}",
        f"{count - tally.seen + tally.not_sent:,}",
        f"{tally.unknown:,}",
        f"{tally.rejected:,}",
        f"{course.site.requests / count:.3f}",
    ]


def is_right(weather: Weather, courses: list[Course], count: int) -> bool:
    """Tell whether each row has one session, and only a day was not waited for."""
    last = courses[-1]
    created = last.tally.created + last.tally.skipped
    rejected = sum(course.tally.rejected for course in courses)
    is_ended = any(course.error is not None for course in courses)
    return (
        created == count == len(last.site.sessions)
        and last.is_whole
        and not rejected
        and is_ended is (weather is Weather.A_DAY)
    )


async def through_all(options: argparse.Namespace) -> bool:
    """Print the first table; tell whether all is right."""
    lines, right = [], True
    for weather in Weather:
        with tempfile.TemporaryDirectory() as folder:
            courses = await go_through(
                weather,
                options.rows,
                outage=options.outage,
                restart=options.restart,
                folder=Path(folder),
            )
        for name, course in zip((weather, "… and resumed"), courses, strict=False):
            print(f"{name}: {course.seconds:.1f} s", file=sys.stderr)
            lines.append(weather_line(name, options.rows, course))
        right = right and is_right(weather, courses, options.rows)
    print(f"{options.rows:,} rows, {CONCURRENCY} at once, {LATENCY * 1e3:.0f} ms")
    print(f"outage {options.outage:g} s, resolver {options.restart:g} s\n")
    print(table(WEATHER_HEAD, lines, 2))
    return right


STRAYS: dict[str, Callable[[int], bytes | None]] = {
    "none": lambda _: None,
    "one 503 in 200": every(200, answer({}, "503 Service Unavailable")),
    "one 429 in 100": every(100, busy()),
    "ten 429 at the start": lambda number: busy() if number <= 10 else None,  # noqa: PLR2004 -- as it says
    "ten 429 in the middle": lambda n: busy() if 2_000 < n <= 2_010 else None,  # noqa: PLR2004 -- as it says
}


async def pacing(count: int) -> None:
    """Print the second table."""
    lines, fine = [], 0.0
    for name, refusal in STRAYS.items():
        site = Site(refusal)
        with tempfile.TemporaryDirectory() as folder:
            async with (
                running_gateway(site.reply) as gateway,
                job_at(gateway, Path(folder)) as job,
            ):
                course = await go(job, count, site)
        fine = fine or course.seconds
        lines.append(
            [
                name,
                f"{course.seconds:.1f}",
                f"{course.seconds / fine:.2f}",
                f"{course.mean_at_once:.0f}",
                back_after(course.at_once),
            ]
        )
    print(f"\n{count:,} rows, {CONCURRENCY} at once, {LATENCY * 1e3:.0f} ms\n")
    print(table(PACING_HEAD, lines))


def back_after(at_once: list[tuple[float, int]]) -> str:
    """Return the seconds from the lowest point to nine tenths of what was asked for.

    What was before these were first reached is the start, if they were left again.
    """
    full = 0.9 * CONCURRENCY
    reached = next((n for n, (_, size) in enumerate(at_once) if size >= full), 0)
    later = at_once[reached:]
    samples = later if any(size < full for _, size in later) else at_once
    lowest, _ = min(samples, key=lambda sample: sample[1])
    back = [at for at, size in samples if at >= lowest and size >= full]
    return f"{back[0] - lowest:.2f}" if back else "never"


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--outage", type=float, default=120.0, help="seconds")
    parser.add_argument("--restart", type=float, default=10.0, help="seconds")
    parser.add_argument("--pacing-rows", type=int, default=5_000)
    options = parser.parse_args()
    right = asyncio.run(through_all(options))
    asyncio.run(pacing(options.pacing_rows))
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
