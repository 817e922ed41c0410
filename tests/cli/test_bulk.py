"""``convergegate bulk`` as a user meets it: real processes, output and exit codes."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from programs import PATIENCE, PROGRAM, call, running_sandbox, started

OPTIONS = ("--id-column", "order", "--map", "total=amount", "--amount-unit", "major")
HEADER = (
    "order,total,currency,customer_email,customer_firstname,customer_lastname,"
    "customer_phone,success_url"
)

READ_AS = (
    "read as: , · UTF-8 · 49.99\n20 rows\nPLN 2.10 in 20 rows, from 0.01 to 0.20\n"
)

Run = Callable[..., subprocess.CompletedProcess[str]]


def line(number: int, **changes: str) -> str:
    """Return a row of the input."""
    row = {
        "order": f"A-{number}",
        "total": f"{number / 100:.2f}",
        "currency": "pln",
        "email": f"john.{number}@example.com",
        "first": "Żaneta",
        "last": "Doe",
        "phone": "+48123456789",
        "url": "https://shop.example/thanks",
    }
    return ",".join((row | changes).values())


def text(rows: int, newline: str = "\n") -> str:
    """Return an input of so many *rows*."""
    return newline.join([HEADER, *[line(n) for n in range(1, rows + 1)]]) + newline


@pytest.fixture(scope="module")
def gateway() -> Iterator[dict[str, str]]:
    """The environment of a running sandbox."""
    with running_sandbox(stderr=subprocess.DEVNULL) as (_, environ):
        yield environ


@pytest.fixture
def bulk(tmp_path: Path, gateway: dict[str, str]) -> Run:
    """Run a command of ``bulk`` in a folder of its own."""

    def run(
        *arguments: str, stdin: str = "", limit: int | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        if limit is None:
            place = {**gateway, **environ}
            return call("bulk", *arguments, stdin=stdin, cwd=str(tmp_path), **place)

        def confine() -> None:
            import resource  # noqa: PLC0415 -- there is none on Windows

            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        variables = {**os.environ, **gateway, **environ}
        # What measures the coverage would write more than that.
        variables.pop("COVERAGE_PROCESS_CONFIG", None)
        return subprocess.run(  # noqa: S603 -- our own program
            [*PROGRAM, "bulk", *arguments],
            cwd=tmp_path,
            env=variables,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
            preexec_fn=confine,
        )

    return run


def states(bulk: Run, job: str) -> dict[str, object]:
    """Return what ``status`` tells."""
    status: dict[str, object] = json.loads(
        bulk("status", job, "--output", "json").stdout
    )
    return status


def test_a_file_becomes_sessions(bulk: Run, tmp_path: Path) -> None:
    """Run, status, verify and export tell the same story."""
    (tmp_path / "orders.csv").write_text(text(50), encoding="utf-8")

    done = bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    assert (done.returncode, done.stdout) == (0, "")
    assert "april: created 50" in done.stderr
    status = states(bulk, "april")
    assert (status["rows"], status["created"], status["pending"]) == (50, 50, 0)
    assert bulk("verify", "april").returncode == 0
    results = list(csv.DictReader(io.StringIO(bulk("export", "april").stdout)))
    assert [row["order"] for row in results] == [f"A-{n}" for n in range(1, 51)]
    assert all(row["cg_session_id"] for row in results)
    assert {row["cg_state"] for row in results} == {"created"}
    assert not list(tmp_path.glob("*.failed.*"))


def test_a_file_that_was_moved_is_named(bulk: Run, tmp_path: Path) -> None:
    """Once it is gone the error says how; other rows are refused, and none is sent."""
    (tmp_path / "orders.csv").write_text(text(20), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)
    (tmp_path / "orders.csv").rename(tmp_path / "moved.csv")
    (tmp_path / "others.csv").write_text(text(19), encoding="utf-8")

    gone = bulk("resume", "april")
    others = bulk("resume", "april", "--source", "others.csv")
    done = bulk("resume", "april", "--source", "moved.csv")
    again = bulk("retry-failed", "april", "--source", str(tmp_path / "moved.csv"))

    where = tmp_path / "orders.csv"
    assert (gone.returncode, others.returncode) == (3, 3)
    assert gone.stderr == (
        f"Error: the input of the job, {where}, is not there any more: put it back, or "
        "say where it is by --source\n"
    )
    assert others.stderr == (
        "Comparing others.csv with what was sent.\n"
        "Error: others.csv does not hold the rows of the job as they were: 1 missing\n"
    )
    assert done.returncode == 0
    assert again.returncode == 0
    assert bulk("resume", "april").returncode == 0


def test_rows_that_left_the_input_unsent_are_told(bulk: Run, tmp_path: Path) -> None:
    """By every run that ends without them, with exit code 5, and by an export."""
    source = tmp_path / "orders.csv"
    source.write_text(text(20), encoding="utf-8")
    pause = "status:operation=create,status=429,retry_after=86400,times=1"
    with running_sandbox("--fault", pause, stderr=subprocess.DEVNULL) as (_, environ):
        bulk("run", source.name, "--job", "april", *OPTIONS, **environ)
        source.write_text(text(12), encoding="utf-8")
        runs = [bulk(word, "april", **environ) for word in ("resume", "retry-failed")]
        exported = bulk("export", "april")
        source.write_text(text(20), encoding="utf-8")
        whole = bulk("resume", "april", **environ)

    for done in runs:
        assert "april: created 12, rejected 0, unknown 0, pending 8\n" in done.stderr
        assert "8 rows left the input before they were sent: put it" in done.stderr
        assert done.returncode == 5
    assert exported.stderr == (
        "12 rows written.\n8 rows more left the input before they were sent.\n"
    )
    assert (whole.returncode, "left the input" in whole.stderr) == (0, False)


@pytest.mark.parametrize("by_file", [False, True])
def test_a_column_without_a_name_can_be_left_out(
    bulk: Run, tmp_path: Path, *, by_file: bool
) -> None:
    """The index that pandas writes is told by its place, and mapped to nothing."""
    rows = text(2).splitlines()
    whole = "".join(f"{'' if n < 0 else n},{row}\n" for n, row in enumerate(rows, -1))
    (tmp_path / "orders.csv").write_text(whole, encoding="utf-8")
    (tmp_path / "map.json").write_text('{"": ""}', encoding="utf-8")
    ways = ("--map-file", "map.json") if by_file else ("--map", "=")

    refused = bulk("run", "orders.csv", "--job", "april", *OPTIONS)
    done = bulk("run", "orders.csv", "--job", "april", *OPTIONS, *ways)

    assert "column 1 has no name" in refused.stderr
    assert done.returncode == 0, done.stderr


def test_a_second_run_of_the_same_name_is_refused(bulk: Run, tmp_path: Path) -> None:
    """The message says how to go on; nothing is sent."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    done = bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    assert done.returncode == 3
    assert "convergegate bulk resume april" in done.stderr


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda whole: "\ufeff" + whole, id="BOM"),
        pytest.param(lambda whole: whole.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda whole: whole.replace("Doe", "=Doe"), id="formula"),
    ],
)
def test_what_spreadsheets_do_to_a_file_does_no_harm(
    spoil: Callable[[str], str], bulk: Run, tmp_path: Path
) -> None:
    """H14: a mark at its start, other line ends, formulas: all are read as meant."""
    (tmp_path / "orders.csv").write_bytes(spoil(text(5)).encode())
    job = f"sheet-{len(spoil(text(5)))}"

    # A job of its own each: others sent other rows under the same keys.
    done = bulk("run", "orders.csv", "--job", job, *OPTIONS)

    assert done.returncode == 0
    assert states(bulk, job)["created"] == 5


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        pytest.param(line(3, currency="PLMX"), "column currency", id="currency"),
        pytest.param(line(3, email="nobody"), "column customer_email", id="e-mail"),
        pytest.param(line(3, total="49.999"), "column total", id="too-exact"),
        pytest.param(line(2), "earlier row", id="duplicate"),
        pytest.param("A-3,1.00,pln", "line 4", id="half-a-row"),
        pytest.param(line(3, first="a\0b"), "line 4", id="NUL"),
    ],
)
def test_a_bad_row_stops_everything_before_it_starts(
    bad: str, words: str, bulk: Run, tmp_path: Path
) -> None:
    """H14: line, column and reason, exit code 1, no journal, and no value repeated."""
    lines = [HEADER, line(1), line(2), bad]
    (tmp_path / "orders.csv").write_text("\n".join(lines), encoding="utf-8")

    done = bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    assert done.returncode == 1
    assert "line 4" in done.stderr
    assert words in done.stderr
    assert "Nothing was sent" in done.stderr
    assert "--skip-validation the other rows are sent" in done.stderr
    assert "go to JOB.failed.csv, to be corrected.\n" in done.stderr
    assert not (tmp_path / "april.journal").exists()
    assert not {"PLMX", "nobody", "49.999"} & set(done.stderr.split())


