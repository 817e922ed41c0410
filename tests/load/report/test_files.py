"""A report as files: whole or not at all, of the kind that the name says."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from load_reports import report_of

from convergegate_async.errors import ConfigurationError
from convergegate_async.load.report.charts import has_charts
from convergegate_async.load.report.data import LoadReport
from convergegate_async.load.report.files import KINDS, kind_of, write_report

REPORT = report_of(3, 20, errors=0.1)


@pytest.mark.parametrize("suffix", [kind for kind in KINDS if kind != ".png"])
def test_a_name_says_what_is_written(tmp_path: Path, suffix: str) -> None:
    """Nothing else is left in the folder, and a page has its raw figures beside it."""
    path = tmp_path / f"run{suffix.upper() if suffix == '.md' else suffix}"

    written = write_report(REPORT, path)

    assert written[0] == path
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert len(written) == (3 if suffix == ".html" else 1)
    assert path.stat().st_mode & 0o044


def test_each_kind_can_be_read(tmp_path: Path) -> None:
    """By browsers, by us, by CI, and by HdrHistogram's own tools."""
    write_report(REPORT, tmp_path / "run.html")
    write_report(REPORT, tmp_path / "run.xml")

    read = {path.suffix: path.read_bytes() for path in tmp_path.iterdir()}
    assert read[".html"].startswith(b"<!DOCTYPE html>")
    assert LoadReport.from_json(read[".json"].decode()).counts == REPORT.counts
    assert b"1/(1-Percentile)" in read[".hgrm"].splitlines()[0]
    assert ET.fromstring(read[".xml"]).tag == "testsuite"  # noqa: S314 -- our own


@pytest.mark.skipif(not has_charts(), reason="needs the extra charts")
def test_a_picture_is_a_png(tmp_path: Path) -> None:
    """Of a run, and of one that sent nothing."""
    for name, report in (("run", REPORT), ("empty", report_of(0))):
        path = tmp_path / f"{name}.png"

        assert write_report(report, path) == (path,)
        assert path.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("name", "extra", "missing"),
    [("run.png", "charts", "altair"), ("run.html", "load", "jinja2")],
)
def test_without_its_extra_a_report_is_refused_before_the_run(
    name: str, extra: str, missing: str
) -> None:
    """With what has to be installed for it: no load test is made for nothing."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from convergegate_async.cli import main\n"
        "main()"
    )

    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", program, "load", "run", "--rate=1", "--report", name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (3, "")
    assert f'{name[3:]} needs the extra "{extra}"' in done.stderr
    assert f"convergegate-async[{extra}]" in done.stderr


@pytest.mark.parametrize("name", ["run", "run.pdf", "run.html.gz", ".html"])
def test_another_name_is_refused(tmp_path: Path, name: str) -> None:
    """Before anything is written; what can be is told."""
    with pytest.raises(ConfigurationError, match=r"\.hgrm"):
        write_report(REPORT, tmp_path / name)

    assert not list(tmp_path.iterdir())


def test_a_suffix_may_be_in_capitals() -> None:
    """As some systems have it."""
    assert kind_of(Path("RUN.HTML")) == ".html"


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A folder is in the way: what was there stays."""
    (tmp_path / "run.json").mkdir()

    with pytest.raises(OSError, match=r"run\.json"):
        write_report(REPORT, tmp_path / "run.json")

    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """By one of the same name."""
    path = tmp_path / "run.md"
    path.write_text("old")

    write_report(REPORT, path)

    assert "planned" in path.read_text()
