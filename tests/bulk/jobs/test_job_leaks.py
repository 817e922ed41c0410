"""A job writes down, and hands out, no more than it has to."""

import asyncio
import csv
import json
import pickle
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
from canaries import (
    ENCODED,
    KEY,
    PERSONAL,
    canary_order,
    channels,
    leaked,
    surroundings,
)
from causes import GATEWAYS
from raw import RawServer
from scripted import StillRuntime
from thread_runner import ThreadRunner
from worker_functions import what_was_given

from convergegate_async import CheckoutSessionFactory, errors
from convergegate_async.bulk import (
    Created,
    Job,
    JobFolder,
    JobPlan,
    Rejected,
    ResumeRules,
)
from convergegate_async.runners import Done, LocalRunner

C = TypeVar("C")
R = TypeVar("R")


SECRETS = (KEY, ENCODED)
JOB_CAUSES = [
    cause
    for cause, (kind, _) in GATEWAYS.items()
    if issubclass(kind, errors.ApiError) and kind is not errors.RateLimitedError
] + ["OutcomeUnknownError-unreadable", "OutcomeUnknownError-echo"]
"""What ends a row; the others make a job wait, and then tell it no more."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a file with one row of canaries."""
    path = tmp_path / "orders.csv"
    order = canary_order()
    cells = {
        "id": "order-1",
        "metadata[note]": PERSONAL[-1],
        **{
            name: str(value)
            for name, value in attrs.asdict(order).items()
            if name != "metadata" and value is not None
        },
        "extra": json.dumps(order.extra),
    }
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(cells))
        writer.writeheader()
        writer.writerow(cells)
    return path


@pytest.mark.parametrize("cause", JOB_CAUSES)
async def test_a_job_writes_down_nothing(cause: str, table: Path) -> None:
    """The journal holds no customer; the dead letters hold the rows, and no more."""
    folder = JobFolder("april", table.parent)
    found: list[BaseException] = []

    with surroundings() as heard:
        async with RawServer(GATEWAYS[cause][1]) as server:
            checkout = CheckoutSessionFactory(
                KEY, server.base_url, runtime=StillRuntime().runtime()
            )
            async with checkout:
                job = await Job.begin(folder, JobPlan(source=str(table)), checkout)
                async with job:
                    try:
                        async for outcome in job.run():
                            assert not isinstance(outcome, Created)
                            found.append(outcome.error)
                    except errors.CallError as error:
                        found.append(error)
                    letters = await job.write_dead_letters()
                    written = journal_of(table.parent)

    assert found
    assert leaked("\n".join(map(channels, found))) == []
    assert leaked(written + journal_of(table.parent)) == []
    for channel, lines in heard.items():
        assert leaked("\n".join(lines)) == [], channel
    if letters is not None:
        text = letters.read_text(encoding="utf-8")
        assert [secret for secret in SECRETS if secret in text] == []
        (row,) = csv.DictReader(text.splitlines())
        ours = {name: cell for name, cell in row.items() if name.startswith("cg_")}
        assert ours
        assert leaked(str(ours)) == []


def journal_of(directory: Path) -> str:
    """Return every byte that a journal is made of just now."""
    files = sorted(directory.glob("april.journal*"))
    return "".join(file.read_bytes().decode("latin-1") for file in files)


class Graph(ThreadRunner):
    """Keeps what a cluster would be handed, and would hand back."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.sent: list[bytes] = []

    async def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[Done[R], None]:
        """Yield what *work* makes of each chunk."""
        async for chunk in chunks:
            result = await asyncio.to_thread(work, chunk)
            self.shown += [repr(work), repr(chunk), repr(result)]
            self.sent += [pickle.dumps(work), pickle.dumps(chunk), pickle.dumps(result)]
            yield Done(result, again=False)


async def test_the_graph_shows_nothing(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a dashboard prints holds no canary, and what is carried no secret."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", KEY)
    graph = Graph()
    folder = JobFolder("april", table.parent)
    plan = JobPlan(source=str(table), rules=ResumeRules(keys_honoured=True))

    async with (
        RawServer(GATEWAYS["InvalidRequestError"][1]) as server,
        CheckoutSessionFactory(KEY, server.base_url) as checkout,
        await Job.begin(folder, plan, checkout) as job,
    ):
        outcomes = [one async for one in job.run_on(graph)]

    assert [type(outcome) for outcome in outcomes] == [Rejected]
    assert leaked("\n".join(graph.shown)) == []
    carried = b"".join(graph.sent).decode("latin-1")
    assert [secret for secret in SECRETS if secret in carried] == []


async def test_a_process_of_a_job_is_given_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its arguments hold no canary, nor its environment but where the key belongs."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", KEY)

    async def chunks() -> AsyncIterator[object]:
        yield canary_order()

    async with LocalRunner(1) as runner:
        given = [done.result async for done in runner.map(what_was_given, chunks())]

    assert len(given) == 1
    assert leaked(given[0]) == []
