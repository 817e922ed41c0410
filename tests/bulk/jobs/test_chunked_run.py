"""What is learnt from chunks whose workers have paced themselves."""

import pytest
from orders import an_order

from convergegate_async import CheckoutSession, RateLimitedError
from convergegate_async.bulk import RowOutcome
from convergegate_async.bulk.jobs.chunked_run import ChunkedRun
from convergegate_async.bulk.jobs.chunks import ChunkResult
from convergegate_async.bulk.sending.limits import Limits
from convergegate_async.bulk.sending.outcomes import Numbered, outcome_of
from convergegate_async.bulk.sending.pace import STUCK_IN_A_ROW

LIMITS = Limits(concurrency=8)


def refused(retry_after: float | None = None) -> RateLimitedError:
    """Return what a row that is to come back later ends with."""
    return RateLimitedError(
        operation="create", reason="no", http_status=429, retry_after=retry_after
    )


def next_chunk(*ends: RateLimitedError | None) -> tuple[int, float]:
    """Return how many rows the next chunk has, and the seconds that it has to wait."""
    run: ChunkedRun[int] = ChunkedRun(LIMITS, lambda: 0.0)
    number, _ = run.hand_out(list(range(len(ends))))
    outcomes: list[RowOutcome] = [
        outcome_of(Numbered(index, an_order(), None), end or CheckoutSession(id="s1"))
        for index, end in enumerate(ends)
    ]
    run.take_back(number)
    assert not run.learn(ChunkResult(number=number, outcomes=tuple(outcomes)))
    return run.rows(None), run.hand_out([])[1]


@pytest.mark.parametrize(
    ("behind", "pause"), [(0, 200), (LIMITS.concurrency - 1, 200), (999, 0)]
)
def test_a_pause_is_waited_out_once(behind: int, pause: float) -> None:
    """The worker has, if more rows came after it than can have been under way."""
    assert next_chunk(refused(200), *[None] * behind)[1] == pause


def test_what_gets_through_later_in_a_chunk_ends_the_outage() -> None:
    """The worker has probed; an outage at the end of its chunk goes on."""
    stuck = [refused()] * STUCK_IN_A_ROW

    assert next_chunk(*stuck, None) == (next_chunk(None)[0], 0)
    rows, pause = next_chunk(None, *stuck)
    assert rows == 1
    assert pause > 0
