"""``convergegate load``: how a gateway bears a planned rate."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convergegate_async._core.settings import is_loopback
from convergegate_async.errors import ConfigurationError

from ._durations import parse_duration
from ._gateway import api_key_option
from ._invocation import output_option
from ._usage import as_usage

if TYPE_CHECKING:
    from convergegate_async.load import LoadPlan, Profile, Target, Trace

    from ._load_runs import Drivers

C = TypeVar("C", bound=Callable[..., Any])

_thresholds = click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="METRIC<BOUND",
    help="What the run has to keep: p99<300ms, error_rate<0.1%, rate>=195, "
    "pay:p99<2s of one step; may be repeated. One that is not kept: exit code 99.",
)
_scenario = click.option(
    "--scenario",
    default="create",
    show_default=True,
    help="What an iteration does: create, create-retrieve, create-pay-webhook (at a "
    "sandbox of this machine), a mix such as create=8,create-retrieve=2, or your own "
    "`async def scenario(checkout, number)` as module:name, which is given an open "
    "factory and the number of the iteration.",
)
_target_options = (
    click.option(
        "--base-url",
        help="The gateway to load. [default: a sandbox of its own]",
    ),
    api_key_option,
    click.option(
        "--yes", is_flag=True, help="Load a gateway that is not on this machine."
    ),
    click.option(
        "--i-know-this-is-live",
        "allow_live",
        is_flag=True,
        help="Load with a key that may move real money.",
    ),
)
_driver_options = (
    click.option(
        "--processes",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="How many processes drive it, side by side.",
    ),
    click.option(
        "--dask",
        metavar="ADDRESS",
        help="Let Dask workers drive it, as many as --processes: tcp://host:8786. "
        "They read CONVERGEGATE_API_KEY themselves.",
    ),
    click.option(
        "--loop",
        type=click.Choice(["auto", "asyncio", "uvloop"]),
        default="auto",
        show_default=True,
        help="What drives them; auto is uvloop where it is installed.",
    ),
)
_limit_options = (
    click.option(
        "--max-in-flight",
        type=click.IntRange(1),
        default=2_000,
        show_default=True,
        help="Most iterations under way at once; what is due beyond is dropped, and "
        "makes the run invalid.",
    ),
    click.option(
        "--max-lag",
        default="10ms",
        show_default=True,
        metavar="TIME",
        help="How late one send of a hundred may be; beyond that the run is invalid.",
    ),
    click.option(
        "--max-errors", type=click.IntRange(1), help="Stop after this many errors."
    ),
    click.option("--cold", is_flag=True, help="Do not open connections beforehand."),
    click.option(
        "--retries",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="How often a call is tried again, by the SDK's own policy.",
    ),
)


def _all(options: tuple[Callable[[C], C], ...]) -> Callable[[C], C]:
    def add(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(short_help="How much does a gateway bear?")
def load() -> None:
    """Load a gateway at a planned rate.

    What is due is sent, whether or not answers have come: response times count from
    when a send was due. By default a sandbox of its own is loaded; nothing else needs
    to run.
    """


@load.command(short_help="Run a load test.")
@click.option(
    "--rate",
    metavar="RATE",
    help="Iterations, each a whole scenario, a second: 200; 10..200 for a ramp; "
    "50,100,200 for steps, which share the duration.",
)
@click.option("--duration", metavar="TIME", help="60s, 5m, 1h. [default: 60s]")
@click.option(
    "--arrivals",
    type=click.Choice(["even", "poisson"]),
    help="At even distances, or by chance, as customers come. [default: even]",
)
@click.option(
    "--trace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Arrivals as they were recorded, a moment in seconds a line, in the place of "
    "--rate.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of random arrivals and of a mix.",
)
@_scenario
@_thresholds
@click.option(
    "--abort-on",
    multiple=True,
    metavar="METRIC<BOUND",
    help="Of the same form: ends the run as soon as it is not kept.",
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write a report, by its suffix: .html (with .json and .hgrm beside "
    "it), .json, .png, .md or .xml (JUnit); may be repeated.",
)
@_all(_limit_options)
@_all(_driver_options)
@_all(_target_options)
@output_option("table", "json")
def run(**options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Run a load test.

    Exit codes: 0 all thresholds were kept; 99 one was not; 98 the run is invalid, as
    the generator could not keep up, or incomplete; 130 interrupted, with the report of
    what was measured until then.
    """
    from . import _load_runs

    return _load_runs.run(
        _plan(_profile(options), options),
        _target(options),
        _drivers(options),
        reports=options["reports"],
        output=options["output"],
    )


