"""Who has begun a chunk: what workers and client learn from Dask's scheduler."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import worker_functions
from clusters import cluster_of, scheduler_of
from distributed import Client, Scheduler

from convergegate_async.runners import DaskRunner, Done, WorkersLostError
from convergegate_async.runners._dask_beginnings import (
    begin_and_do,
    close_chunk,
    open_chunk,
)

# A cluster takes seconds to start: one serves all tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scheduler(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Scheduler]:
    """The scheduler of two workers; those are processes, and it is in this one."""
    async with cluster_of(2, tmp_path_factory.mktemp("dask")) as cluster:
        yield scheduler_of(cluster)


@pytest_asyncio.fixture(loop_scope="module")
async def client(scheduler: Scheduler) -> AsyncIterator[Client]:
    """A client of the scheduler's."""
    async with Client(
        scheduler.address, asynchronous=True, set_as_default=False
    ) as client:
        yield client


@contextmanager
def unable(scheduler: Scheduler, operation: str) -> Iterator[None]:
    """Let the scheduler be one that cannot do *operation*."""
    handler = scheduler.handlers.pop(operation)
    try:
        yield
    finally:
        scheduler.handlers[operation] = handler


async def kept(client: Client) -> set[str]:
    """Return what the scheduler keeps for chunks."""
    return {str(name) for name in await client.list_datasets()}


async def begin(client: Client, name: str, path: Path) -> int:
    """Have a worker begin the chunk of that name, and note in *path* that it does."""
    made: int = await client.submit(
        begin_and_do, worker_functions.note, path, name, pure=False
    )
    return made


@pytest.mark.parametrize("times", [0, 1, 2, 3])
async def test_the_client_knows_whether_several_have_begun(
    client: Client, tmp_path: Path, times: int
) -> None:
    """One worker is alone, two are not; the scheduler keeps nothing of them."""
    before = await kept(client)
    name = await open_chunk(client)
    for _ in range(times):
        await begin(client, name, tmp_path / "notes")

    assert await close_chunk(client, name) is (times == 1)
    assert await kept(client) == before


async def test_chunks_are_told_apart(client: Client, tmp_path: Path) -> None:
    """Who begins another chunk says nothing of this one."""
    first, second = await open_chunk(client), await open_chunk(client)
    for name in (first, second, second):
        await begin(client, name, tmp_path / "notes")

    assert await close_chunk(client, first)
    assert not await close_chunk(client, second)


async def test_nobody_begins_a_chunk_that_was_closed(
    client: Client, tmp_path: Path
) -> None:
    """A worker that was taken for lost, and wakes late, sends nothing."""
    path = tmp_path / "notes"
    before = await kept(client)
    name = await open_chunk(client)
    await close_chunk(client, name)

    with pytest.raises(WorkersLostError, match="not wanted"):
        await begin(client, name, path)

    assert not path.exists()
    assert await kept(client) == before


async def test_a_chunk_that_nobody_waits_for_is_cut(
    client: Client, tmp_path: Path
) -> None:
    """Where it is worked on, and no other chunk of the same worker's."""
    cut, other = tmp_path / "cut", tmp_path / "other"
    before = await kept(client)
    names = {path: await open_chunk(client) for path in (cut, other)}
    futures = {
        path: client.submit(
            begin_and_do, worker_functions.note_until_cut, path, name, pure=False
        )
        for path, name in names.items()
    }
    for path in names:
        await asyncio.to_thread(worker_functions.wait_for, path)

    assert await close_chunk(client, names[cut], is_done=False)

    with pytest.raises(WorkersLostError, match="was cut"):
        await futures[cut]
    assert len(cut.read_text().splitlines()) == 2
    assert len(other.read_text().splitlines()) == 1
    await close_chunk(client, names[other], is_done=False)
    with pytest.raises(WorkersLostError, match="was cut"):
        await futures[other]
    assert await kept(client) == before


async def test_a_worker_that_was_taken_for_lost_is_cut(tmp_path: Path) -> None:
    """The scheduler does not count it any more, and still it can be told."""
    path = tmp_path / "notes"
    async with (
        cluster_of(2, tmp_path / "dask") as cluster,
        Client(
            cluster.scheduler_address, asynchronous=True, set_as_default=False
        ) as client,
    ):
        name = await open_chunk(client)
        future = client.submit(
            begin_and_do, worker_functions.note_until_cut, path, name, pure=False
        )
        await asyncio.to_thread(worker_functions.wait_for, path)
        scheduler = scheduler_of(cluster)
        [busy] = [one for one in scheduler.workers.values() if one.processing]
        await scheduler.remove_worker(busy.address, stimulus_id="test", close=False)
        await asyncio.to_thread(worker_functions.wait_for_lines, path, 2)

        assert not await close_chunk(client, name, is_done=False)

        future.release()
        await asyncio.to_thread(worker_functions.wait_for_lines, path, 4)


async def test_nobody_begins_without_a_note(
    scheduler: Scheduler, client: Client, tmp_path: Path
) -> None:
    """If it cannot be kept, the next worker could not know that there was another."""
    path = tmp_path / "notes"
    name = await open_chunk(client)

    with (
        unable(scheduler, "publish_put"),
        pytest.raises(WorkersLostError, match="cannot tell"),
    ):
        await begin(client, name, path)

    assert not path.exists()


async def test_no_chunk_is_opened_by_a_client_without_a_scheduler(
    client: Client,
) -> None:
    """It is an error of the workers, and not one of Dask's many."""
    await client.close()

    with pytest.raises(WorkersLostError, match="scheduler was lost"):
        await open_chunk(client)


async def test_what_the_scheduler_does_not_tell_may_be(
    scheduler: Scheduler, client: Client
) -> None:
    """Where nobody can say who has begun, several may have."""
    name = await open_chunk(client)

    with unable(scheduler, "publish_list"):
        assert not await close_chunk(client, name)
    await client.close()
    assert not await close_chunk(client, name)


async def test_a_worker_that_was_taken_for_lost_counts(
    scheduler: Scheduler, client: Client, tmp_path: Path
) -> None:
    """It was not killed and goes on with its chunk, while another does it again."""
    before = await kept(client)
    path = tmp_path / "notes"

    async def chunks() -> AsyncIterator[Path]:
        yield path

    async def lose_it() -> None:
        await asyncio.to_thread(worker_functions.wait_for, path)
        [busy] = [one for one in scheduler.workers.values() if one.processing]
        await scheduler.remove_worker(busy.address, stimulus_id="test", close=False)

    async with (
        DaskRunner(scheduler.address) as runner,
        aclosing(runner.map(worker_functions.wait_for_two, chunks())) as results,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(lose_it())
        assert await anext(results) == Done(2, again=True)

    assert await kept(client) == before
