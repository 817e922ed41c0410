"""``bulk export`` as the accountant meets it: beside the input, as the input is."""

import csv
import io
import json
from pathlib import Path

import pytest
from programs import bulk, run, shell_needed

from convergegate_async.bulk import Journal
from convergegate_async.sandbox import Sandbox

pytest.importorskip("phonenumbers")

HEADER = "nr;kwota;waluta;e-mail;imię;nazwisko;telefon;uwagi"
OPTIONS = (
    *("--id-column", "nr", "--amount-unit", "major", "--default-country", "PL"),
    *("--map", "kwota=amount", "--map", "waluta=currency", "--ignore-extra"),
    *("--map", "e-mail=customer_email", "--map", "imię=customer_firstname"),
    *("--map", "nazwisko=customer_lastname", "--map", "telefon=customer_phone"),
    *("--set", "success_url=https://shop.example/thanks", "--yes"),
)
NOTES = ("0012", "=1+1", "+48 601 234 567", 'z "dostawą"; pilne')


def files_in(folder: Path) -> list[Path]:
    """Return what is in *folder*."""
    return sorted(folder.iterdir())


@pytest.fixture
async def folder(sandbox: Sandbox, tmp_path: Path) -> Path:
    """Where the job ``maj`` has opened the sessions of a Polish spreadsheet."""
    lines = [HEADER]
    for number, note in enumerate(NOTES, 1):
        spelled = note.replace('"', '""')
        lines.append(
            f"ZAM/{number};1 234,{number}0;PLN;klient{number}@example.pl;Łukasz;"
            f'Gżegżółka;60123456{number};"{spelled}"'
        )
    (tmp_path / "zam.csv").write_bytes("\r\n".join(lines).encode("cp1250"))
    done = await bulk(sandbox, tmp_path, "run", "zam.csv", "--job", "maj", *OPTIONS)
    assert done.code == 0, done.err
    return tmp_path


