"""Short runs of the long ones in ``benchmarks/``, judged by what the server saw."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from amplification import GOAL, RATES, amplify
from bad_weather import Weather, go_through, is_right
from canaries import KEY
from crossed_answers import compare
from false_not_sent import prove
from harness.faulty import an_order, running_gateway
from late_answers import Fate, Second, be_late
from outage import DEADLINE, Trouble, TroubledGateway

from convergegate_async import CheckoutSessionFactory

pytestmark = pytest.mark.timeout(600)

PATIENCE = 120.0  # seconds
WINDOW = range(50)


async def test_what_was_not_sent_was_never_seen() -> None:
    """Finding 6: over random cancels and faults, "not sent" is never a mistake."""
    proofs = await prove(2_000)

    assert proofs.wrong == []
    assert proofs.outcomes["not_sent"] > 0
    assert proofs.outcomes["unknown"] > 0
    assert proofs.outcomes["cancelled"] > 0


async def test_nobody_is_handed_another_s_session() -> None:
    """Finding 2: with one stray answer in a hundred every caller gets his own."""
    result = await compare(2_000)

    assert result["factory"]["another's"] == 0
    assert result["factory"]["own"] > 1_900
    assert result["by hand"]["another's"] > 0  # the strays do reach their victims


@pytest.mark.parametrize("second", Second)
@pytest.mark.parametrize("twins", [False, True], ids=["different", "twins"])
async def test_a_late_second_answer_is_nobody_else_s(
    second: Second, *, twins: bool
) -> None:
    """Twins or not: who met one is told that nobody knows, or is refused as it says."""
    result = await be_late(second, twins=twins, calls=2_000)

    assert result.met > 0
    fate = Fate.REFUSED if second is Second.REFUSAL else Fate.UNKNOWN
    assert result.fates[fate] == result.met
    assert result.fates[Fate.OWN] == 2_000 - result.met


@pytest.mark.parametrize("rate", RATES)
async def test_repeats_stay_within_their_budget(rate: float) -> None:
    """At any rate of failure: 1.10 requests a call, and one bucket.

    A factory without a budget is over that from 0.3 on. Below, there are too few
    failures to tell, and a row only shows that they are repeated.
    """
    result = await amplify(rate, 1_000)

    assert result.factor <= GOAL
    assert (
        result.requests == result.calls if rate == 0 else result.requests > result.calls
    )


@pytest.mark.parametrize("trouble", Trouble)
async def test_an_outage_is_survived(trouble: Trouble) -> None:
    """Every call ends, at its deadline of a second or so; after the outage all is well.

    How soon so many at once are over is for the benchmark to tell: a busy machine may
    be the slower one here, and test_d_answers.py holds each call to its deadline.
    """
    troubled = TroubledGateway(trouble)
    async with (
        running_gateway(troubled.reply) as gateway,
        CheckoutSessionFactory(KEY, gateway.base_url) as checkout,
    ):

        async def call_often(timeout: float) -> Counter[str]:
            calls = [checkout.create(an_order(str(n)), timeout=timeout) for n in WINDOW]
            results = await asyncio.gather(*calls, return_exceptions=True)
            return Counter(getattr(one, "outcome", "done") for one in results)

        before = await call_often(PATIENCE)
        await troubled.turn(gateway)
        await call_often(DEADLINE)  # over what was open
        during = await call_often(DEADLINE)
        await troubled.turn(gateway)
        after = await call_often(PATIENCE)

    assert before["done"] == after["done"] == len(WINDOW)
    assert during["not_sent" if trouble is Trouble.REFUSES else "unknown"] > 0
    assert during["done"] == 0


@pytest.mark.parametrize("weather", Weather, ids=lambda one: one.name)
async def test_bad_weather_loses_no_row(weather: Weather, tmp_path: Path) -> None:
    """Each row has one session in the end, and only a pause of a day ends a job."""
    courses = await go_through(weather, 300, outage=1, restart=1, folder=tmp_path)

    assert is_right(weather, courses, 300)
