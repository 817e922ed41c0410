"""Values that options cannot have: wrong usage, before a file or journal is opened."""

from pathlib import Path

import pytest
from programs import call

BATCH = ("refund", "april", "--batch", "may", "--full", "--rows", "rows.csv")


@pytest.mark.parametrize(
    ("words", "option", "reason"),
    [
        (("status", "../etc"), "JOB", "must be 1 to 64"),
        (("run", "rows.csv", "--job", "a/b"), "--job", "must be 1 to 64"),
        (("resume", "april", "--max-pause", "nan"), "--max-pause", "must be a finite"),
        (("resume", "april", "--max-outage", "0"), "--max-outage", "0.0 is not in"),
        (("refresh", "april", "--maximum-rps", "inf"), "--maximum-rps", "must be a fi"),
        ((*BATCH, "--batch", "@"), "--batch", "must be 1 to 64"),
        ((*BATCH, "--delimiter", "abc"), "--delimiter", "the delimiter must be"),
        ((*BATCH, "--encoding", "ebcdic"), "--encoding", "the encoding must be"),
        (("export", "april", "--delimiter", ""), "--delimiter", "the delimiter must"),
        (("refresh", "april", "--every", "often"), "", "a duration is a number"),
        (("export", "april", "--output", "a.doc"), "", "cannot tell the format"),
        (("check", "rows.csv", "--map", "id=nobody"), "", "no request field is called"),
        (("check", "rows.csv", "--set", "currency=pln", "--map", "a=currency"), "", ""),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_a_value_that_cannot_be_is_wrong_usage(
    tmp_path: Path, words: tuple[str, ...], option: str, reason: str
) -> None:
    """Exit code 2, and a sentence that names the option if it alone is wrong."""
    (tmp_path / "rows.csv").write_text("id\n")

    done = call("bulk", *words, cwd=str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    where = f" for '{option}'" if option else ""
    said = f"Error: Invalid value{where}: {reason}"
    assert done.stderr.splitlines()[-1].startswith(said)
