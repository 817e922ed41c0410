"""Slices that begin together: the same facts for processes of this machine and Dask."""

import asyncio
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import dask
import psutil
import pytest
import pytest_asyncio
import worker_functions
from clusters import cluster_of, scheduler_of
from distributed import Client, Scheduler
from hypothesis import given
from hypothesis import strategies as st
from programs import started

from convergegate_async import ConfigurationError
from convergegate_async.runners import (
    DaskRunner,
    LocalRunner,
    Part,
    Runner,
    Spread,
    WorkersLostError,
)
from convergegate_async.runners._dask_beginnings import close_chunk, open_chunk
from convergegate_async.runners._dask_spread import _do, _Terms
from convergegate_async.runners._spread import (
    SAME_CLOCK,
    Clock,
    RoundTrip,
    clock_from,
    do_in_time,
)

C = TypeVar("C")
R = TypeVar("R")

WORKERS = 2
LONG = 60.0  # seconds to the start: nobody waits for it who is not asked to

shared = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def scheduler(tmp_path: Path) -> AsyncIterator[Scheduler]:
    """The scheduler of two workers; those are processes, and it is in this one."""
    async with cluster_of(WORKERS, tmp_path / "dask") as cluster:
        yield scheduler_of(cluster)
        with dask.config.set({"distributed.comm.timeouts.connect": "2s"}):
            closing = cluster.close()  # one that a test closed is looked for no longer
            assert closing is not None
            await closing


@pytest_asyncio.fixture(loop_scope="module")
async def client(scheduler: Scheduler) -> AsyncIterator[Client]:
    """A client of the scheduler's."""
    async with Client(
        scheduler.address, asynchronous=True, set_as_default=False
    ) as client:
        yield client


async def spread(  # noqa: PLR0913 -- as many as the method has
    runner: Runner,
    work: Callable[[C, Part], R],
    slices: Sequence[C],
    *,
    lead: float = LONG,
    stop: asyncio.Event | None = None,
    on_news: Callable[[int, object], None] = lambda _, __: None,
) -> list[Spread[R]]:
    """Spread the slices, with as little said as a test is about."""
    stop = stop or asyncio.Event()
    return await runner.spread(work, slices, lead=lead, stop=stop, on_news=on_news)


async def there(*paths: Path) -> None:
    """Return once there is a note at each."""
    while not all(notes(*paths)):  # noqa: ASYNC110 -- of other processes
        await asyncio.sleep(0.01)


def whole(result: R) -> Spread[R]:
    """Return what comes of a slice that was done on this machine."""
    return Spread(result, None, 0.0, 0.0)


def notes(*paths: Path) -> list[int]:
    """Return how often each slice was begun, or whatever else left a note."""
    return [
        len(path.read_text().splitlines()) if path.exists() else 0 for path in paths
    ]


def held() -> tuple[set[psutil.Process], int, set[str]]:
    """Return the processes, files and threads that are held now, but for the loop's."""
    here = psutil.Process()
    names = {thread.name for thread in threading.enumerate()}
    threads = {name for name in names if not name.startswith("asyncio_")}
    return set(here.children()), here.num_fds(), threads


# -- both runners --------------------------------------------------------------------


@shared
async def test_all_begin_at_the_common_start(runner: Runner, tmp_path: Path) -> None:
    """Each is called before it, and is told the same start, which has its lead."""
    paths = [tmp_path / str(number) for number in range(WORKERS)]
    before = time.time()

    spreads = await spread(runner, worker_functions.wait_for_start, paths, lead=4.0)

    after = time.time()
    results = [one.result for one in spreads]
    starts = {each[1] for each in results if each is not None}
    assert [one.problem for one in spreads] == [None] * WORKERS
    assert len(starts) == 1
    assert before + 4.0 <= starts.pop()
    for each in results:
        assert each is not None
        asked, start, begun = each
        assert before < asked < start <= begun < after
    assert notes(*paths) == [1, 1]


