"""How workers call: as the factory of the job does, as far as that travels."""

import pickle
import ssl
from pathlib import Path

import aiohttp
import pytest
from job_rows import rows_of
from thread_runner import ThreadRunner

from convergegate_async import (
    CheckoutSessionFactory,
    ConfigurationError,
    RetryPolicy,
    Timeouts,
)
from convergegate_async.bulk import (
    Job,
    JobFolder,
    JobPlan,
    Limits,
    ResumeRules,
    RowCounts,
    Unknown,
    new_header,
)
from convergegate_async.bulk.jobs.chunks import (
    CallOptions,
    Chunk,
    Home,
    check_key,
    worker_factory,
)
from convergegate_async.factory import FactoryOptions, context_of
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

PLAN = JobPlan(format="csv", rules=ResumeRules(keys_honoured=True))


OWN = FactoryOptions(
    timeouts=Timeouts(total=2.0, attempt=0.2, connect=0.1),
    echo_fields=["currency"],
    retry=RetryPolicy(base_delay=0.5),
    insecure_hosts=["gateway.internal"],
    app_info="my-shop/1.2",
)


def test_a_worker_calls_as_the_factory_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was pickled is waited, retried and compared by, and called in plain http."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", "sk_test_1")
    base_url = "http://gateway.internal:8080"
    factory = CheckoutSessionFactory("sk_test_1", base_url, **OWN)
    header = new_header(factory, "april")
    home = Home(
        base_url=header.base_url,
        salt=header.salt,
        api_key_fingerprint=header.api_key_fingerprint,
    )
    chunk = Chunk(
        number=1, home=home, options=CallOptions.of(factory), rows=(), limits=Limits()
    )

    check_key(home)
    there = context_of(worker_factory(pickle.loads(pickle.dumps(chunk))))  # noqa: S301 -- our own

    here = context_of(factory)
    assert there.base_url == here.base_url
    assert there.timeouts == here.timeouts
    assert there.policy == here.policy
    assert there.echo_fields == {"currency"}
    assert there.app_info == "my-shop/1.2"


async def test_workers_wait_no_longer_than_the_factory(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a gateway answers later than that is unknown."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    sandbox.faults.add(Fault(FaultKind.LATENCY, seconds=30))
    timeouts = Timeouts(total=0.2)

    async with (
        sandbox.factory(timeouts=timeouts) as checkout,
        await Job.begin(JobFolder("april", tmp_path), PLAN, checkout) as job,
    ):
        outcomes = [one async for one in job.run_on(ThreadRunner(), rows_of(3))]

    assert [type(outcome) for outcome in outcomes] == [Unknown] * 3


@pytest.mark.parametrize("name", ["proxy", "ssl", "connector"])
async def test_what_does_not_travel_is_refused(name: str, tmp_path: Path) -> None:
    """A job that needs it is not run elsewhere without, and may be run here."""
    options = {
        "proxy": FactoryOptions(proxy="http://user:password@proxy.example"),
        "ssl": FactoryOptions(ssl=ssl.create_default_context()),
        "connector": FactoryOptions(connector=aiohttp.TCPConnector()),
    }
    factory = CheckoutSessionFactory("sk_test_1", "https://gw.example", **options[name])

    async with (
        factory,
        await Job.begin(JobFolder("april", tmp_path), PLAN, factory) as job,
    ):
        with pytest.raises(ConfigurationError, match="use run"):
            await anext(job.run_on(ThreadRunner(), rows_of(1)))
        counts = await job.counts()

    assert counts == RowCounts(rows=None)