def test_all_bad_rows_are_reported_at_once(bulk: Run, tmp_path: Path) -> None:
    """Nobody has to mend a file one error at a time."""
    lines = [HEADER, *[line(n, currency="zz") for n in range(1, 8)]]
    (tmp_path / "orders.csv").write_text("\n".join(lines), encoding="utf-8")

    done = bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    assert (
        "lines 2, 3, 4, 5, 6 and 2 more, column currency: "
        "must be a three-letter ISO 4217 code\n"
    ) in done.stderr
    assert "\n7 rows, 7 of them cannot be sent\n" in done.stderr
    assert "--skip-validation" not in done.stderr  # there are no others


@pytest.mark.parametrize("source", ["orders.csv", "-"])
def test_a_dry_run_sends_and_leaves_nothing(
    source: str, bulk: Run, tmp_path: Path
) -> None:
    """It shows what a check shows, also of stdin, and the name is free for the job."""
    if source != "-":
        (tmp_path / source).write_text(text(20), encoding="utf-8")
    before = [*tmp_path.iterdir()]

    tried = bulk("run", source, "--job", "a", "--dry-run", *OPTIONS, stdin=text(20))
    seen = bulk("check", source, *OPTIONS, stdin=text(20))

    assert (tried.returncode, tried.stdout) == (seen.returncode, seen.stdout)
    assert tried.stdout.startswith(READ_AS)
    assert [*tmp_path.iterdir()] == before