def _plan(profile: "Profile | Trace", options: dict[str, Any]) -> "LoadPlan":
    from convergegate_async.load import LoadPlan
    from convergegate_async.policy import RetryPolicy

    with as_usage():
        return LoadPlan(
            profile=profile,
            scenario=options["scenario"],
            thresholds=options["thresholds"],
            abort_on=options.get("abort_on", ()),
            max_in_flight=options["max_in_flight"],
            max_lag=parse_duration(options["max_lag"]),
            max_errors=options["max_errors"],
            cold=options["cold"],
            retry=RetryPolicy(max_attempts=1 + options["retries"]),
            seed=options.get("seed", 0),
        )


def _drivers(options: dict[str, Any]) -> "Drivers":
    from . import _load_runs

    return _load_runs.Drivers(
        processes=options["processes"],
        dask=options["dask"],
        loop=options["loop"],
        allow_live=options.get("allow_live", False),
    )


def _profile(options: dict[str, Any]) -> "Profile | Trace":
    """Return when iterations are due.

    Raises:
        click.UsageError: There is not one plan, but none or two.
    """
    from convergegate_async.load import Profile, Trace

    rate, trace = options["rate"], options["trace"]
    if (rate is None) == (trace is None):
        message = "give a --rate, or a --trace"
        raise click.UsageError(message)
    if trace is None:
        with as_usage():
            return Profile.parse(
                rate,
                parse_duration(options["duration"] or "60s"),
                arrivals=options["arrivals"] or "even",
                seed=options["seed"],
            )
    if options["duration"] or options["arrivals"]:
        message = "a --trace has its own --duration and --arrivals"
        raise click.UsageError(message)
    return Trace.parse(trace.read_text(encoding="utf-8", errors="replace"))


def _target(options: dict[str, Any]) -> "Target | None":
    """Return the gateway to load; `None` for one of its own.

    Raises:
        ConfigurationError: It is no address.
        click.UsageError: It is not on this machine, and that was not said.
    """
    from urllib.parse import urlsplit

    from convergegate_async.load import Target

    base_url = options["base_url"]
    if base_url is None:
        return None
    host = None
    with suppress(ValueError):
        host = urlsplit(base_url).hostname
    if host is None:
        message = "the --base-url must begin with http:// or https://"
        raise ConfigurationError(message)
    if not is_loopback(host) and not options["yes"]:
        message = f"{host} is not this machine: load it only if you may, with --yes"
        raise click.UsageError(message)
    return Target(base_url=base_url, api_key=options["api_key"])


@load.command(short_help="What does this machine drive?")
@click.option("--start", default=250.0, show_default=True, help="The first rate tried.")
@click.option(
    "--duration",
    default="5s",
    show_default=True,
    metavar="TIME",
    help="How long each run is.",
)
@_scenario
@_all(_driver_options)
def calibrate(start: float, duration: str, scenario: str, **options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Find the highest rate that this machine drives honestly.

    Against a stub that answers at once, in a process of its own: what is measured is
    the generator. A run holds if all was sent in time and answered; the rate that is
    told has held in three. Exit code 98: none is driven honestly.
    """
    from . import _load_runs

    return _load_runs.calibrate(
        start, parse_duration(duration), scenario, _drivers(options)
    )


@load.command(short_help="Which rate still holds?")
@_thresholds
@click.option("--start", default=10.0, show_default=True, help="The first rate tried.")
@click.option("--floor", default=1.0, show_default=True, help="The lowest rate tried.")
@click.option(
    "--ceiling", default=10_000.0, show_default=True, help="The highest rate tried."
)
@click.option(
    "--duration",
    default="10s",
    show_default=True,
    metavar="TIME",
    help="How long each run is.",
)
@click.option(
    "--precision",
    default=0.02,
    show_default=True,
    help="How near, as a share, the rate that holds and the one that does not have to "
    "come.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="How often the rate that is told has to hold.",
)
@_scenario
@_all(_limit_options)
@_all(_driver_options)
@_all(_target_options)
def find(**options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Find the highest rate at which all thresholds are kept.

    Rates are decided by the majority of up to three runs, and the one that is told has
    held as often as --repeats says: one lucky run is no answer. Exit codes: 0 found, 99
    none holds, 98 the generator could not drive the rate that failed.
    """
    from convergegate_async.load import Profile, Search

    from . import _load_runs

    if not options["thresholds"]:
        message = "give a --threshold: what has to hold?"
        raise click.UsageError(message)
    duration = parse_duration(options["duration"])
    with as_usage():
        profile = Profile.constant(options["start"], duration)
        search = Search(
            options["start"],
            floor=options["floor"],
            ceiling=options["ceiling"],
            precision=options["precision"],
            repeats=options["repeats"],
        )
    return _load_runs.find(
        _plan(profile, options), search, _target(options), _drivers(options)
    )


@load.command(short_help="What is different in two reports?")
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Set two reports (.json) side by side, so that noise is not called a change.

    Each difference has a 95 % interval, for which whole seconds are drawn anew: a run
    needs 13 of them or more.
    """
    from . import _load_runs

    _load_runs.compare_files(before, after)