@shared
async def test_a_start_that_has_passed_is_refused(
    runner: Runner, tmp_path: Path
) -> None:
    """A worker that is asked too late does not begin at all."""
    path = tmp_path / "notes"

    spreads = await spread(
        runner, worker_functions.note_slice, [path] * WORKERS, lead=-0.001
    )

    assert [one.result for one in spreads] == [None] * WORKERS
    assert all("start had passed" in (one.problem or "") for one in spreads)
    assert notes(path) == [0]


@shared
async def test_a_lost_worker_s_slice_is_lost_and_the_others_go_on(
    runner: Runner, tmp_path: Path
) -> None:
    """SIGKILL in the middle of a slice: nothing is done twice, the rest is whole."""
    dies, goes_on = paths = [tmp_path / "dies", tmp_path / "goes on"]
    stop = asyncio.Event()

    async def stop_later() -> None:
        await there(*paths)
        await asyncio.sleep(1.0)
        stop.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_later())
        spreads = await spread(runner, worker_functions.die_or_go_on, paths, stop=stop)

    assert spreads[0].result is None
    assert "lost before the slice was done" in (spreads[0].problem or "")
    assert spreads[1] == whole("what there is")
    assert notes(dies, goes_on) == [1, 2]


@shared
async def test_a_runner_serves_again_after_a_loss(
    runner: Runner, tmp_path: Path
) -> None:
    """Who was lost before is replaced."""
    paths = [tmp_path / str(number) for number in range(WORKERS)]

    [one] = await spread(runner, worker_functions.die_or_go_on, [tmp_path / "dies"])
    again = await spread(runner, worker_functions.note_slice, paths)

    assert one.result is None
    assert again == [whole(1)] * WORKERS


@shared
async def test_workers_end_when_they_are_stopped(
    runner: Runner, tmp_path: Path
) -> None:
    """Each returns what it has, and that counts; a stop before the start is heard."""
    paths = [tmp_path / str(number) for number in range(WORKERS)]
    stop = asyncio.Event()

    async def stop_later() -> None:
        await there(*paths)
        stop.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_later())
        spreads = await spread(
            runner, worker_functions.work_until_stopped, paths, stop=stop
        )
    again = await spread(runner, worker_functions.work_until_stopped, paths, stop=stop)

    assert spreads == again == [whole("what there is")] * WORKERS


@shared
async def test_news_come_before_the_result(runner: Runner, tmp_path: Path) -> None:
    """While the worker works, on the loop of who submitted."""
    paths = [tmp_path / str(number) for number in range(WORKERS)]
    loop = asyncio.get_running_loop()
    heard: list[tuple[int, object]] = []

    def hear(index: int, news: object) -> None:
        assert asyncio.get_running_loop() is loop
        assert isinstance(news, Path)
        heard.append((index, news))
        news.touch()  # the worker waits for it

    spreads = await spread(runner, worker_functions.tell_and_wait, paths, on_news=hear)

    assert spreads == [whole(None)] * WORKERS
    assert sorted(heard) == [(0, paths[0]), (1, paths[1])]


@shared
async def test_news_come_in_order_and_to_the_last(runner: Runner) -> None:
    """A worker that ends at once has told all, and each slice is told apart."""
    words = [["one", "two", "three"], ["uno", "due"]]
    heard: list[list[object]] = [[], []]

    await spread(
        runner,
        worker_functions.tell,
        words,
        on_news=lambda index, news: heard[index].append(news),
    )

    assert heard == words


@shared
async def test_much_news_hold_up_nobody(runner: Runner) -> None:
    """However much is told: some may be lost, and the result is not."""
    heard: list[object] = []

    spreads = await spread(
        runner,
        worker_functions.tell_much,
        [20_000],
        on_news=lambda _, news: heard.append(news),
    )

    assert spreads == [whole(20_000)]
    assert 0 < len(heard) <= 20_000


@shared
async def test_an_error_of_who_hears_is_raised(runner: Runner) -> None:
    """It is not lost in a callback, and ends what is under way."""

    def hear(_: int, __: object) -> None:
        message = "not now"
        raise LookupError(message)

    with pytest.raises(LookupError, match="not now"):
        await spread(runner, worker_functions.tell_until_stopped, [0, 1], on_news=hear)


