"""Whether the load harness, wrk, hey and Locust tell the truth about slow gateways.

Each gateway is a model of which the truth is computed: one that stands still for a
second in every five, one that answers 150 a second and queues what is beyond, and one
that is slow every thousandth time. All tools are asked for the same rate, with what
their own pages name for that; what they report is set beside the truth.

wrk and hey are Debian's; Locust is installed into an environment of its own.
"""

import argparse
import asyncio
import csv
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
from harness.figures import table, versions
from harness.slow_gateway import MODELS, running_gateway

from convergegate_async.load import LoadPlan, Profile, Target, run_load
from convergegate_async.load.times import rank_of

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
LONGEST = 100.0
"""The percentile that is the maximum."""
COLUMNS = (*PERCENTILES, LONGEST)
CONNECTIONS = 10  # of the tools that wait for an answer before they ask again
_PATH = "/v1/checkout/sessions"


@attrs.frozen
class Case:
    """A gateway, how it is loaded, and by which percentiles tools are judged."""

    gateway: str
    rate: int
    seconds: float
    judged: tuple[float, ...] = (50.0, 95.0, 99.0)

    @property
    def whole(self) -> str:
        """Whole seconds, as all tools read them."""
        return f"{math.ceil(self.seconds)}s"

    @property
    def planned(self) -> int:
        """How many requests that is."""
        return round(self.rate * self.seconds)


CASES = (
    Case("freezing", 200, 20),
    Case("queueing", 200, 20),
    # 21 of 20,550 are slow: more than a thousandth, so that p99.9 has to see them.
    Case("thousandth", 500, 41.1, judged=(99.9, LONGEST)),
)


@attrs.frozen
class Findings:
    """What a tool tells: seconds by percentile, `None` where it does not."""

    sent: int
    percentiles: Mapping[float, float | None]


Tool = Callable[[str, Case], Findings]


def truth(case: Case) -> Findings:
    """Return what an endless number of clients would have met."""
    # The phase of a freeze does not matter: a run is as long as several of them.
    answered = MODELS[case.gateway]()
    start = time.monotonic()
    arrivals = [start + number / case.rate for number in range(case.planned)]
    waits = sorted(answered(arrived) - arrived for arrived in arrivals)
    ranks = {p: rank_of(p, len(waits)) for p in COLUMNS}
    return Findings(case.planned, {p: waits[rank - 1] for p, rank in ranks.items()})


def by_convergegate(url: str, case: Case) -> Findings:
    """Load by ours."""
    plan = LoadPlan(profile=Profile.constant(case.rate, case.seconds))
    report = asyncio.run(run_load(plan, Target(base_url=url, api_key="sk_test_stub")))
    if report.health.problems:
        print("  invalid:", *report.health.problems)
    response = report.recorder.total.response
    found = response.percentiles(PERCENTILES)
    return Findings(report.sent, {**found, LONGEST: response.longest})


def by_wrk(url: str, case: Case) -> Findings:
    """Load by wrk, which knows no rate: it asks as soon as it was answered."""
    shown = _run(
        *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{case.whole}", "--latency"),
        *("--timeout", "30s", f"{url}{_PATH}"),
    )
    found = dict(re.findall(r"^ +(\d+)% +(\S+)$", shown, re.MULTILINE))
    sent = re.search(r"(\d+) requests in", shown)
    return Findings(
        sent=int(sent[1]) if sent else 0,
        percentiles={p: _seconds(found.get(f"{p:g}")) for p in COLUMNS},
    )