def test_the_sum_is_shown_before_anything_is_sent(bulk: Run, tmp_path: Path) -> None:
    """Who watches can still stop it."""
    (tmp_path / "orders.csv").write_text(text(20), encoding="utf-8")

    done = bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    assert done.stderr.startswith(READ_AS)


@pytest.mark.parametrize(
    ("limit", "options", "code"),
    [
        ("PLN=2.09", (), 2),
        ("pln=2.09", ("--yes",), 0),
        ("PLN=2.10", (), 0),
        ("EUR=0.01", (), 0),
        ("PLN", (), 2),
        ("PLN=a lot", (), 2),
        ("PLN=2.10", ("--skip-validation",), 2),
    ],
)
def test_a_large_sum_is_asked_about(
    limit: str, options: tuple[str, ...], code: int, bulk: Run, tmp_path: Path
) -> None:
    """Where there is nobody to ask nothing is sent, and no job is begun."""
    (tmp_path / "orders.csv").write_text(text(20), encoding="utf-8")

    done = bulk(
        *("run", "orders.csv", "--job", "april", "--confirm-above", limit),
        *(*OPTIONS, *options),
    )

    assert done.returncode == code
    assert (tmp_path / "april.journal").exists() is (code == 0)


def test_a_plan_that_cannot_be_keeps_no_stdin(bulk: Run, tmp_path: Path) -> None:
    """The next try finds nothing in its way."""
    done = bulk("run", "-", "--job", "nan", "--max-pause", "nan", stdin=text(20))

    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_amounts_of_the_other_unit_are_asked_about(bulk: Run, tmp_path: Path) -> None:
    """Links for a hundredth of the price are what nobody wants to send in the night."""
    (tmp_path / "orders.csv").write_text(text(20).replace(",0.", ",1"))
    options = OPTIONS[:-2]

    asked = bulk("run", "orders.csv", "--job", "asked", *options)
    sure = bulk("run", "orders.csv", "--job", "sure", *options, "--yes")
    said = bulk(
        *("run", "orders.csv", "--job", "said", *options, "--amount-unit", "minor")
    )

    assert "column total looks like major units (49.99)" in asked.stderr
    assert "Nothing was sent: --yes says" in asked.stderr
    assert "column total looks like major units (49.99)" in sure.stderr
    assert (asked.returncode, sure.returncode, said.returncode) == (2, 0, 0)


