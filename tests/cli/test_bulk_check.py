"""``convergegate bulk check``: what a file comes to, without a gateway."""

import csv
import json
from pathlib import Path

import pytest
from programs import call

HEADER = (
    "id,amount,currency,customer_email,customer_firstname,customer_lastname,"
    "customer_phone,success_url,metadata[note],expires_at"
)
GOOD = (
    "A-1,4999,pln,zaneta@example.com,Żaneta,Doe,+48123456789,"
    "https://shop.example/thanks,gift,2096-12-31T23:59+01:00"
)
BAD = GOOD.replace("A-1", "A-2").replace("4999", "secret").replace("+48123456789", "1")
READ_AS = "read as: , · UTF-8 · Europe/Warsaw\n"
SUMS = "1 row\nPLN 49.99 in 1 row, from 49.99 to 49.99\n"
SAMPLE = """
The first of them, as they would be sent:

  line 2, A-1
    amount               49.99 PLN
    customer_email       zaneta@example.com
    customer_firstname   Żaneta
    customer_lastname    Doe
    customer_phone       +48123456789
    success_url          https://shop.example/thanks
    expires_at           2096-12-31 23:59:00 UTC+01:00
    metadata[note]       gift
"""


def check(folder: Path, *lines: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """Check a file of such *lines*; return the exit code and what stdout got."""
    (folder / "orders.csv").write_text("\n".join((HEADER, *lines)), encoding="utf-8")
    done = call("bulk", "check", "orders.csv", *options, cwd=str(folder))
    return done.returncode, done.stdout


def test_a_file_is_shown_as_it_would_be_sent(tmp_path: Path) -> None:
    """No key, no gateway, no journal: sums, and rows as they were read."""
    assert check(tmp_path, GOOD) == (0, READ_AS + SUMS + SAMPLE)
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]


def test_mistakes_are_grouped_and_repeat_no_value(tmp_path: Path) -> None:
    """A mistake of many rows is one line with the first of them; exit code 1."""
    code, out = check(tmp_path, GOOD, *[BAD] * 7)

    assert code == 1
    assert out.removeprefix(READ_AS).startswith("8 rows, 7 of them cannot be sent\n")
    assert (
        "\nlines 3, 4, 5, 6, 7 and 2 more, column customer_phone: "
        "must be a phone number in E.164 (+48123456789)\n"
    ) in out
    assert "secret" not in out


def test_rows_are_good_or_bad_or_there_before(tmp_path: Path) -> None:
    """What is wrong but for an id that was given twice is counted apart."""
    code, out = check(tmp_path, GOOD, BAD, GOOD, BAD, GOOD)
    _, written = check(tmp_path, GOOD, BAD, GOOD, options=("--output", "json"))

    sums = "5 rows, 2 of them cannot be sent, 2 with the id of an earlier one\n"
    assert (code, out.removeprefix(READ_AS).startswith(sums)) == (1, True)
    assert [json.loads(written)[name] for name in ("rows", "invalid", "repeated")] == [
        3,
        1,
        1,
    ]


def test_all_problems_go_to_a_new_file(tmp_path: Path) -> None:
    """By line, id, column and reason; what is there is not written over."""
    options = ("--problems", "problems.csv")
    code, _ = check(tmp_path, GOOD, *[BAD] * 7, options=options)
    written = (tmp_path / "problems.csv").read_text(encoding="utf-8")
    again, _ = check(tmp_path, GOOD, options=options)

    assert (tmp_path / "problems.csv").stat().st_mode & 0o777 == 0o600
    problems = [*csv.DictReader(written.splitlines())]
    assert (code, again) == (1, 3)
    assert len(problems) == 7 + 7 + 6  # amounts, telephones, ids
    assert problems[0] == {
        "line": "3",
        "id": "A-2",
        "column": "amount",
        "reason": "must be a whole number of minor units, unless the amount unit is "
        "major",
    }
    assert (tmp_path / "problems.csv").read_text(encoding="utf-8") == written


@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-8", b"\xef\xbb\xbf"), ("cp1250", b"")]
)
def test_a_file_for_problems_is_opened_where_the_input_was(
    encoding: str, mark: bytes, tmp_path: Path
) -> None:
    """It has the delimiter, the encoding and the mark that the spreadsheet knows."""
    rows = [line.replace(",", ";") for line in (HEADER, GOOD, BAD.replace("A-2", "Ż"))]
    (tmp_path / "orders.csv").write_bytes("\n".join(rows).encode(encoding))

    words = ("bulk", "check", "orders.csv", "--problems", "new.csv")
    call(*words, cwd=str(tmp_path))

    written = (tmp_path / "new.csv").read_bytes()
    head, problem, *_ = written.removeprefix(mark).decode(encoding).splitlines()
    assert written.startswith(mark)
    assert head == "line;id;column;reason"
    assert problem.startswith("3;Ż;amount;must be a whole number")