def by_hey(url: str, case: Case) -> Findings:
    """Load by hey, with its own limit of the rate."""
    shown = _run(
        *("hey", "-z", case.whole, "-c", str(CONNECTIONS)),
        *("-q", str(case.rate // CONNECTIONS), "-t", "30", f"{url}{_PATH}"),
    )
    found = dict(re.findall(r"(\d+)% in (\S+) secs", shown))
    sent = re.search(r"\[200\]\s+(\d+) responses", shown)
    slowest = re.search(r"Slowest:\s+(\S+) secs", shown)
    return Findings(
        sent=int(sent[1]) if sent else 0,
        percentiles={
            **{p: _seconds(found.get(f"{p:g}")) for p in PERCENTILES},
            LONGEST: _seconds(slowest and slowest[1]),
        },
    )


_LOCUSTFILE = """
from locust import HttpUser, constant_throughput, task

class Shop(HttpUser):
    wait_time = constant_throughput({each})

    @task
    def create(self):
        self.client.get("{path}")
"""


@contextmanager
def locust() -> Iterator[Tool]:
    """Install Locust, and yield how one loads by it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603 -- our own
        python = str(Path(folder, "bin", "python"))
        subprocess.run([python, "-m", "pip", "install", "-q", "locust"], check=True)  # noqa: S603 -- as above

        def by_locust(url: str, case: Case) -> Findings:
            each = case.rate / CONNECTIONS
            script = Path(folder, "locustfile.py")
            script.write_text(_LOCUSTFILE.format(each=each, path=_PATH))
            _run(
                *(python, "-m", "locust", "-f", str(script), "--headless"),
                *("-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "-H", url),
                *("-t", case.whole, "--csv", f"{folder}/out", "--stop-timeout"),
                "30",
            )
            with Path(folder, "out_stats.csv").open(newline="") as file:
                [*_, whole] = csv.DictReader(file)
            return Findings(
                sent=int(whole["Request Count"]),
                percentiles={p: int(whole[f"{p:g}%"]) / 1_000 for p in COLUMNS},
            )

        yield by_locust


def _run(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 -- our own words
        words, capture_output=True, text=True, check=False, timeout=300
    )
    return done.stdout


def _seconds(text: str | None) -> float | None:
    """Read a duration as wrk and hey write it: 3.02ms, 1.01s, 0.0030."""
    found = re.fullmatch(r"([0-9.]+)(us|ms|s|m|)", text or "")
    if found is None:
        return None
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0}[found[2]]
    return float(found[1]) * unit


def shown(name: str, found: Findings, real: Findings) -> list[str]:
    """Return a line of the table; figures that are far off are marked."""
    cells = [name, f"{found.sent:,}"]
    for p in COLUMNS:
        value = found.percentiles[p]
        mark = "" if value is None or is_near(value, real.percentiles[p], p) else " !"
        cells.append("-" if value is None else f"{value * 1_000:,.1f}{mark}")
    return cells


def is_near(found: float | None, real: float | None, percentile: float) -> bool:
    """Tell whether a figure is true: the median closely, the others within 10 %."""
    if found is None or real is None:
        return False
    off = abs(found - real)
    if percentile <= 50:  # noqa: PLR2004 -- the median
        return off <= max(0.001, 0.02 * real)
    return off <= max(0.001, 0.10 * real)


def medians(runs: list[Findings]) -> Findings:
    """Return the median of each figure over several runs."""
    return Findings(
        sent=int(statistics.median(run.sent for run in runs)),
        percentiles={p: _median(run.percentiles[p] for run in runs) for p in COLUMNS},
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def main() -> None:
    """Compare them, gateway by gateway."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of ours; others run once")
    parser.add_argument("--only", choices=sorted(MODELS))
    parser.add_argument("--alone", action="store_true", help="without the other tools")
    options = parser.parse_args()
    print(f"{versions('convergegate-async', 'aiohttp')}, {os.cpu_count()} cores")
    with ExitStack() as stack:
        others: dict[str, Tool] = {}
        if not options.alone:
            others = {
                f"{name} -c{CONNECTIONS}": tool
                for name, tool in (("wrk", by_wrk), ("hey", by_hey))
                if shutil.which(name)
            }
            others[f"Locust -u{CONNECTIONS}"] = stack.enter_context(locust())
        are_true = [
            compare(case, options.runs, others)
            for case in CASES
            if options.only in {None, case.gateway}
        ]
    sys.exit(0 if all(are_true) else 1)


def compare(case: Case, runs: int, others: Mapping[str, Tool]) -> bool:
    """Print what all tell of one gateway, and tell whether ours is true."""
    print(f"\n{case.gateway}: {case.rate}/s for {case.seconds} s", flush=True)
    real = truth(case)
    with running_gateway(case.gateway) as url:
        own = medians([by_convergegate(url, case) for _ in range(runs)])
    lines = [shown("truth", real, real), shown(f"ours, median of {runs}", own, real)]
    for name, tool in others.items():
        with running_gateway(case.gateway) as url:
            lines.append(shown(name, tool(url, case), real))
    print(table(["", "sent", *(f"p{p:g}, ms" for p in COLUMNS)], lines))
    return all(is_near(own.percentiles[p], real.percentiles[p], p) for p in case.judged)


if __name__ == "__main__":
    main()