def test_amounts_that_cannot_be_minor_units_are_asked_about(
    bulk: Run, tmp_path: Path
) -> None:
    """The option that is missing is told beside the mistakes that come of it."""
    (tmp_path / "orders.csv").write_text(text(20).replace(",0.", ",1."))

    done = bulk("run", "orders.csv", "--job", "asked", *OPTIONS[:-2])

    assert done.returncode == 1
    assert "must be a whole number of minor units" in done.stderr
    assert "say which with --amount-unit" in done.stderr


def test_stdin_of_no_job_is_not_kept(bulk: Run, tmp_path: Path) -> None:
    """Where no job was begun nothing is left in the way of the next try."""
    done = bulk(
        "run", "-", "--job", "piped", stdin=text(20), CONVERGEGATE_API_KEY="no key"
    )

    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_stdin_can_be_resumed(bulk: Run, tmp_path: Path) -> None:
    """What came from stdin is kept beside the journal, for nobody else to read."""
    done = bulk("run", "-", "--job", "piped", *OPTIONS, stdin=text(20))

    again = bulk("resume", "piped")

    assert (done.returncode, again.returncode) == (0, 0)
    assert "created 20, rejected 0, unknown 0, pending 0\n" in again.stderr
    assert "In this run: nothing was left to send" in again.stderr
    assert (tmp_path / "piped.input").stat().st_mode & 0o777 == 0o600


def test_a_wrong_key_ends_the_job(bulk: Run, tmp_path: Path) -> None:
    """H16: exit code 3 and what to check, within seconds."""
    (tmp_path / "orders.csv").write_text(text(500), encoding="utf-8")

    done = bulk(
        "run",
        *("orders.csv", "--job", "april", *OPTIONS),
        CONVERGEGATE_API_KEY="sk_test_wrong",
    )

    assert done.returncode == 3
    assert "CONVERGEGATE_API_KEY" in done.stderr
    assert "sk_test_wrong" not in done.stderr