@shared
async def test_what_work_raises_is_raised_after_the_others_ended(
    runner: Runner, tmp_path: Path
) -> None:
    """The first error is the caller's; nobody goes on, and nobody begins anew."""
    fails, goes_on = paths = [tmp_path / "fails", tmp_path / "goes on"]

    with pytest.raises(LookupError, match="no such luck") as caught:
        await spread(runner, worker_functions.fail_or_go_on, paths)

    # One is killed, where Dask's is told to end: its second note says that it has.
    assert notes(fails, goes_on) == [1, 1 if isinstance(runner, LocalRunner) else 2]
    if isinstance(runner, LocalRunner):
        assert "in fail\n" in caught.value.__notes__[0]


@shared
@pytest.mark.parametrize(
    ("work", "error"),
    [
        (worker_functions.meet_the_end, EOFError),
        (worker_functions.make_lock, Exception),
        (worker_functions.ask_a_riddle, Exception),
    ],
)
async def test_whatever_goes_wrong_is_an_error(
    runner: Runner, work: Callable[[object, Part], object], error: type[Exception]
) -> None:
    """What cannot be pickled, or unpickled, or looks like a broken pipe."""
    with pytest.raises(error):
        await spread(runner, work, [None])


@shared
async def test_what_cannot_be_sent_is_an_error(runner: Runner) -> None:
    """Before anything begins."""
    with pytest.raises(Exception, match=r"pickle|serialize"):
        await spread(runner, worker_functions.clock, [threading.Lock()])


@shared
async def test_too_few_workers_are_refused(runner: Runner, tmp_path: Path) -> None:
    """Before anything begins, and at once."""
    path = tmp_path / "notes"

    with pytest.raises(ConfigurationError, match="there are 2"):
        await spread(runner, worker_functions.note_slice, [path] * 3)

    assert notes(path) == [0]
    assert await spread(runner, worker_functions.note_slice, []) == []


@shared
async def test_this_machine_has_one_clock(runner: Runner) -> None:
    """No offset is measured where there is none."""
    spreads = await spread(runner, worker_functions.clock, [0, 1])

    assert spreads == [whole((0.0, 0.0))] * 2


@shared
async def test_a_cancelled_spread_ends_its_workers(
    runner: Runner, tmp_path: Path
) -> None:
    """No process, pipe, thread or task of it is left, and nobody works on."""
    paths = [tmp_path / str(number) for number in range(WORKERS)]
    await spread(runner, worker_functions.clock, [0])  # whatever is made once is there
    before = held()
    tasks = asyncio.all_tasks()

    caller = asyncio.create_task(
        spread(runner, worker_functions.work_until_stopped, paths)
    )
    await there(*paths)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    if isinstance(runner, LocalRunner):
        assert held() == before
        assert notes(*paths) == [1, 1]  # they were killed
    else:
        assert notes(*paths) == [2, 2]  # they were told to end
    assert not [task for task in asyncio.all_tasks() - tasks if "spread" in repr(task)]


# -- processes of this machine -------------------------------------------------------


