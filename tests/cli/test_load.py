"""``convergegate load``: what a user sees, and the exit code that CI reads."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import programs
import pytest
from load_reports import report_of
from programs import PROGRAM, send, variables_of

from convergegate_async.load import LoadReport
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

# However busy the machine is, runs are valid: these tests are about other things.
SHORT = ("--rate", "40", "--duration", "500ms", "--max-lag", "10m")
OWN_SCENARIO = """
import asyncio, os, signal, time

async def slow(checkout, number):
    await asyncio.sleep(3)

async def wrong(checkout, number):
    raise LookupError("nothing of that kind")

async def some_wrong(checkout, number):
    if number % 2:
        raise LookupError

async def blocks(checkout, number):
    time.sleep(0.1)

async def dies_once(checkout, number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""


async def run(*words: str, cwd: Path, **variables: str) -> tuple[int, str, str]:
    """Run a ``load`` command, and return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "load", *words),
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with scenarios of one's own."""
    (tmp_path / "own.py").write_text(OWN_SCENARIO)
    return tmp_path


async def test_a_run_needs_nothing_else(folder: Path) -> None:
    """A sandbox is started, loaded and ended; the verdict comes first."""
    code, out, err = await run("run", *SHORT, cwd=folder)

    assert (code, out.splitlines()[0]) == (0, "MEASURED, exit code 0")
    assert "planned 20, sent 20, ok 20" in out
    assert err.startswith("create, 40/s for 0.5 s, at a sandbox of its own")


@pytest.mark.parametrize(
    ("thresholds", "code", "verdict"),
    [
        (["p99<60s", "error_rate<0.1%", "rate>=0.1", "create:max<60s"], 0, "PASSED"),
        (["p99<60s", "p50<1us"], 99, "FAILED"),
        (["rate>=1000"], 99, "FAILED"),
        (["pay:p99<60s"], 99, "FAILED"),
    ],
)
async def test_thresholds_decide(
    folder: Path, sandbox: Sandbox, thresholds: list[str], code: int, verdict: str
) -> None:
    """One that is broken, or of which nothing was measured, fails the run."""
    words = [word for one in thresholds for word in ("--threshold", one)]

    found = await run(
        *("run", *SHORT, "--base-url", sandbox.base_url, *words),
        cwd=folder,
        **variables_of(sandbox),
    )

    assert found[0] == code, found
    assert found[1].startswith(f"{verdict}, exit code {code}")
    signs = re.findall(r"^  ([✓✗]) (\S+)", found[1], re.MULTILINE)
    assert [text for _, text in signs] == thresholds
    assert all(sign == "✓" for sign, _ in signs) is (code == 0)


async def test_a_run_that_was_not_driven_is_invalid_not_failed(folder: Path) -> None:
    """Sends were dropped: no threshold is judged by it, broken or kept."""
    code, out, _ = await run(
        *("run", *SHORT, "--scenario", "own:slow", "--max-in-flight", "2"),
        *("--threshold", "p50<1us"),
        cwd=folder,
    )

    assert code == 98
    assert out.startswith("INVALID, exit code 98")
    assert "18 planned sends were dropped" in out


async def test_a_lost_worker_makes_a_run_incomplete(folder: Path) -> None:
    """What the others measured is told."""
    code, out, _ = await run(
        *("run", *SHORT, "--scenario", "own:dies_once", "--processes", "2"), cwd=folder
    )

    assert code == 98
    assert out.startswith("INCOMPLETE, exit code 98")
    assert "part 2 of 2 is lost" in out
    assert "ok 10" in out


async def test_errors_are_counted_with_an_example(folder: Path) -> None:
    """And a run of which nothing ended well has failed, threshold or not."""
    code, out, _ = await run("run", *SHORT, "--scenario", "own:wrong", cwd=folder)

    assert code == 99
    assert "       20  LookupError: nothing of that kind" in out


async def test_so_many_errors_end_a_run(folder: Path, sandbox: Sandbox) -> None:
    """Long before its time."""
    sandbox.faults.add(Fault(FaultKind.STATUS, status=429, operation="create"))

    code, out, _ = await run(
        *("run", "--rate", "40", "--duration", "10m", "--max-errors", "5"),
        *("--max-lag", "10m"),
        *("--base-url", sandbox.base_url),
        cwd=folder,
        **variables_of(sandbox),
    )

    assert code == 99
    assert "stopped early: as many errors as were allowed" in out
    assert "RateLimitedError 429" in out


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupt_ends_with_the_report(
    folder: Path, sandbox: Sandbox, number: signal.Signals
) -> None:
    """Of what was measured until then, marked as cut short, and no worker is left."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "load", "run", "--rate", "40", "--duration", "10m"),
        *("--base-url", sandbox.base_url, "--report", "out.json"),
        cwd=folder,
        env={**os.environ, **variables_of(sandbox)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while sandbox.count("create") < 3:  # noqa: ASYNC110 -- of another process
        await asyncio.sleep(0.05)
    send(process, number)
    out, _ = await process.communicate()

    assert process.returncode == 130
    assert out.decode().startswith("CUT SHORT, exit code 130")
    report = LoadReport.from_json((folder / "out.json").read_text())
    assert (report.interrupted, report.planned) == (True, 24_000)
    sent = sandbox.count("create")
    await asyncio.sleep(0.3)
    assert report.sent == sent == sandbox.count("create")


async def test_reports_are_written(folder: Path) -> None:
    """Each by its suffix; a page with its raw figures beside it."""
    code, out, err = await run(
        *("run", *SHORT, "--output", "json", "--report", "a.html"),
        *("--report", "b.md", "--report", "c.xml"),
        cwd=folder,
    )

    assert code == 0
    written = ["a.html", "a.json", "a.hgrm", "b.md", "c.xml"]
    assert err.splitlines()[-5:] == [f"written: {name}" for name in written]
    assert json.loads(out)["status"] == "measured"
    assert LoadReport.from_json(out).to_json() == (folder / "a.json").read_text()


async def test_two_reports_are_compared(folder: Path) -> None:
    """What is no change is not called one, and what is one is."""
    for name, typical in (("a", 0.01), ("b", 0.01), ("c", 0.02)):
        report = report_of(60, typical=typical, freezes=0.0, seed=ord(name))
        (folder / f"{name}.json").write_text(report.to_json())

    same = await run("compare", "a.json", "b.json", cwd=folder)
    slower = await run("compare", "a.json", "c.json", cwd=folder)

    assert (same[0], slower[0]) == (0, 0)
    assert re.search(r"^p50 .* no change$", same[1], re.MULTILINE)
    assert re.search(r"^p50 .* changed$", slower[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, "give a --rate, or a --trace"),
        (["run", "--rate", "fast"], 2, "a rate is a number"),
        (["run", "--rate", "5", "--duration", "soon"], 2, "a duration is a number"),
        (["run", "--rate", "5", "--threshold", "p99"], 2, "a threshold is a metric"),
        (["run", "--rate", "5", "--report", "x.pdf"], 2, "must end in one of .html"),
        (["run", "--rate", "5", "--scenario", "nope"], 2, "a scenario must be one of"),
        (["run", "--rate", "5", "--base-url", "https://pay.example"], 2, "with --yes"),
        (["run", "--rate", "5", "--base-url", "foo"], 3, "must begin with http"),
        (["run", "--rate", "5", "--report", "no/x.md"], 3, "there is no folder no"),
        (["run", "--trace", "own.py", "--duration", "5s"], 2, "has its own"),
        (["find"], 2, "give a --threshold"),
        (
            ["compare", "own.py", "own.py"],
            3,
            "own.py: this is no report",
        ),
    ],
)
async def test_what_cannot_be_run_is_told(
    folder: Path, words: list[str], code: int, said: str
) -> None:
    """In a sentence, before anything is sent."""
    found = await programs.run(None, "load", *words, cwd=folder)

    assert found.code == code, found
    assert said in found.err
    assert found.out == ""


async def test_a_live_key_is_refused(folder: Path) -> None:
    """Unless it is said that one knows; nothing is sent."""
    async with Sandbox(api_key="sk_live_1") as sandbox:
        words = ("run", *SHORT, "--base-url", sandbox.base_url)
        refused = await run(*words, cwd=folder, **variables_of(sandbox))
        sent = len(sandbox.seen)
        allowed = await run(
            *words, "--i-know-this-is-live", cwd=folder, **variables_of(sandbox)
        )

    assert (refused[0], sent) == (3, 0)
    assert "the key may move real money" in refused[2]
    assert (allowed[0], sandbox.count("create")) == (0, 20)


async def test_arrivals_come_from_a_file(folder: Path) -> None:
    """As they were recorded."""
    (folder / "trace.txt").write_text("10.0\n10.1\n10.1\n10.4\n")

    code, out, err = await run(
        "run", "--trace", "trace.txt", "--max-lag", "10m", cwd=folder
    )

    assert code == 0
    assert "planned 4, sent 4, ok 4" in out
    assert "4 recorded arrivals in 0.4 s" in err


async def test_a_limit_of_the_generator_is_not_called_the_targets(
    folder: Path,
) -> None:
    """Sends were dropped where it failed: that is said, and has an exit code."""
    code, out, _ = await run(
        *("find", "--threshold", "p99<60s", "--duration", "300ms", "--start", "40"),
        *("--floor", "40", "--repeats", "1", "--max-lag", "10m"),
        *("--scenario", "own:slow", "--max-in-flight", "2"),
        cwd=folder,
    )

    assert code == 98
    assert "the limit may be its own" in out


async def test_a_generator_that_is_kept_from_sending_is_not_called_fast(
    folder: Path,
) -> None:
    """A scenario that holds its loop for 0.1 s lets no more than ten go out a second.

    On a busy machine it may be that none is driven honestly, which is said, too.
    """
    code, out, _ = await run(
        *(
            "calibrate",
            "--scenario",
            "own:blocks",
            "--start",
            "6",
            "--duration",
            "600ms",
        ),
        cwd=folder,
    )

    if code == 98:
        assert out == "No rate that was tried is driven honestly here.\n"
    else:
        found = re.match(r"(\d+)/s is driven honestly here, by one process: ", out)
        assert found is not None
        assert (int(found[1]) <= 10, code) == (True, 0)


async def test_a_highest_rate_is_found_or_said_to_lie_beyond(folder: Path) -> None:
    """With how often it has held."""
    code, out, err = await run(
        *("find", "--threshold", "p99<60s", "--duration", "200ms", "--start", "20"),
        *("--ceiling", "20", "--repeats", "2", "--max-lag", "10m"),
        cwd=folder,
    )

    assert code == 0
    assert out.startswith("20/s holds: 2 of 2 runs held, so at least 22% of such runs")
    assert "the limit lies beyond" in out
    assert err.count("20/s  holds") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(
    "environ", [{"COLUMNS": "80"}, {"COLUMNS": "60"}, {"LC_ALL": "C"}], ids=str
)
async def test_a_run_is_watched_on_a_terminal(
    folder: Path, environ: dict[str, str]
) -> None:
    """Whatever its width and its letters; thresholds, rate and lag are in sight."""
    master, slave = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "load", "run", "--rate", "40", "--duration", "2500ms"),
        *("--max-lag", "10m", "--threshold", "p99<60s", "--scenario", "own:some_wrong"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=slave,
        cwd=folder,
        env={**os.environ, "TERM": "xterm", **environ},
    )
    os.close(slave)
    drawn = b""
    with suppress(OSError):  # so it ends where the other side has closed it
        while more := await asyncio.to_thread(os.read, master, 4096):
            drawn += more
    os.close(master)
    out, _ = await process.communicate()

    assert process.returncode == 0, drawn
    for words in (b"p99<60s", b"planned", b"in flight", b"sends late", b"LookupError"):
        assert words in drawn
    assert b"PASSED" in out


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
async def test_a_second_interrupt_leaves_at_once(folder: Path) -> None:
    """It is told, with the exit code of an interrupt, and not as a fault."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "load", "run", "--rate", "40", "--duration", "10m"),
        *("--scenario", "own:slow"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    err = b""
    while b"in flight" not in err:
        err += await process.stderr.readline()
    send(process, signal.SIGINT)
    while b"Ctrl-C again" not in err:
        err += await process.stderr.readline()
    send(process, signal.SIGINT)
    out, more = await process.communicate()

    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err + more
    assert b"Interrupted; nothing is left of the run." in more


async def test_a_run_outlives_a_report_that_cannot_be_written(folder: Path) -> None:
    """It is shown, the others are written, and the exit code tells of the loss."""
    endless = "x" * 300 + ".md"

    code, out, err = await run(
        *("run", *SHORT, "--report", endless, "--report", "a.json"), cwd=folder
    )

    assert code == 1
    assert out.startswith("MEASURED")
    assert f"Error: {endless} cannot be written" in err
    assert "written: a.json" in err


async def test_workers_need_no_streams(folder: Path, sandbox: Sandbox) -> None:
    """A service may start it without: what is lost is the report, and no worker."""
    done = await programs.run(
        *(sandbox, "load", "run", *SHORT, "--processes", "2"),
        *("--base-url", sandbox.base_url),
        streams="<&- >&-",
        cwd=folder,
    )

    assert sandbox.count("create") == 20
    assert "Error: stdout cannot be written" in done.err
    assert done.code == 1


async def test_all_workers_may_be_lost(folder: Path) -> None:
    """There is nothing to report, and that is said."""
    code, out, err = await run("run", *SHORT, "--scenario", "own:dies_once", cwd=folder)

    assert (code, out) == (98, "")
    assert "Error: part 1 of 1 is lost" in err