@pytest.mark.parametrize("command", [("check",), ("run", "--job", "april")])
def test_a_file_for_problems_is_looked_at_first(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """It is there, or its folder is not: nothing is read or shown before that."""
    (tmp_path / "old.csv").write_text("mine")
    name, *job = command
    for path, reason in (("old.csv", "File exists"), ("no/x.csv", "there is no fo")):
        words = ("bulk", name, "missing.csv", *job, "--problems", path)
        done = call(*words, cwd=str(tmp_path))

        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith(f"Error: cannot write {path}: {reason}")
    assert (tmp_path / "old.csv").read_text() == "mine"


def test_problems_are_kept_of_what_is_checked(tmp_path: Path) -> None:
    """A run that checks nothing has none to keep."""
    words = ("bulk", "run", "missing.csv", "--job", "april", "--skip-validation")

    done = call(*words, "--problems", "new.csv", cwd=str(tmp_path))

    assert done.returncode == 2
    assert "--skip-validation does not look for" in done.stderr


def test_programs_read_it_as_json(tmp_path: Path) -> None:
    """Amounts are in minor units, and there is nothing personal in it."""
    code, out = check(tmp_path, GOOD, BAD, options=("--output", "json"))

    found = json.loads(out)
    assert code == 1
    assert found["rows"] == 2
    assert found["amounts"]["PLN"] == {
        "rows": 1,
        "total": 4999,
        "smallest": 4999,
        "largest": 4999,
    }
    assert found["read_as"] == [",", "UTF-8", "Europe/Warsaw"]
    assert [column for one in found["mistakes"] for column in one["columns"]] == [
        "amount",
        "customer_phone",
    ]
    assert "example.com" not in out


def test_what_may_be_a_slip_is_noted(tmp_path: Path) -> None:
    """It is no mistake, and may be one: ids, units, and a currency's typo."""
    rows = [GOOD.replace("4999", "49").replace("A-1", "1E+05"), GOOD]
    rows.append(GOOD.replace("4999", "59").replace("pln", "plm").replace("A-1", "A-2"))
    (tmp_path / "orders.csv").write_text("\n".join((HEADER, *rows)))

    done = call("bulk", "check", "orders.csv", cwd=str(tmp_path))

    assert done.returncode == 0
    assert "does not know PLM. Did you mean PLN?" in done.stdout
    assert "Note: column amount looks like major units (49.99)" in done.stderr
    assert "Note: 1 id in column id may have been rounded by a spread" in done.stderr


def test_the_file_of_an_accountant_is_read(tmp_path: Path) -> None:
    """Semicolons, Windows-1250, decimal commas and local times, found and told."""
    row = (
        "A-1;1 234,50;pln;a@b.pl;Żaneta;Łoś;+48123456789;https://b.pl;;31.12.2096 23:59"
    )
    lines = (HEADER.replace(",", ";"), row, ";" * 9)
    (tmp_path / "orders.csv").write_bytes("\r\n".join(lines).encode("cp1250"))

    done = call(
        *("bulk", "check", "orders.csv", "--amount-unit", "major"), cwd=str(tmp_path)
    )

    assert done.returncode == 0
    assert done.stdout.startswith(
        "read as: ; · Windows-1250 · 49,99 · 31.12.2026 23:59, Europe/Warsaw\n"
        "1 row\nPLN 1\u202f234.50 in 1 row"
    )
    assert "    customer_lastname    Łoś\n" in done.stdout
    assert "    expires_at           2096-12-31 22:59:00 UTC\n" in done.stdout


def test_mistakes_name_their_remedies(tmp_path: Path) -> None:
    """One row in euro takes the zone from all; a day that is none, a phone's country.

    Times that have no zone are told at the top, with why, and by their rows.
    """
    late = GOOD.replace("2096-12-31T23:59+01:00", "31.12.2096 12:00")
    rows = [
        late.replace("pln", "eur"),
        late.replace("A-1", "A-2").replace("31.12.", "31.02."),
        GOOD.replace("A-1", "A-3").replace("+48123456789", "601 234 567"),
    ]

    code, out = check(tmp_path, *rows)

    assert code == 1
    assert "times need a zone (--timezone), as not all is paid in PLN\n" in out
    assert "line 2, column expires_at: needs a time zone: say which with --tim" in out
    assert "line 3, column expires_at: must be a time that is in the calendar" in out
    assert "line 4, column customer_phone: must be a phone number in E.164" in out
    assert "unless --default-country tells its country, such as PL\n" in out


def test_how_it_cannot_be_read_is_told(tmp_path: Path) -> None:
    """By options, each of which is named, with exit code 2, where it cannot be."""
    (tmp_path / "orders.csv").write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
    wrongs = {
        "--delimiter": ("abc", "the delimiter must be comma"),
        "--encoding": ("ebcdic", "the encoding must be one of utf-8"),
        "--timezone": ("Warsaw", "no time zone is called Warsaw"),
        "--date-format": ("%d.%m.", "date_format must tell year"),
        "--default-country": ("Poland", "default_country must be two letters"),
        "--row-metadata": ("[", "no request field is called metadata[[]"),
    }

    for option, (value, words) in wrongs.items():
        done = call("bulk", "check", "orders.csv", option, value, cwd=str(tmp_path))
        said = f"Error: Invalid value for '{option}': {words}"
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1].startswith(said)


def test_what_is_the_same_in_every_row_needs_no_column(tmp_path: Path) -> None:
    """It is set once; columns that nobody asks for are left out all at once."""
    header = HEADER.partition(",success_url")[0].upper()
    row = GOOD.partition(",https")[0]
    (tmp_path / "orders.csv").write_text(f"{header},NOTES\n{row},x\n")

    done = call(
        *(
            "bulk",
            "check",
            "orders.csv",
            "--set",
            "success_url=https://shop.example/ok",
        ),
        *("--set", "metadata[campaign]=a=b", "--ignore-extra"),
        cwd=str(tmp_path),
    )

    assert done.returncode == 0
    assert "    success_url          https://shop.example/ok\n" in done.stdout
    assert "    metadata[campaign]   a=b\n" in done.stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "has no header"), ("id\n", "has no column for"), (None, "No such file")],
)
def test_what_is_no_table_is_told_in_a_sentence(
    tmp_path: Path, content: str | None, words: str
) -> None:
    """The file as a whole: nothing of it was read."""
    if content is not None:
        (tmp_path / "orders.csv").write_text(content)

    done = call("bulk", "check", "orders.csv", cwd=str(tmp_path))

    assert (done.returncode, done.stdout) == (3, "")
    assert words in done.stderr