def test_a_live_key_does_not_go_on_with_a_test_job(bulk: Run, tmp_path: Path) -> None:
    """A journal belongs to one mode; the refusal names both."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    done = bulk("resume", "april", CONVERGEGATE_API_KEY="sk_live_x")

    assert done.returncode == 3
    assert "begun with a test key, and this is a live key" in done.stderr


def test_a_full_disk_stops_the_job_before_the_next_send(
    bulk: Run, tmp_path: Path
) -> None:
    """H6: no row is sent that is not in the journal first; later it goes on."""
    (tmp_path / "orders.csv").write_text(text(3_000), encoding="utf-8")

    full = bulk("run", "orders.csv", "--job", "april", *OPTIONS, limit=300_000)
    rest = bulk("resume", "april")

    assert full.returncode == 3
    assert "Traceback" not in full.stderr
    assert re.search("disk|full|I/O|write", full.stderr)
    status = states(bulk, "april")
    assert rest.returncode in (0, 5)
    assert status["created"] + status["unknown"] == 3_000  # type: ignore[operator]  # numbers
    assert bulk("verify", "april").returncode == 0


def test_links_stay_where_a_disk_is_full_until_they_are_forgotten(
    bulk: Run, tmp_path: Path
) -> None:
    """It says what to do again, which is to forget, and that ends it."""
    (tmp_path / "orders.csv").write_text(text(300), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    full = bulk("forget", "april", "--yes", limit=40_000)
    again = bulk("forget", "april", "--yes")

    assert full.returncode == 3
    assert re.search("then forget again$", full.stderr.strip())
    assert "300 links deleted" in again.stderr
    assert bulk("verify", "april").returncode == 0


@contextmanager
def at_work(
    tmp_path: Path, gateway: dict[str, str], rows: int
) -> "Iterator[subprocess.Popen[str]]":
    """Run a slow job of so many *rows*, from when it has noted some results."""
    (tmp_path / "orders.csv").write_text(text(rows), encoding="utf-8")
    with started(
        *(*PROGRAM, "bulk", "run", "orders.csv", "--job", "april", *OPTIONS),
        *("--maximum-rps", "100"),
        cwd=tmp_path,
        env={**os.environ, **gateway},
        stderr=subprocess.PIPE,
    ) as process:
        wal = tmp_path / "april.journal-wal"
        sizes: set[int] = set()
        while len(sizes) < 10:
            assert process.poll() is None
            if wal.exists():
                sizes.add(wal.stat().st_size)
            time.sleep(0.02)
        yield process


def test_ctrl_c_drains_and_says_how_to_go_on(
    bulk: Run, tmp_path: Path, gateway: dict[str, str]
) -> None:
    """H3: exit code 130, nothing left under way, and the rest is done by `resume`."""
    with at_work(tmp_path, gateway, 600) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)

    between = states(bulk, "april")
    rest = bulk("resume", "april")

    assert process.returncode == 130
    assert "convergegate bulk resume april" in stderr
    assert between["unknown"] == 0
    assert 0 < between["created"] < 600  # type: ignore[operator]  # numbers
    assert rest.returncode == 0
    assert states(bulk, "april")["created"] == 600


def test_an_input_that_has_grown_is_told(
    bulk: Run, tmp_path: Path, gateway: dict[str, str]
) -> None:
    """Its rows are sent, and no more is said to be done than there is."""
    source = tmp_path / "orders.csv"
    source.write_text(text(2), encoding="utf-8")
    bulk("run", source.name, "--job", "april", *OPTIONS, "--maximum-rps", "40")
    source.write_text(text(400), encoding="utf-8")
    words = (*PROGRAM, "bulk", "resume", "april")
    variables = {**os.environ, **gateway}
    with started(
        *words, cwd=tmp_path, env=variables, stderr=subprocess.PIPE
    ) as process:
        _, stderr = process.communicate(timeout=PATIENCE)

    numbers = re.findall(r"april: (\d+)/(\d+) rows.* (\S+) left", stderr)
    assert numbers
    assert all(int(done) <= int(total) for done, total, _ in numbers)
    assert not any(left.startswith("-1") for *_, left in numbers)
    assert "The input has grown by 398 rows" in stderr
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_closed_terminal_drains_but_for_nohup(
    bulk: Run, tmp_path: Path, gateway: dict[str, str]
) -> None:
    """No row is left in doubt, as after Ctrl-C; who ignores it, sends on."""
    with at_work(tmp_path, gateway, 600) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=PATIENCE)
    between = states(bulk, "april")
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    (tmp_path / "may").mkdir()
    try:
        with at_work(tmp_path / "may", gateway, 200) as kept:
            kept.send_signal(signal.SIGHUP)
            kept.communicate(timeout=PATIENCE)
    finally:
        signal.signal(signal.SIGHUP, handler)

    assert (process.returncode, kept.returncode) == (130, 0)
    assert between["unknown"] == 0
    assert 0 < between["created"] < 600  # type: ignore[operator]  # numbers


def test_the_status_of_a_job_that_runs_is_what_it_noted(
    bulk: Run, tmp_path: Path, gateway: dict[str, str]
) -> None:
    """Nobody opens its journal, and numbers add up; after a kill the journal tells."""
    with at_work(tmp_path, gateway, 5_000) as process:
        while not (tmp_path / "april.progress").exists():
            assert process.poll() is None
            time.sleep(0.02)
        running = states(bulk, "april")
        process.kill()
        process.communicate(timeout=PATIENCE)
    (tmp_path / "april.progress").write_text("{}")  # as if that was long ago
    killed = states(bulk, "april")

    assert running.keys() == killed.keys()
    assert running["progress"]["doing"] == "run"  # type: ignore[index]  # an object
    assert running["sessions"] is running["refunds"] is None
    for known in (running, killed):
        counts = [known[word] for word in ("created", "rejected", "unknown", "pending")]
        assert sum(map(int, map(str, counts))) == known["rows"] == 5_000
    assert killed["progress"] is None
    assert [one["status"] for one in killed["sessions"]] == [None]  # type: ignore[attr-defined]


def test_two_resumers_do_not_work_on_one_job(
    bulk: Run, tmp_path: Path, gateway: dict[str, str]
) -> None:
    """H9: the second hears that another process is at it, and sends nothing."""
    with at_work(tmp_path, gateway, 5_000) as process:
        second = bulk("resume", "april")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)

    assert second.returncode == 3
    assert "another process" in second.stderr


DAMAGES: dict[str, Callable[[Path], object]] = {
    "mark": lambda path: beside(path, "-mark").write_bytes(bytes(36)),
    "-wal": lambda path: beside(path, "-wal").write_bytes(bytes(5_000)),
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1_000),
    "overwritten": lambda path: path.write_bytes(
        path.read_bytes()[:8_192] + bytes(path.stat().st_size - 8_192)
    ),
}


def beside(path: Path, suffix: str) -> Path:
    """Return a new file beside a journal, as private as that."""
    file = path.with_name(path.name + suffix)
    file.touch(mode=0o600)
    return file


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_not_sound(damage: str, bulk: Run, tmp_path: Path) -> None:
    """`verify` prints what is wrong with it on stdout, and exits with 1."""
    (tmp_path / "orders.csv").write_text(text(300), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)
    DAMAGES[damage](tmp_path / "april.journal")

    done = bulk("verify", "april")

    assert (done.returncode, done.stderr) == (1, "")
    assert "april.journal: " in done.stdout


@pytest.mark.parametrize("fault", ["missing", "open to others"])
def test_a_journal_that_cannot_be_looked_at_is_no_verdict(
    fault: str, bulk: Run, tmp_path: Path
) -> None:
    """`verify` of a wrong name, or without the permission, exits with 3."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)
    journal = tmp_path / "april.journal"
    journal.unlink() if fault == "missing" else journal.chmod(0o644)

    done = bulk("verify", "april")

    assert (done.returncode, done.stdout) == (3, "")


