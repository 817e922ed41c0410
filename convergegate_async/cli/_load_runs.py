"""What the ``load`` commands do, from the plan to the exit code."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from convergegate_async._core.settings import API_KEY_VARIABLE
from convergegate_async.errors import ConfigurationError
from convergegate_async.load import (
    LoadPlan,
    LoadReport,
    Loop,
    NothingDrivenError,
    Profile,
    Progress,
    Result,
    Search,
    Status,
    Target,
    Trial,
    compare,
    own_target,
    run_load,
    write_report,
)
from convergegate_async.load.report.data import EXIT_CODES
from convergegate_async.load.report.files import kind_of, require_installed
from convergegate_async.runners import DaskRunner, LocalRunner

from ._load_display import LoadDisplay
from ._load_results import in_short, print_comparison, print_report
from ._signals import on_interrupt
from ._streams import print_data, print_note
from ._usage import as_usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from convergegate_async.runners import Runner


_ANY_KEY = "sk_test_any"


@attrs.frozen(kw_only=True)
class Drivers:
    """Who drives a run.

    Attributes:
        processes: How many, side by side.
        dask: The address of Dask's scheduler; processes of this machine if `None`.
        loop: The event loop of each.
        allow_live: They may use a key that moves real money.
    """

    processes: int
    dask: str | None
    loop: Loop
    allow_live: bool

    def runner(self) -> "Runner":
        """Return where they run; it is used once."""
        if self.dask is None:
            return LocalRunner(self.processes)
        return DaskRunner(self.dask)


def run(
    plan: LoadPlan,
    target: Target | None,
    drivers: Drivers,
    *,
    reports: Sequence[Path],
    output: str,
) -> int:
    """Run a load test, show what came of it, and return the exit code."""
    for path in reports:
        _refuse_unwritable(path)  # before a run is spent on it
    _refuse_no_scenario(plan)  # likewise
    if target is not None:
        target.factory()  # likewise: its address may hold a password, and is shown
    if drivers.dask is not None and target is not None and target.api_key is not None:
        # Workers of this machine read the key where this process could have.
        os.environ[API_KEY_VARIABLE] = target.api_key
    name = "a sandbox of its own" if target is None else str(target.base_url)
    try:
        with LoadDisplay(plan, name) as display:
            report = asyncio.run(_run(plan, target, drivers, display.show))
    except NothingDrivenError as error:
        print_note(f"Error: {error}", "red")
        return EXIT_CODES[Status.INCOMPLETE]
    if report is None:
        print_note("Interrupted; nothing is left of the run.")
        return EXIT_CODES[Status.CUT_SHORT]
    if output == "json":
        print_data(report.to_json())
    else:
        print_report(report)
    are_written = [_written(report, path) for path in reports]
    return report.exit_code or int(not all(are_written))


def _refuse_no_scenario(plan: LoadPlan) -> None:
    with as_usage():
        plan.scenario_for(_ANY_KEY)


def _refuse_unwritable(path: Path) -> None:
    with as_usage():
        kind = kind_of(path)
    require_installed(kind)
    if not path.parent.is_dir():
        message = f"there is no folder {path.parent}"
        raise ConfigurationError(message)


def _written(report: LoadReport, path: Path) -> bool:
    """Write a report; a run is not lost by one that cannot be written."""
    try:
        for written in write_report(report, path):
            print_note(f"written: {written}")
    except (OSError, ConfigurationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print_note(f"Error: {path} cannot be written: {reason}", "red")
        return False
    return True


async def _run(
    plan: LoadPlan,
    target: Target | None,
    drivers: Drivers,
    show: "Callable[[Progress], None]",
) -> LoadReport | None:
    """Run it; Ctrl-C ends it with what there is, a second one at once, with nothing."""
    stop = asyncio.Event()
    task = asyncio.current_task()

    def interrupt() -> None:
        if not stop.is_set():
            print_note("Waiting for what is under way; Ctrl-C again to leave at once.")
            stop.set()
        elif task is not None:
            task.cancel()

    on_interrupt(interrupt)
    try:
        return await run_load(
            plan,
            target,
            runner=drivers.runner(),
            parts=drivers.processes,
            loop=drivers.loop,
            on_progress=show,
            stop=stop,
            allow_live=drivers.allow_live,
        )
    except asyncio.CancelledError:
        if not stop.is_set() or task is None:
            raise
        task.uncancel()
        return None


def calibrate(start: float, seconds: float, scenario: str, drivers: Drivers) -> int:
    """Find the highest rate that this machine drives, and return the exit code."""
    with as_usage():
        search = Search(start, precision=0.05, repeats=3)
        profile = Profile.constant(start, seconds)
        plan = LoadPlan(profile=profile, scenario=scenario)
    _refuse_no_scenario(plan)

    async def search_it() -> None:
        async with own_target("stub") as stub:
            await _search(search, plan, stub, drivers, _is_honest)

    asyncio.run(search_it())
    best = search.best
    if best is None:
        print_data("No rate that was tried is driven honestly here.", "red")
        return EXIT_CODES[Status.INVALID]
    by = "one process" if drivers.processes == 1 else f"{drivers.processes} processes"
    print_data(
        f"{best.rate:,.0f}/s is driven honestly here, by {by}: {_confidence(best)}.",
        "green",
    )
    return 0


def find(
    plan: LoadPlan, search: Search, target: Target | None, drivers: Drivers
) -> int:
    """Find the highest rate that keeps all thresholds, and return the exit code."""
    _refuse_no_scenario(plan)

    async def search_it() -> set[float]:
        if target is not None:
            return await _search(search, plan, target, drivers, _holds)
        async with own_target("sandbox") as own:
            return await _search(search, plan, own, drivers, _holds)

    too_fast = asyncio.run(search_it())
    best, worst = search.best, search.worst
    if best is None:
        print_data("No rate that was tried keeps the thresholds.", "red")
    else:
        print_data(f"{best.rate:g}/s holds: {_confidence(best)}.", "green")
    if worst is None:
        print_data("No higher rate was tried: the limit lies beyond.", "yellow")
        return 0
    print_data(f"{worst.rate:g}/s does not: {worst.held} of {worst.runs} runs held.")
    if worst.rate not in too_fast:
        return EXIT_CODES[Status.FAILED if best is None else Status.PASSED]
    print_data(
        "The generator could not keep up there, or had too many in flight: the limit "
        "may be its own. Add --processes, or raise --max-in-flight; `convergegate load "
        "calibrate` tells what this machine drives.",
        "yellow",
    )
    return EXIT_CODES[Status.INVALID]


async def _search(
    search: Search,
    plan: LoadPlan,
    target: Target,
    drivers: Drivers,
    holds: "Callable[[LoadReport], bool]",
) -> set[float]:
    """Run rate after rate; return those that the generator could not drive."""
    too_fast = set[float]()
    seconds = plan.profile.duration
    for rate in search.rates():
        report = await run_load(
            attrs.evolve(plan, profile=Profile.constant(rate, seconds)),
            target,
            runner=drivers.runner(),
            parts=drivers.processes,
            loop=drivers.loop,
            allow_live=drivers.allow_live,
        )
        held = holds(report)
        search.note(rate, held=held)
        if report.health.problems or report.lost:
            too_fast.add(rate)
        print_note(f"{rate:>9g}/s  {'holds' if held else 'fails'}  {in_short(report)}")
    return too_fast


def _holds(report: LoadReport) -> bool:
    return report.status is Status.PASSED


def _is_honest(report: LoadReport) -> bool:
    return not report.health.problems and report.counts[Result.OK] == report.planned


def _confidence(tried: Trial) -> str:
    return (
        f"{tried.held} of {tried.runs} runs held, so at least "
        f"{tried.least_share:.0%} of such runs do (95 % confidence)"
    )


def compare_files(before: Path, after: Path) -> None:
    """Print what is different in two reports.

    Raises:
        ConfigurationError: One of them is none.
    """
    print_comparison(compare(*map(_read, (before, after))))


def _read(path: Path) -> LoadReport:
    try:
        return LoadReport.from_json(path.read_text(encoding="utf-8", errors="replace"))
    except ConfigurationError as error:
        message = f"{path}: {error}"
        raise ConfigurationError(message) from error
