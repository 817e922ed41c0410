"""The highest rate that holds, found although runs have good and bad luck."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import ConfigurationError
from convergegate_async.load.search import Search, Trial, least_share


def searched(
    search: Search, holds: Callable[[float], bool], most: int = 400
) -> list[float]:
    """Search to the end, and return which rates were run."""
    run: list[float] = []
    while (rate := search.next_rate()) is not None:
        run.append(rate)
        assert len(run) <= most, "it does not end"
        search.note(rate, held=holds(rate))
    return run


@given(st.floats(0.5, 50_000), st.floats(1, 1_000))
def test_a_known_capacity_is_found(capacity: float, start: float) -> None:
    """Within the precision, wherever the search begins, and it has held five times."""
    search = Search(start, precision=0.02, repeats=5)

    searched(search, lambda rate: rate <= capacity)

    best, worst = search.best, search.worst
    if best is None:  # it lies a thousand times below the start
        assert capacity < start / 500
        return
    assert worst is not None
    assert capacity / 1.021 <= best.rate <= capacity < worst.rate
    assert (best.held, best.runs) == (5, 5)


@given(st.floats(1, 10_000))
def test_a_ceiling_is_not_passed(ceiling: float) -> None:
    """What holds there is all that can be said."""
    search = Search(min(1.0, ceiling), ceiling=ceiling)

    run = searched(search, lambda _: True)

    assert max(run) <= ceiling
    assert search.best is not None
    assert search.best.rate == pytest.approx(ceiling)
    assert search.worst is None


def test_nothing_may_hold() -> None:
    """A search ends there, too."""
    search = Search(100.0)

    searched(search, lambda _: False)

    assert search.best is None


def test_luck_is_not_believed() -> None:
    """A run of ten has bad luck, one of fifty good: still within 5 %, nearly always."""
    capacity, found = 150.0, []
    for seed in range(100):
        chance = random.Random(seed)  # noqa: S311 -- luck is no secret

        def holds(rate: float, chance: random.Random = chance) -> bool:
            lucky = chance.random()
            return lucky > 0.1 if rate <= capacity else lucky < 0.02

        search = Search(20.0, repeats=5)
        searched(search, holds)
        if search.best is not None:
            found.append(search.best.rate)

    near = [rate for rate in found if abs(rate / capacity - 1) <= 0.05]
    assert len(near) >= 90


def test_one_run_decides_nothing() -> None:
    """Of each rate there are two that agree, at least, or three."""
    search = Search(1.0, ceiling=64.0)

    run = searched(search, lambda rate: rate <= 20)

    assert all(run.count(rate) >= 2 for rate in set(run))


def test_a_search_ends_however_close_it_is_to_come() -> None:
    """Rates of four digits are as close as it gets."""
    search = Search(100.0, precision=1e-9)

    searched(search, lambda rate: rate <= 123.456)

    assert search.best is not None
    assert search.best.rate == pytest.approx(123.4, abs=0.11)


def test_a_rate_that_fails_when_repeated_is_not_told() -> None:
    """It held twice, and then no more: a lower one is looked for."""
    search = Search(100.0, ceiling=100.0, repeats=4)
    luck = iter([True, True, False])

    searched(search, lambda rate: rate < 90 if rate < 100 else next(luck, False))

    assert search.best is not None
    assert 85 < search.best.rate < 90


@pytest.mark.parametrize(
    ("held", "runs", "share"),
    [(0, 5, 0.0), (5, 5, 0.05 ** (1 / 5)), (3, 3, 0.05 ** (1 / 3)), (4, 5, 0.343)],
)
def test_confidence_is_that_of_clopper_and_pearson(
    held: int, runs: int, share: float
) -> None:
    """By their own table."""
    assert least_share(held, runs) == pytest.approx(share, abs=1e-3)
    assert Trial(1.0, runs, held).least_share == least_share(held, runs)


@given(st.integers(1, 30), st.integers(0, 30))
def test_more_that_held_say_more(runs: int, held: int) -> None:
    """And none says that all would."""
    held = min(held, runs)

    assert least_share(held, runs) <= least_share(min(runs, held + 1), runs) < 1
    assert least_share(held, runs) <= held / runs


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 0.0},
        {"start": math.nan},
        {"start": 2.0, "ceiling": 1.0},
        {"start": 1.0, "precision": 0.0},
        {"start": 1.0, "repeats": 0},
    ],
)
def test_what_cannot_be_searched_is_refused(wrong: dict[str, float]) -> None:
    """Before a run is begun."""
    with pytest.raises(ConfigurationError):
        Search(**wrong)  # type: ignore[arg-type]  # wrong on purpose