SENDING = {
    "--dask": ("--dask", "local:2"),
    "--on-unknown": ("--on-unknown", "repeat"),
    "--dask and --on-unknown": ("--on-unknown", "report", "--dask", "local:2"),
}


@pytest.mark.parametrize("named", SENDING)
def test_what_says_how_to_send_goes_with_no_write_off(
    named: str, bulk: Run, tmp_path: Path
) -> None:
    """`--after-damage` sends nothing, and says so to who expects it."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)
    DAMAGES["mark"](tmp_path / "april.journal")

    done = bulk("resume", "april", "--after-damage", *SENDING[named])

    assert done.returncode == 2
    assert f"--after-damage sends nothing: leave out {named}\n" in done.stderr
    assert bulk("verify", "april").returncode == 1


def test_a_write_off_speaks_of_what_is_in_doubt(bulk: Run, tmp_path: Path) -> None:
    """How many rows, and how to find them; where all are done, only that."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    refused = "status:operation=create,status=400,times=2"
    with running_sandbox("--fault", refused, stderr=subprocess.DEVNULL) as (_, environ):
        bulk("run", "orders.csv", "--job", "april", *OPTIONS, **environ)
    bulk("run", "orders.csv", "--job", "may", *OPTIONS)
    for job in ("april", "may"):
        DAMAGES["mark"](tmp_path / f"{job}.journal")

    some, none = (bulk("resume", job, "--after-damage") for job in ("april", "may"))

    assert (some.returncode, none.returncode) == (5, 0)
    assert some.stderr == (
        "april: created 1, rejected 0, unknown 2, pending 0. 2 may have a session, and "
        "will not be sent again: `convergegate bulk reconcile april --events FILE` may "
        "find them.\n"
    )
    assert none.stderr == "may: created 3, rejected 0, unknown 0, pending 0.\n"