async def test_an_export_is_the_spreadsheet_with_what_became_of_it(
    sandbox: Sandbox, folder: Path
) -> None:
    """In its dialect, with its cells as they were, and what was paid."""
    paid = next(iter(sandbox.book.sessions.values()))
    sandbox.book.pay(paid, "123456")
    await bulk(sandbox, folder, "refresh", "maj")

    words = ("export", "maj", "--output", "wynik.csv", "--bom")
    done = await bulk(sandbox, folder, *words)

    assert (done.code, done.err) == (0, "4 rows written.\n")
    text = (folder / "wynik.csv").read_bytes().decode("utf-8-sig")
    assert (folder / "wynik.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert text.startswith(f"{HEADER};cg_line;cg_row_id;cg_state;")
    rows = [*csv.DictReader(io.StringIO(text, newline=""), delimiter=";")]
    assert [row["kwota"] for row in rows] == [f"1 234,{n}0" for n in range(1, 5)]
    assert [row["cg_amount"] for row in rows] == [f"1234,{n}0" for n in range(1, 5)]
    assert [row["uwagi"] for row in rows] == [NOTES[0], f"'{NOTES[1]}", *NOTES[2:]]
    assert {row["cg_state"] for row in rows} == {"created"}
    statuses = {row["cg_session_id"]: row["cg_status"] for row in rows}
    assert statuses.pop(paid.id) == "completed"
    assert {*statuses.values()} == {"open"}


async def test_an_export_is_read_as_the_input_was(
    sandbox: Sandbox, folder: Path
) -> None:
    """By the same options, from a workbook, too."""
    pytest.importorskip("openpyxl")
    for name in ("wynik.csv", "wynik.xlsx"):
        await bulk(sandbox, folder, "export", "maj", "--output", name)

        done = await bulk(sandbox, folder, "check", name, *OPTIONS[:-1])

        assert done.code == 0, done.err
        assert "PLN 4 937.00 in 4 rows" in done.out.replace("\u202f", " ")


async def test_an_export_is_asked_about_before_its_rows_are_sent_again(
    sandbox: Sandbox, folder: Path
) -> None:
    """Under another name each of them would get a second session."""
    await bulk(sandbox, folder, "export", "maj", "--output", "wynik.csv")
    words = ("run", "wynik.csv", "--job", "czerwiec", *OPTIONS)

    asked = await bulk(sandbox, folder, *[word for word in words if word != "--yes"])
    assert asked.code == 2
    assert "4 rows of a job that has sent them (cg_state) would be" in asked.err
    assert len(sandbox.book.sessions) == len(NOTES)

    sure = await bulk(sandbox, folder, *words)
    assert (sure.code, len(sandbox.book.sessions)) == (0, 2 * len(NOTES))


async def test_a_dialect_can_be_said(sandbox: Sandbox, folder: Path) -> None:
    """And for what is not CSV there is none to say."""
    dialect = ("--delimiter", "tab", "--decimal", ".")

    done = await bulk(sandbox, folder, "export", "maj", *dialect)
    refused = await bulk(
        sandbox, folder, "export", "maj", "--format", "jsonl", *dialect
    )

    assert done.out.startswith(HEADER.replace(";", "\t"))
    assert "\t1234.10\t" in done.out
    assert (refused.code, refused.out) == (3, "")
    assert "only CSV" in refused.err


async def test_what_left_the_input_is_told_at_the_end(
    sandbox: Sandbox, folder: Path
) -> None:
    """With a note; and all of it, where the input has left as a whole."""
    source = folder / "zam.csv"
    lines = source.read_bytes().split(b"\r\n")
    source.write_bytes(b"\r\n".join([*lines[:2], *lines[3:]]))
    some = await bulk(sandbox, folder, "export", "maj", "--format", "jsonl")
    source.rename(folder / "elsewhere.csv")
    none = await bulk(sandbox, folder, "export", "maj", "--format", "jsonl")
    asked = await bulk(
        sandbox, folder, "export", "maj", "--format", "jsonl", "--without-input"
    )

    assert "1 row of them, at the end" in some.err
    ids = [json.loads(line)["cg_row_id"] for line in some.out.splitlines()]
    assert ids == ["ZAM/1", "ZAM/3", "ZAM/4", "ZAM/2"]
    assert "Without the columns of the input: cannot read" in none.err
    assert none.out == asked.out
    assert asked.err == "4 rows written.\n"
    assert "kwota" not in none.out


async def test_rows_by_completion_are_without_the_input(
    sandbox: Sandbox, folder: Path
) -> None:
    """They are in the order in which they came to an end."""
    words = ("export", "maj", "--order", "completion", "--format", "jsonl")

    done = await bulk(sandbox, folder, *words)

    lines = [json.loads(line) for line in done.out.splitlines()]
    made = [*sandbox.book.sessions]
    assert {line["cg_session_id"] for line in lines} == {*made}
    assert all(name.startswith("cg_") for line in lines for name in line)


async def test_an_export_waits_for_no_other_process(
    sandbox: Sandbox, folder: Path
) -> None:
    """It says whom to wait for, and leaves the old file."""
    (folder / "wynik.csv").write_text("old")

    with Journal.open(folder / "maj.journal"):
        done = await bulk(sandbox, folder, "export", "maj", "--output", "wynik.csv")

    assert done.code == 3
    assert "another process works on this job" in done.err
    assert (folder / "wynik.csv").read_text() == "old"


async def test_the_input_is_not_written_over(sandbox: Sandbox, folder: Path) -> None:
    """It would be gone, and with it what the job is resumed by."""
    before = (folder / "zam.csv").read_bytes()

    done = await bulk(sandbox, folder, "export", "maj", "--output", "zam.csv")

    assert (done.code, "zam.csv belongs to the job" in done.err) == (3, True)
    assert (folder / "zam.csv").read_bytes() == before


async def test_no_file_of_the_job_is_written_over(
    sandbox: Sandbox, folder: Path
) -> None:
    """Of the journal above all, which would be refused from then on."""
    suffixes = ("", "-wal", "-shm", "-mark")
    names = [f"maj.journal{suffix}" for suffix in suffixes]
    names += ["maj.progress", "maj.progress.new", "maj.input"]
    names += [f"maj.failed.{kind}" for kind in ("csv", "jsonl", "parquet")]
    there = files_in(folder)

    for name in names:
        words = ("export", "maj", "--format", "csv", "--output", name)
        done = await bulk(sandbox, folder, *words)

        assert (done.code, f"{name} belongs to the job" in done.err) == (3, True)
    assert files_in(folder) == there


@shell_needed
async def test_a_link_is_written_through(sandbox: Sandbox, folder: Path) -> None:
    """Into what it stands for, also if that is not there yet, or is stdout."""
    links = {"old.csv": "real.csv", "new.csv": "made.csv", "out.csv": "/dev/stdout"}
    (folder / "real.csv").write_text("old")
    for name, target in links.items():
        (folder / name).symlink_to(target)

    done = [
        await run(
            *(sandbox, "bulk", "export", "maj", "--output", name),
            cwd=folder,
            streams="> red.csv",
        )
        for name in links
    ]

    assert [one.code for one in done] == [0, 0, 0]
    assert all((folder / name).is_symlink() for name in links)
    texts = {(folder / name).read_text() for name in ("real.csv", "made.csv")}
    assert texts == {(folder / "red.csv").read_text()}


@shell_needed
async def test_what_is_no_file_is_not_replaced_by_a_link_to_it(
    sandbox: Sandbox, folder: Path
) -> None:
    """A pipe that is stdout is told from a file, and the link stays."""
    (folder / "out.csv").symlink_to("/dev/stdout")

    done = await run(
        *(sandbox, "bulk", "export", "maj", "--output", "out.csv"),
        cwd=folder,
        streams="2>&1",
    )

    assert (done.code, "out.csv is not a regular file" in done.out) == (3, True)
    assert (folder / "out.csv").is_symlink()


async def test_refunds_are_a_table_of_their_own(sandbox: Sandbox, folder: Path) -> None:
    """In the dialect of the input, too."""
    for session in sandbox.book.sessions.values():
        sandbox.book.pay(session, "123456")
    await bulk(sandbox, folder, "refresh", "maj")
    words = ("refund", "maj", "--batch", "zwrot", "--where", "status=completed")
    shown = await bulk(sandbox, folder, *words, "--full", "--dry-run")
    await bulk(sandbox, folder, *words, "--full", *shown.out.split())

    done = await bulk(sandbox, folder, "export", "maj", "--refunds")
    wrong = await bulk(
        sandbox, folder, "export", "maj", "--refunds", "--order", "completion"
    )

    assert (done.code, done.err) == (0, "4 refunds written.\n")
    rows = [*csv.DictReader(io.StringIO(done.out, newline=""), delimiter=";")]
    assert [row["cg_row_id"] for row in rows] == [f"ZAM/{n}" for n in range(1, 5)]
    assert [row["cg_amount"] for row in rows] == [f"1234,{n}0" for n in range(1, 5)]
    assert {(row["cg_batch"], row["cg_state"]) for row in rows} == {
        ("zwrot", "created")
    }
    assert wrong.code == 2
