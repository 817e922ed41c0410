"""Long sequences are taken some at a time, and whole."""

from collections.abc import AsyncIterator
from itertools import chain

import pytest

from convergegate_async.bulk.jobs.paging import in_chunks, in_chunks_async

SIZES = {0: [], 1: [1], 256: [256], 257: [256, 1], 600: [256, 256, 88]}


async def arriving(count: int) -> AsyncIterator[int]:
    """Yield so many numbers, each of which is waited for."""
    for number in range(count):
        yield number


@pytest.mark.parametrize("count", SIZES)
async def test_chunks_are_the_whole_in_its_order(count: int) -> None:
    """Of the same sizes whether the items are there or arrive; none is empty."""
    at_hand = [*in_chunks(range(count))]
    given = [chunk async for chunk in in_chunks_async(range(count))]
    arrived = [chunk async for chunk in in_chunks_async(arriving(count))]

    assert at_hand == given == arrived
    assert [len(chunk) for chunk in at_hand] == SIZES[count]
    assert [*chain.from_iterable(at_hand)] == [*range(count)]


def test_no_more_is_taken_than_a_chunk() -> None:
    """What is behind the chunk may be slow to read, or endless."""
    source = iter(range(1_000))

    next(in_chunks(source))

    assert next(source) == 256