async def test_a_spread_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither process nor pipe nor thread, and the pool is not even started."""
    async with LocalRunner(4) as runner:
        await spread(runner, worker_functions.clock, [0])
        before = held()

        paths = [tmp_path / "dies", *(tmp_path / str(number) for number in range(3))]
        stop = asyncio.Event()
        stop.set()
        await spread(runner, worker_functions.die_or_go_on, paths, stop=stop)

        assert held() == before


async def test_a_process_of_a_lost_process_holds_nobody_up(tmp_path: Path) -> None:
    """It has the pipe open, and the loss is seen all the same."""
    path = tmp_path / "the spread has ended"
    async with LocalRunner(1) as runner:
        [one] = await spread(runner, worker_functions.leave_a_child, [path])

    path.touch()
    assert one.result is None


async def test_large_slices_and_results_pass() -> None:
    """More than a pipe holds goes through it, and the loop is free meanwhile."""
    large = [bytes(5_000_000), bytes(4_000_000)]
    async with LocalRunner(2) as runner:
        spreads = await spread(runner, worker_functions.give_back, large)

    assert [one.result for one in spreads] == large


def test_processes_leave_ctrl_c_to_their_parent_and_die_with_it() -> None:
    """SIGINT does nothing to them; SIGKILL of the program leaves none behind."""
    program = textwrap.dedent("""
        import asyncio, pathlib, sys, worker_functions
        from convergegate_async.runners import LocalRunner

        async def main():
            async with LocalRunner(1) as runner:
                await runner.spread(
                    worker_functions.tell_until_stopped,
                    ["ready"],
                    lead=60.0,
                    stop=asyncio.Event(),
                    on_news=lambda _, news: print(news, flush=True),
                )

        if __name__ == "__main__":
            asyncio.run(main())
    """)
    with started(
        *(sys.executable, "-c", program),
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(worker_functions.__file__).parent)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        workers = [
            child
            for child in psutil.Process(process.pid).children()
            if any("spawn_main" in word for word in child.cmdline())
        ]
        for worker in workers:
            worker.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(workers, timeout=0.5)
        assert len(alive) == 1
        process.send_signal(signal.SIGKILL)

    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive


# -- Dask ----------------------------------------------------------------------------


async def try_it(client: Client, path: Path, name: str, address: str) -> Spread[int]:
    """Have a worker do the slice of that name, as Dask may have several."""
    done: tuple[Spread[int], list[bytes]] = await client.submit(
        *(_do, worker_functions.note_slice, path, name),
        _Terms(time.time() + LONG, SAME_CLOCK),
        workers=[address],
        pure=False,
    )
    return done[0]


@shared
async def test_a_second_try_is_refused(
    scheduler: Scheduler, client: Client, tmp_path: Path
) -> None:
    """Whoever comes after another, or when all is over, begins nothing."""
    path = tmp_path / "notes"
    name = await open_chunk(client)
    first, second = scheduler.workers

    tries = [await try_it(client, path, name, one) for one in (first, second, first)]
    await close_chunk(client, name)
    late = await try_it(client, path, name, second)

    assert [one.result for one in tries] == [1, None, None]
    assert "another worker had begun" in (tries[1].problem or "")
    assert "given up" in (late.problem or "")
    assert notes(path) == [1]


@shared
async def test_of_two_tries_at_once_one_begins_or_none(
    scheduler: Scheduler, client: Client, tmp_path: Path
) -> None:
    """They may see each other; that neither does is not possible."""
    paths = [tmp_path / str(number) for number in range(20)]

    for path in paths:
        name = await open_chunk(client)
        await asyncio.gather(
            *[try_it(client, path, name, one) for one in scheduler.workers]
        )
        await close_chunk(client, name)

    assert set(notes(*paths)) <= {0, 1}
    assert list(await client.list_datasets()) == []


@shared
async def test_a_worker_that_nobody_visits_ends_early(client: Client) -> None:
    """Who submitted the slice was killed; or else it learns that it was cut short."""
    name = await open_chunk(client)

    spread, news = await client.submit(
        *(_do, worker_functions.tell_until_stopped, "here", name),
        _Terms(time.time() + LONG, SAME_CLOCK, lonely=0.5),
    )

    assert "not heard of for long" in spread.problem
    assert [pickle.loads(packed) for packed in news] == ["here"]  # noqa: S301 -- ours


@shared
async def test_a_busy_worker_s_slice_is_given_up(
    scheduler: Scheduler, client: Client, tmp_path: Path
) -> None:
    """It had not begun by the start; the others are not kept waiting for it."""
    path = tmp_path / "busy"
    slices = [tmp_path / "0", tmp_path / "1"]
    busy = client.submit(worker_functions.wait_for_two, path)
    await there(path)

    async with DaskRunner(scheduler.address) as runner:
        spreads = await spread(runner, worker_functions.note_slice, slices, lead=3.0)
        [free] = await spread(runner, worker_functions.note_slice, [tmp_path / "2"])
    worker_functions.note(path)
    await busy
    for address in scheduler.workers:  # each has had the time to do it, if it were to
        await client.submit(worker_functions.sleep, 0.0, workers=[address], pure=False)

    problems = sorted(one.problem or "" for one in spreads)
    assert problems[0] == ""
    assert "had not begun" in problems[1]
    assert sorted(notes(*slices)) == [0, 1]
    assert (
        free.result == 1
    )  # where there is a worker that has nothing to do, it is taken
    assert list(await client.list_datasets()) == []


@shared
async def test_the_clock_of_a_worker_elsewhere_is_measured(
    scheduler: Scheduler,
) -> None:
    """What is told is what the worker knows; the offset of one clock is within it."""
    async with DaskRunner(scheduler.address) as runner:
        spreads = await spread(runner, worker_functions.clock, [0, 1])

    for one in spreads:
        assert one.result == (one.offset, one.margin)
        assert one.margin > 0
        assert abs(one.offset) <= one.margin


@shared
async def test_a_lost_scheduler_is_an_error(
    scheduler: Scheduler, tmp_path: Path
) -> None:
    """Nobody can tell any more what became of the slices."""
    path = tmp_path / "all is over"
    begun = asyncio.Event()

    async def lose_it() -> None:
        await begun.wait()
        await scheduler.close()

    async with DaskRunner(scheduler.address) as runner, asyncio.TaskGroup() as tasks:
        tasks.create_task(lose_it())
        with pytest.raises(WorkersLostError, match="scheduler was lost"):
            await spread(
                *(runner, worker_functions.tell_and_wait, [path]),
                on_news=lambda _, __: begun.set(),
            )
        path.touch()


@shared
async def test_too_few_workers_elsewhere_are_waited_for(scheduler: Scheduler) -> None:
    """They may be about to come, but not for ever."""
    async with DaskRunner(scheduler.address, patience=0.5) as runner:
        with pytest.raises(ConfigurationError, match="there are 2"):
            await spread(runner, worker_functions.clock, [0, 1, 2])


async def test_dask_wants_to_be_entered_to_spread() -> None:
    """Outside of `async with` there is no cluster to go to."""
    with pytest.raises(ConfigurationError, match="async with"):
        await spread(DaskRunner("local:1"), worker_functions.clock, [0])


# -- clocks --------------------------------------------------------------------------

SECOND = 2**20  # of it, floats of today's times hold every sum and half exactly
times = st.integers(0, 2 * SECOND)


@given(
    offset=st.integers(-(2**30), 2**30),
    trips=st.lists(st.tuples(times, times), min_size=1),
)
def test_the_true_offset_is_within_the_margin(
    offset: int, trips: list[tuple[int, int]]
) -> None:
    """However long each way took, and whichever way took longer."""
    asked = 1_700_000_000 * SECOND
    clock = clock_from(
        RoundTrip(
            asked=asked / SECOND,
            answer=(asked + there + offset) / SECOND,
            took=(there + back) / SECOND,
        )
        for there, back in trips
    )

    assert abs(clock.offset - offset / SECOND) <= clock.margin
    assert clock.margin == min(map(sum, trips)) / 2 / SECOND


def test_trips_of_no_time_tell_it_exactly() -> None:
    """The shortest counts, and not the last."""
    trips = [RoundTrip(10, 12, took=2), RoundTrip(20, 23, took=0), RoundTrip(30, 31, 1)]

    assert clock_from(trips) == Clock(offset=3, margin=0)


@attrs.frozen
class Soon:
    """A part that begins in two seconds, by a clock that is known more or less."""

    margin: float
    start: float = attrs.field(factory=lambda: time.time() + 2.0)
    offset: float = 0.0

    def is_stopped(self) -> bool:
        """Whether it is to end early, which it is not."""
        return False

    def tell(self, news: object) -> None:
        """Lose the news."""


@pytest.mark.parametrize(("margin", "result"), [(0.0, "done"), (3.0, None)])
def test_a_start_that_may_have_passed_is_refused(
    margin: float, result: str | None
) -> None:
    """A worker that does not know the time well enough does not begin."""
    one = do_in_time(lambda item, _: item, "done", Soon(margin))

    assert (one.result, one.margin) == (result, margin)
