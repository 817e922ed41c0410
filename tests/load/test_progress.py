"""How far a run is, seen by whoever drives it or from aside."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.load.plan import LoadPlan
from convergegate_async.load.profiles import Profile
from convergegate_async.load.progress import (
    TOO_MANY_ERRORS,
    Progress,
    merged,
    progress_of,
    why_end,
)
from convergegate_async.load.recorder import Iteration, Recorder, Result

SECOND = 1_000_000_000
PLAN = LoadPlan(profile=Profile.constant(1, 1))


def recorded(number: int) -> Recorder:
    """Return a recorder of so many iterations in three seconds, half of them wrong."""
    recorder = Recorder()
    for one in range(number):
        result = Result.UNKNOWN if one % 2 else Result.OK
        recorder.record(
            Iteration(
                due=one % 3 * SECOND,
                sent=one % 3 * SECOND,
                ended=one % 3 * SECOND + 5_000_000,
                result=result,
                error="lost" if one % 2 else None,
            )
        )
        recorder.step("create").count(result, None)
        recorder.step("create").record(5_000_000, 5_000_000)
    return recorder


def facts(progress: Progress) -> object:
    """Return what can be told of it."""
    return (
        progress.elapsed,
        progress.in_flight,
        progress.total.counts,
        progress.total.errors,
        progress.total.response.encoded(),
        {name: step.counts for name, step in progress.steps.items()},
        progress.lag.encoded(),
        progress.latest and (progress.latest.start, progress.latest.counts),
    )


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_parts_are_seen_as_one(shares: list[int]) -> None:
    """Also when they come from other processes; they stay as they were."""
    parts = [progress_of(recorded(share), 3.0, share) for share in shares]
    sent = pickle.dumps(parts)
    before = [facts(part) for part in parts]

    seen = merged(pickle.loads(sent))  # noqa: S301 -- our own
    merged(parts)

    whole = Recorder()
    for share in shares:
        whole.add(recorded(share))
    assert facts(seen) == facts(progress_of(whole, 3.0, sum(shares)))
    assert [facts(part) for part in parts] == before


def test_the_latest_part_is_the_last_whole_second() -> None:
    """The one that is on is still growing."""
    recorder = recorded(9)

    seen = [progress_of(recorder, elapsed, 0).latest for elapsed in (0.5, 1.5, 3.0)]

    assert [part and part.start for part in seen] == [None, 0, 2]


def test_a_threshold_that_is_broken_ends_a_run() -> None:
    """One of a step, too; but not before anything was measured of it."""
    progress = progress_of(recorded(10), 3.0, 0)
    for text, why in (
        ("error_rate<10%", "error_rate<10% was not kept"),
        ("create:error_rate<10%", "create:error_rate<10% was not kept"),
        ("p99<1s", None),
        ("pay:p99<1s", None),
    ):
        plan = LoadPlan(profile=PLAN.profile, abort_on=[text])

        assert why_end(plan, progress) == why


def test_errors_of_all_parts_end_a_run() -> None:
    """None of which has had as many alone."""
    parts = [progress_of(recorded(4), 3.0, 0) for _ in range(2)]
    plan = LoadPlan(profile=PLAN.profile, max_errors=4)

    assert why_end(plan, parts[0]) is None
    assert why_end(plan, merged(parts)) == TOO_MANY_ERRORS