def test_rejected_rows_can_be_sent_again_as_they_are(bulk: Run, tmp_path: Path) -> None:
    """It is told after a run that has such, and not where rows cannot be sent."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    (tmp_path / "bad.csv").write_text(text(3).replace("A-1,", ","))
    refused = "status:operation=create,status=400,times=1"
    with running_sandbox("--fault", refused, stderr=subprocess.DEVNULL) as (_, environ):
        rejected = bulk("run", "orders.csv", "--job", "april", *OPTIONS, **environ)
        words = ("run", "bad.csv", "--job", "may", *OPTIONS, "--skip-validation")
        invalid = bulk(*words, **environ)
        again = bulk("retry-failed", "april", **environ)

    hint = "sent again as it is: `convergegate bulk retry-failed april`.\n"
    assert (rejected.returncode, hint in rejected.stderr) == (4, True)
    assert (invalid.returncode, "bulk retry-failed" in invalid.stderr) == (4, False)
    assert (again.returncode, "bulk retry-failed" in again.stderr) == (0, False)


def test_rows_that_cannot_be_sent_are_none_of_a_run_that_sends_nothing(
    bulk: Run, tmp_path: Path
) -> None:
    """They are met again each time, and are told apart from what a run has sent."""
    rows = [HEADER, line(1), line(2, total="x"), line(3)]
    (tmp_path / "orders.csv").write_text("\n".join(rows))
    bulk("run", "orders.csv", "--job", "april", *OPTIONS, "--skip-validation")

    again = bulk("resume", "april")

    assert "april: created 2, rejected 1, unknown 0, pending 0\n" in again.stderr
    assert "In this run: nothing was left to send, invalid 1\n" in again.stderr


def test_a_row_with_the_id_of_an_earlier_one_is_told(bulk: Run, tmp_path: Path) -> None:
    """It is in no file to mend, and may be another customer's order."""
    source = tmp_path / "orders.csv"
    rows = [HEADER, line(1), line(2), line(3, order="A-1"), line(4, total="x")]
    source.write_text("\n".join(rows))

    done = bulk("run", source.name, "--job", "april", *OPTIONS, "--skip-validation")
    source.write_text("\n".join([*rows[:3], line(3), rows[4]]))
    again = bulk("resume", "april")

    assert "april: created 2, rejected 2, unknown 0, pending 0\n" in done.stderr
    assert (
        "line 4: has the id of an earlier row: not sent, and in no file. Another order "
        "needs an id of its own, then `convergegate bulk resume april`.\n"
    ) in done.stderr
    assert len((tmp_path / "april.failed.csv").read_text().splitlines()) == 2
    assert "april: created 3, rejected 1, unknown 0, pending 0\n" in again.stderr
    assert "earlier row" not in again.stderr


