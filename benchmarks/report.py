"""All benchmarks of speed, in under ten minutes: a Markdown page, and the curve drawn.

Each script runs in a process of its own, one after the other, with short settings.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.peers import peer_python, surroundings

HERE = Path(__file__).parent
SCRIPTS = {
    "clients.py": ("--pairs", "4", "--calls", "1000"),
    "instructions.py": (),
    "layers.py": ("--rounds", "20"),
    "scaling.py": ("--rounds", "3", "--step", "1000", "--calls", "50000"),
    "startup.py": ("--rounds", "10"),
}
TITLES = {
    "clients.py": "Beside other clients",
    "instructions.py": "Instructions",
    "layers.py": "Layers",
    "scaling.py": "Scaling",
    "startup.py": "Starting",
}
WITHOUT_QUICK = ("instructions.py",)
"""What takes as long as it takes, and is left out of a quick report."""


def run(script: str, *arguments: str) -> str:
    """Run a benchmark, and return what it printed, as Markdown."""
    print(script, file=sys.stderr)
    printed = subprocess.run(  # noqa: S603 -- our own files
        [sys.executable, str(HERE / script), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    return printed if "\n| " in printed else f"```text\n{printed}\n```"


def page(data: Path, *, quick: bool) -> str:
    """Return the whole report; the points of the curves go into *data*."""
    started = time.perf_counter()
    parts = [f"# Performance, {datetime.now(UTC):%Y-%m-%d}"]
    for script, settings in SCRIPTS.items():
        if quick and script in WITHOUT_QUICK:
            continue
        arguments = ["--quick"] if quick else [*settings]
        if script == "scaling.py":
            arguments += ["--data", str(data)]
        parts += [f"## {TITLES[script]}", run(script, *arguments)]
    minutes = (time.perf_counter() - started) / 60
    parts.append(f"Measured in {minutes:.1f} minutes by `benchmarks/report.py`.")
    return "\n\n".join(parts) + "\n"


def draw(data: Path, folder: Path) -> None:
    """Draw the curves in *data* as PNG and SVG. Needs matplotlib."""
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    points = sorted(json.loads(data.read_text()), key=lambda point: point["client"])
    for client, curve in groupby(points, key=lambda point: point["client"]):
        steps = [(point["concurrency"], point["rate"]) for point in curve]
        axes.plot(*zip(*steps, strict=True), marker="o", label=client)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("calls at a time, in each process")
    axes.set_ylabel("calls in a second")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"scaling.{kind}", dpi=150)


def main() -> None:
    """Write the report and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="stdout if not given")
    parser.add_argument(
        "--pictures",
        type=Path,
        default=Path(),
        help="a folder for the drawings",
    )
    parser.add_argument("--quick", action="store_true", help="see that it works")
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        draw(options.draw, options.pictures)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "scaling.json")
        report = page(data, quick=options.quick)
        pictures = ["--draw", str(data), "--pictures", str(options.pictures)]
        subprocess.run(  # noqa: S603 -- this file, where matplotlib is
            [peer_python(), __file__, *pictures], check=True, env=surroundings()
        )
    if options.output:
        options.output.write_text(report, encoding="utf-8")
    else:
        print(report)


if __name__ == "__main__":
    main()
