"""What an outage is, is one rule for all that a job does."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from job_rows import rows_of
from scripted import ScriptedTransport, StillRuntime, answered, scripted_factory

from convergegate_async import CallError, ServerError
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import Marks
from convergegate_async.bulk import Job, JobFolder, JobPlan, WantedRefund
from convergegate_async.bulk.sending.outcomes import Outcome
from convergegate_async.bulk.sending.pace import LAST_PROBE, LOOKS_BACK
from convergegate_async.errors import FailureKind

ROWS = 200
QUARTER = 900.0
PROBES = 4 + QUARTER / LAST_PROBE + 2
"""At most, in an outage; the first ones follow sooner than the last."""

ACTIVITIES: dict[str, Callable[[Job], AsyncIterator[Outcome]]] = {
    "refresh": lambda job: job.refresh(final=True),
    "refund": lambda job: job.refund(
        "march",
        [WantedRefund(f"order-{number}", 1) for number in range(1, ROWS + 1)],
        expect_sum={"PLN": Decimal(ROWS) / 100},
    ),
}


class PaidGateway(ScriptedTransport):
    """Opens sessions that are paid at once, and shows them, but in an outage.

    Attributes:
        is_back_at: Until then every look is answered 503.
        unknown_posts: How many of the next refunds find no host of its name.
    """

    def __init__(self, still: StillRuntime) -> None:
        super().__init__()
        self._still = still
        self.is_back_at = 0.0
        self.unknown_posts = 0

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer."""
        del patience, marks
        self.sent.append(request)
        if request.method == "GET" and self._still.time < self.is_back_at:
            return answered(503)
        if request.method == "POST" and self.unknown_posts:
            self.unknown_posts -= 1
            return Failure(kind=FailureKind.UNKNOWN_HOST, sent=False)
        name = request.url.rpartition("/")[2]
        document: dict[str, object] = {"id": f"re_{len(self.sent)}"}
        if name != "refunds":
            document = {
                "id": name if request.method == "GET" else f"cs_{len(self.sent)}",
                "status": "completed",
                "currency": "pln",
                "amount_total": 1_000,
                "amount_refunded": 0,
            }
        return HttpResponse(status=200, body=json.dumps(document).encode())


@asynccontextmanager
async def paid_job(
    folder: Path, still: StillRuntime, gateway: PaidGateway
) -> AsyncIterator[Job]:
    """Give a job whose sessions are all paid, and looked at."""
    factory = scripted_factory(gateway, still)
    plan = JobPlan(concurrency=1)
    job = await Job.begin(JobFolder("april", folder), plan, factory)
    async with factory, job:
        async for _ in job.run(rows_of(ROWS)):
            pass
        async for _ in job.refresh():
            pass
        gateway.sent.clear()
        still.time += 60  # what was seen just now is not looked at again
        yield job


async def done(
    activity: AsyncIterator[Outcome],
) -> tuple[list[Outcome], CallError | None]:
    """Have it done; return what was yielded, and what was raised at the end."""
    outcomes: list[Outcome] = []
    try:
        async for outcome in activity:
            outcomes.append(outcome)  # noqa: PERF401 -- kept whatever is raised
    except CallError as error:
        return outcomes, error
    return outcomes, None


@pytest.mark.parametrize("name", ACTIVITIES)
async def test_looks_that_all_fail_at_the_gateway_are_an_outage(
    name: str, tmp_path: Path
) -> None:
    """As rows of a run are that meet 503: soon it is only probed, and then given up."""
    still = StillRuntime()
    gateway = PaidGateway(still)
    async with paid_job(tmp_path, still, gateway) as job:
        began, gateway.is_back_at = still.time, float("inf")
        outcomes, error = await done(ACTIVITIES[name](job))

    assert isinstance(error, ServerError)
    assert still.time - began >= QUARTER
    assert len(outcomes) < LOOKS_BACK + PROBES


@pytest.mark.parametrize("name", ACTIVITIES)
async def test_after_an_outage_all_else_is_done(name: str, tmp_path: Path) -> None:
    """Those that were looked at meanwhile are told, and left as they were."""
    still = StillRuntime()
    gateway = PaidGateway(still)
    async with paid_job(tmp_path, still, gateway) as job:
        gateway.is_back_at = still.time + 300
        outcomes, error = await done(ACTIVITIES[name](job))

    failed = [outcome for outcome in outcomes if outcome.error is not None]
    assert (len(outcomes), error) == (ROWS, None)
    assert {type(outcome.error) for outcome in failed} == {ServerError}
    assert len(failed) < LOOKS_BACK


async def test_a_gateway_that_answered_a_look_is_no_wrong_address(
    tmp_path: Path,
) -> None:
    """Refunds that find no host are an outage once the look before was answered."""
    still = StillRuntime()
    gateway = PaidGateway(still)
    async with paid_job(tmp_path, still, gateway) as job:
        gateway.unknown_posts = 10
        outcomes, error = await done(ACTIVITIES["refund"](job))

        assert job.is_answered

    assert (len(outcomes), error) == (ROWS, None)
    assert {type(outcome.error) for outcome in outcomes} == {type(None)}
