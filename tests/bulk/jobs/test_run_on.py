"""A job whose rows are sent elsewhere, a chunk at a time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pytest
from orders import an_order

from convergegate_async.bulk import (
    Created,
    Job,
    JobPlan,
    Journal,
    ResumeRules,
    Row,
    new_header,
)
from convergegate_async.sandbox import Sandbox

C = TypeVar("C")
R = TypeVar("R")

ROWS = 1_500  # more than a chunk holds


class ThreadRunner:
    """Works on one chunk after the other, in a thread."""

    slots = 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hold nothing."""

    async def map(
        self, work: Callable[[C], R], chunks: AsyncIterator[C]
    ) -> AsyncGenerator[R, None]:
        """Yield what *work* makes of each chunk."""
        async for chunk in chunks:
            yield await asyncio.to_thread(work, chunk)


async def test_outcomes_keep_the_index_of_the_input(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 1,400 is row 1,400 again, and not the 400th of the second chunk."""
    monkeypatch.setenv("CONVERGEGATE_API_KEY", sandbox.api_key)
    plan = JobPlan(rules=ResumeRules(keys_honoured=True), concurrency=16)
    rows = [
        Row(
            position=number,
            line=number,
            row_id=f"order-{number}",
            request=an_order(amount=number),
            raw={},
        )
        for number in range(1, ROWS + 1)
    ]

    async with sandbox.factory() as checkout:
        header = new_header(checkout, "april", plan)
        with Journal.create(tmp_path / "april.journal", header) as journal:
            job = Job(journal, checkout, plan)
            outcomes = [outcome async for outcome in job.run_on(ThreadRunner(), rows)]

    assert sorted(outcome.index for outcome in outcomes) == list(range(ROWS))
    for outcome in outcomes:
        assert isinstance(outcome, Created)
        assert outcome.session.amount_subtotal == outcome.index + 1
