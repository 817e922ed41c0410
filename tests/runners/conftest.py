"""The runners that the same facts hold of."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from convergegate_async.runners import DaskRunner, LocalRunner, Runner


# A cluster takes seconds to start: one of each kind serves all tests of a file.
@pytest_asyncio.fixture(params=["local", "dask"], scope="module", loop_scope="module")
async def runner(request: pytest.FixtureRequest) -> AsyncIterator[Runner]:
    """A runner with two workers."""
    runner: Runner = (
        LocalRunner(2) if request.param == "local" else DaskRunner("local:2")
    )
    async with runner:
        yield runner