def test_the_status_of_a_job_tells_that_it_was_written_off(
    bulk: Run, tmp_path: Path
) -> None:
    """Since when, in either output, and that nothing is sent any more."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)
    before = bulk("status", "april")
    DAMAGES["mark"](tmp_path / "april.journal")
    bulk("resume", "april", "--after-damage")

    after = bulk("status", "april")
    moment = states(bulk, "april")["damaged"]

    assert "damaged" not in before.stdout
    assert before.stderr == ""
    assert datetime.fromisoformat(str(moment)).tzinfo is UTC
    assert f"damaged      {moment}\n" in after.stdout
    assert "is sent any more, nor paid back" in after.stderr


def test_dask_needs_keys_that_are_honoured(bulk: Run, tmp_path: Path) -> None:
    """A lost worker's rows are sent again: without honoured keys that is refused."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")

    done = bulk("run", "orders.csv", "--job", "april", *OPTIONS, "--dask", "local:2")

    assert done.returncode == 2
    assert "--keys-honoured" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "nobody"),
        ("resume", "nobody"),
        ("run", "missing.csv", "--job", "x"),
        ("run", "orders.xls", "--job", "x"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_explained_in_a_sentence(
    arguments: tuple[str, ...], bulk: Run
) -> None:
    """No traceback, one line, exit code 3."""
    done = bulk(*arguments)

    assert done.returncode == 3
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_letters_of_an_earlier_run_do_not_outlive_it(bulk: Run, tmp_path: Path) -> None:
    """Once all rows have a session there is no file that would open them again."""
    (tmp_path / "april.failed.csv").write_text("of an earlier run")
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")

    bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    assert not (tmp_path / "april.failed.csv").exists()


def test_letters_that_cannot_be_written_hide_nothing(bulk: Run, tmp_path: Path) -> None:
    """What became of the rows is told, and a later run writes them."""
    (tmp_path / "orders.csv").write_text(text(3), encoding="utf-8")
    letters = tmp_path / "april.failed.csv"
    letters.mkdir()
    faults = ("lost:operation=create,times=1", "status:operation=create,status=402")
    words = [word for fault in faults for word in ("--fault", fault)]
    with running_sandbox(*words, stderr=subprocess.DEVNULL) as (_, environ):
        done = bulk(*("run", "orders.csv", "--job", "april", *OPTIONS), **environ)
        letters.rmdir()
        again = bulk("resume", "april", **environ)

    assert "april: created 0, rejected 2, unknown 1, pending 0\n" in done.stderr
    assert "1 row may or may not have a session" in done.stderr
    assert "april.failed.csv is not a regular file" in done.stderr
    assert (done.returncode, again.returncode) == (5, 5)
    assert len(letters.read_text().splitlines()) == 3


def test_an_input_that_breaks_off_hides_no_row_that_was_sent(
    bulk: Run, tmp_path: Path
) -> None:
    """What became of those before is told beside the error."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    header, *lines = [row.split(",") for row in text(2_000).splitlines()]
    columns = dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))
    source = tmp_path / "orders.parquet"
    parquet.write_table(arrow.table(columns), source, row_group_size=500)
    group = parquet.ParquetFile(source).metadata.row_group(3)
    with source.open("r+b") as file:
        file.seek(group.column(0).dictionary_page_offset)
        file.write(bytes(64))

    done = bulk("run", source.name, "--job", "april", *OPTIONS, "--skip-validation")

    assert re.search(r"^april: created [1-9]", done.stderr, re.MULTILINE)
    assert "cannot be read as Parquet after row" in done.stderr
    assert done.returncode == 3


def test_an_input_is_not_written_over(bulk: Run, tmp_path: Path) -> None:
    """A job whose letters would replace its input is refused by name."""
    (tmp_path / "april.failed.csv").write_text(text(3), encoding="utf-8")

    done = bulk("run", "april.failed.csv", "--job", "april", *OPTIONS)

    assert done.returncode == 3
    assert "would be written over" in done.stderr


def test_a_place_that_cannot_be_written_is_named(bulk: Run, tmp_path: Path) -> None:
    """An export into a folder that is not there ends in a sentence."""
    (tmp_path / "orders.csv").write_text(text(1), encoding="utf-8")
    bulk("run", "orders.csv", "--job", "april", *OPTIONS)

    done = bulk("export", "april", "--output", "nowhere/results.csv")

    assert done.returncode == 3
    assert "nowhere/results.csv cannot be written" in done.stderr
