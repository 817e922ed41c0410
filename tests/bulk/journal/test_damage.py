"""What was lost, swapped or changed is refused; what a kill leaves is taken."""

import asyncio
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import attrs
import pytest
from harness.recorded_job import JOURNAL, Shop, header
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from journal_damage import judge, leftovers, mutations, recorded

from convergegate_async.bulk.journal.commit_mark import Mark
from convergegate_async.bulk.journal.file_condition import Condition, Usage, damage
from convergegate_async.bulk.journal.files import JournalFiles
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import (
    DamagedJournalError,
    Intent,
    JournalError,
    RowResult,
    State,
)
from convergegate_async.bulk.journal.salvage import damaged_header, write_off
from convergegate_async.bulk.journal.schema import VERSION
from convergegate_async.bulk.journal.wal import PAGE_SIZE, holds_commit

SALT = b"salt, 16 bytes !"
few = settings(max_examples=50, deadline=None)
numbers = st.integers(0, 2**64 - 1)
marks = st.builds(Mark, st.binary(min_size=16, max_size=16), numbers, numbers)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where there is no journal yet."""
    return tmp_path / "april.journal"


# -- the mark ------------------------------------------------------------------------


@given(mark=marks)
def test_a_mark_comes_back(mark: Mark) -> None:
    """What is packed, in 36 bytes, is unpacked again."""
    assert len(mark.pack()) == 36
    assert Mark.unpack(mark.pack()) == mark


@given(mark=marks, data=st.data())
def test_a_changed_mark_does_not_check(mark: Mark, data: st.DataObject) -> None:
    """A mark that was cut, or of which a byte has changed, says nothing."""
    packed = bytearray(mark.pack())
    place = data.draw(st.integers(0, len(packed) - 1))

    assert Mark.unpack(bytes(packed[:place])) is None

    packed[place] ^= data.draw(st.integers(1, 255))
    assert Mark.unpack(bytes(packed)) is None


# -- the judgement -------------------------------------------------------------------


def usage(commit: int, *, in_use: bool = True) -> Usage:
    """Return what a database says of its use."""
    return Usage(
        version=2, job_salt=SALT, commit_salt=SALT, commit=commit, in_use=in_use
    )


def condition(
    alone: int, whole: int, *mark: int, wal: bool | None = None, in_use: bool = True
) -> Condition:
    """Return the condition of a journal, by the numbers of its commits.

    Args:
        alone: Of the file alone.
        whole: Of the file and its WAL.
        mark: Those of the mark, if there is one.
        wal: Whether the WAL holds a commit; if the numbers say so by default.
        in_use: Whether a process works on it, or has died.
    """
    has_wal = whole > alone if wal is None else wal
    return Condition(
        whole=usage(whole, in_use=in_use),
        alone=usage(alone, in_use=in_use),
        has_wal=has_wal,
        wal_commits=has_wal,
        has_mark=bool(mark),
        mark=Mark(SALT, *mark) if mark else None,
    )


TAKEN = {
    "closed": condition(7, 7, in_use=False),
    "mark made, nothing else": condition(7, 7, 7, 7, in_use=False),
    "in use, nothing sent": condition(7, 8, 7, 7),
    "in use, in the file itself": condition(8, 8, 8, 8),
    "killed before the mark was told": condition(8, 10, 9, 8),
    "killed after": condition(8, 10, 10, 8),
    "killed after a checkpoint": condition(10, 10, 10, 8, wal=True),
    "checkpoint and its mark, WAL begun anew": condition(10, 10, 10, 10, wal=False),
    "said to be closed": condition(10, 11, 10, 10, in_use=False),
    "closed, with its mark": condition(11, 11, 10, 10, in_use=False),
    "power cut took what the mark was told": condition(8, 10, 8, 8),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_a_process_leaves_is_taken(name: str) -> None:
    """Wherever it was killed, or the power was cut."""
    assert damage(TAKEN[name]) is None


REFUSED = {
    "mark is missing": condition(8, 10, wal=False),
    "without a mark": condition(8, 10, in_use=False),
    "knows of commit 10, and its files only of 9": condition(8, 9, 10, 8),
    "whole only to 8": condition(10, 10, 10, 8, wal=False),
    "was whole to 8, and the file is at 7": condition(7, 10, 10, 8),
    "file is at commit 12, and its -wal at 11": condition(12, 11, 10, 8, wal=True),
    "fails its checksum": attrs.evolve(condition(8, 8, 8, 8), mark=None),
    "another job's": attrs.evolve(
        condition(8, 10, 10, 8), mark=Mark(b"another 16 bytes", 10, 8)
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_no_process_leaves_is_refused(reason: str) -> None:
    """With the reason, and the numbers where there are two."""
    assert reason in str(damage(REFUSED[reason]))


@given(
    alone=st.integers(0, 9),
    noted=st.integers(0, 9),
    lost=st.integers(1, 9),
)
def test_no_commit_is_lost_unseen(alone: int, noted: int, lost: int) -> None:
    """Whatever was committed: with fewer commits than the mark was told of it shows."""
    last = alone + noted
    left = max(0, last - lost)
    assume(last)

    assert damage(condition(min(alone, left), left, last, alone)) is not None


# -- the WAL -------------------------------------------------------------------------


def lay_database(folder: Path, commits: int) -> Path:
    """Make a database into whose WAL there were so many commits; return its path."""
    path, copy = folder / "original.db", folder / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute("CREATE TABLE numbers (number)").close()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        for number in range(commits):
            connection.execute("INSERT INTO numbers VALUES (?)", [number]).close()
        # Before it is closed: then there is no WAL any more.
        for suffix in ("", "-wal"):
            content = path.with_name(f"{path.name}{suffix}").read_bytes()
            copy.with_name(f"{copy.name}{suffix}").write_bytes(content)
    return copy


@given(data=st.data())
@few
def test_a_commit_is_found_where_sqlite_finds_one(data: st.DataObject) -> None:
    """Cut or changed anywhere, a WAL holds a commit if SQLite would read one."""
    with TemporaryDirectory() as home:
        path = lay_database(Path(home), commits=3)
        wal = path.with_name(f"{path.name}-wal")
        content = bytearray(wal.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[place:]
        else:
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        wal.write_bytes(content)

        found = holds_commit(wal)

        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            [(rows,)] = connection.execute("SELECT count(*) FROM numbers")
        assert found == (rows > 0)


def test_a_missing_wal_holds_nothing(path: Path) -> None:
    """There is no commit where there is no WAL."""
    assert not holds_commit(path)


# -- real files ----------------------------------------------------------------------

KILLED = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import *

    async def main():
        journal = Journal.open(Path(sys.argv[1]))
        for number in range(1, 141):
            row_id, session_id = f"order-{number}", f"session-{number}"
            await journal.intend(Intent(row_id, number, bytes(16), 0.0))
            await journal.complete(RowResult(row_id, State.CREATED, session_id))
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""


def run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run *program* in another process, to its end."""
    return subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", dedent(program), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def killed(path: Path) -> Path:
    """A journal whose process was killed when 140 rows were done."""
    kill(path, SALT)
    return path


def kill(path: Path, salt: bytes) -> None:
    """Begin a job whose process is killed when 140 rows are done."""
    Journal.create(path, header(salt)).close()
    assert run(KILLED, path).returncode == -signal.SIGKILL


def swap_wal(path: Path) -> None:
    """Put the WAL of another job in the place of a journal's own."""
    with TemporaryDirectory() as folder:
        other = Path(folder, path.name)
        kill(other, bytes(16))
        shutil.copy(JournalFiles(other).wal, JournalFiles(path).wal)


def files_beside(path: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def flipped(data: bytes) -> bytes:
    """Return *data* with one bit changed, in the middle."""
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


MUTATIONS: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "-wal lost": lambda path: JournalFiles(path).wal.unlink(),
    "-wal emptied": lambda path: JournalFiles(path).wal.write_bytes(b""),
    "-wal cut": lambda path: os.truncate(JournalFiles(path).wal, 40_000),
    "-wal flipped": lambda path: JournalFiles(path).wal.write_bytes(
        flipped(JournalFiles(path).wal.read_bytes())
    ),
    "-wal swapped": swap_wal,
    "mark lost": lambda path: JournalFiles(path).mark.unlink(),
    "mark emptied": lambda path: JournalFiles(path).mark.write_bytes(b""),
    "mark flipped": lambda path: JournalFiles(path).mark.write_bytes(
        flipped(JournalFiles(path).mark.read_bytes())
    ),
}


async def test_what_a_kill_left_is_gone_on_with(killed: Path) -> None:
    """Nothing is missing, and the end is one file again."""
    with Journal.open(killed) as journal:
        assert (await journal.counts())[State.CREATED] == 140

    assert list(files_beside(killed)) == [killed.name]
    with Journal.open(killed) as journal:
        assert (await journal.counts())[State.CREATED] == 140


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_damaged_leftover_stays_as_it_is(killed: Path, mutation: str) -> None:
    """Writers and readers are refused, and it is byte for byte the same."""
    MUTATIONS[mutation](killed)
    before = files_beside(killed)

    for opening in (Journal.open, Journal.read):
        with pytest.raises(DamagedJournalError, match="is damaged"):
            opening(killed)

    assert files_beside(killed) == before


async def test_a_reader_leaves_all_as_it_is(killed: Path) -> None:
    """To look at what a kill left does not tidy it up, and cannot write to it."""
    before = files_beside(killed)
    with Journal.read(killed) as journal:
        assert (await journal.counts())[State.CREATED] == 140
        assert await journal.check() == []
        with pytest.raises(JournalError, match="cannot be written"):
            await journal.intend(Intent("new", 1_000, bytes(16), 0.0))

    assert files_beside(killed) == before


@pytest.fixture(params=["after its end", "after a kill"])
def left(path: Path, request: pytest.FixtureRequest) -> Path:
    """A journal on which nobody works, with 140 rows that are done."""
    killed: Path = request.getfixturevalue("killed")
    if request.param == "after its end":
        Journal.open(killed).close()
    return path


OPEN = """
    import sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import *

    Journal.open(Path(sys.argv[1])).close()
"""


async def test_who_reads_keeps_out_who_would_write(left: Path) -> None:
    """All pages and sums that a reader sees are of one journal; then all is free."""
    before = files_beside(left)
    with Journal.read(left) as journal, Journal.read(left) as another:
        refused = run(OPEN, left)
        assert "another process works on this job" in refused.stderr
        another.close()
        refused = run(OPEN, left)
        assert "another process works on this job" in refused.stderr
        assert len(await journal.rows()) == 140

    assert files_beside(left) == before
    assert run(OPEN, left).returncode == 0


@few
@given(st.integers(0, 100), st.integers(1, 255))
def test_a_journal_with_another_first_page_stays_as_it_is(
    place: int, change: int
) -> None:
    """Whether it is taken for a journal or not, looking at it leaves nothing behind."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "job.journal")
        Journal.create(path, header(SALT)).close()
        data = bytearray(path.read_bytes())
        data[place] ^= change
        path.write_bytes(data)

        with suppress(JournalError):
            Journal.read(path).close()

        assert files_beside(path) == {path.name: bytes(data)}


@pytest.mark.parametrize("rows", [0, 140])
def test_no_bit_of_the_header_is_changed_and_then_the_files(
    path: Path, rows: int
) -> None:
    """Whatever SQLite makes of it: what is refused stays, what is taken is whole."""
    if rows:
        kill(path, SALT)
        Journal.open(path).close()
    else:
        Journal.create(path, header(SALT)).close()
    sound = path.read_bytes()
    for place, bit in product(range(100), range(8)):
        changed = bytearray(sound)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        try:
            with Journal.open(path) as journal:
                assert asyncio.run(journal.counts())[State.CREATED] == rows
        except JournalError:
            assert files_beside(path) == {path.name: changed}


@pytest.mark.parametrize("place", [18, 63])
def test_a_changed_header_is_not_sent_round_in_circles(path: Path, place: int) -> None:
    """What cannot be written off is not called sound: only a copy helps."""
    Journal.create(path, header(SALT)).close()
    changed = bytearray(path.read_bytes())
    changed[place] ^= 1
    path.write_bytes(changed)

    for look in (Journal.open, damaged_header):
        with pytest.raises(DamagedJournalError, match="restore it from a copy"):
            look(path)


@pytest.fixture(scope="module")
def worked_on(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A closed journal that has something in every table."""
    path = tmp_path_factory.mktemp("job") / JOURNAL

    async def work(journal: Journal) -> None:
        await Shop(journal, path.parent).work(range(1, 46))
        url = "https://pay.example/session-46"
        await journal.intend(Intent("order-46", 46, bytes(16), 0.0))
        await journal.complete(
            RowResult("order-46", State.CREATED, "session-46", url=url)
        )

    with Journal.create(path, header(SALT)) as journal:
        asyncio.run(work(journal))
    return path.read_bytes()


async def read_all(path: Path) -> None:
    """Open a journal, and read every table of it."""
    with Journal.open(path) as journal:
        rows = await journal.rows()
        session_ids = [row.session_id for row in rows if row.session_id is not None]
        await journal.refunds.of_sessions(*session_ids)
        await journal.refunds.counts()
        await journal.resolutions()


@few
@given(data=st.data())
def test_a_changed_bit_is_refused_untouched_or_all_is_read(
    worked_on: bytes, data: st.DataObject
) -> None:
    """What is refused stays as it is; what is taken can be read to its end."""
    # The header has a test of its own, and most of what is 0 is nothing.
    places = [place for place, byte in enumerate(worked_on) if byte and place >= 100]
    changed = bytearray(worked_on)
    changed[data.draw(st.sampled_from(places))] ^= 1 << data.draw(st.integers(0, 7))
    with TemporaryDirectory() as folder:
        path = Path(folder, JOURNAL)
        path.touch(mode=0o600)
        path.write_bytes(changed)

        try:
            asyncio.run(read_all(path))
        except JournalError:
            assert files_beside(path) == {path.name: changed}


NO_TEXT = "CAST(x'ff' AS TEXT)"
NO_USE = "what it says of its use cannot be"
EDITS = [
    ("table job has a text", f"job SET source = {NO_TEXT}"),
    ("table job has values", "job SET begun_at = 'x'"),
    ("table usage has values", "usage SET control_total = 'x'"),
    (NO_USE, "usage SET in_use = 'x'"),
    (NO_USE, "usage SET number = -1"),
    (NO_USE, f"usage SET number = {2**62}"),
    (NO_USE, "usage SET number = 'x'"),
    ("table rows has a text", f"rows SET message = {NO_TEXT}"),
    ("table heads has a text", f"heads SET head = {NO_TEXT}"),
    ("table refunds has a text", f"refunds SET currency = {NO_TEXT}"),
    ("table batches has a text", f"batches SET name = {NO_TEXT}"),
    ("table batches has values", "batches SET begun_at = 'x'"),
    ("table resolutions has a text", f"resolutions SET resolved_by = {NO_TEXT}"),
    ("table resolutions has values", "resolutions SET resolved_at = 'x'"),
    ("of another session than their row", "rows SET session_id = 'another one'"),
]


@pytest.mark.parametrize(("words", "edit"), EDITS)
def test_an_edited_table_is_refused_untouched(
    path: Path, worked_on: bytes, words: str, edit: str
) -> None:
    """Whatever table an edit was made in, the journal stays as it was edited."""
    path.touch(mode=0o600)
    path.write_bytes(worked_on)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {edit}")
    before = files_beside(path)

    with pytest.raises(DamagedJournalError, match=words):
        Journal.open(path)

    assert files_beside(path) == before


def write_rows(path: Path, numbers: range) -> bytes:
    """Do so many rows of a journal; return what its file is then."""

    async def write() -> None:
        with Journal.open(path) as journal:
            for number in numbers:
                row_id, session_id = f"order-{number}", f"session-{number}"
                await journal.intend(Intent(row_id, number, bytes(16), 0.0))
                await journal.complete(RowResult(row_id, State.CREATED, session_id))

    asyncio.run(write())
    return path.read_bytes()


def rows_taken(path: Path) -> int | None:
    """Return how many rows a journal has that are done; `None` if it is refused."""
    try:
        with Journal.open(path) as journal:
            return asyncio.run(journal.counts())[State.CREATED]
    except DamagedJournalError:
        return None


def test_no_page_is_older_than_the_number_of_its_commit(path: Path) -> None:
    """A file copied in the middle of a checkpoint is not taken for a whole one."""
    Journal.create(path, header(SALT)).close()
    older, newer = write_rows(path, range(1, 4)), write_rows(path, range(4, 7))
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'usage'"
        [(page_of_number,)] = connection.execute(sql)
    taken = []
    for size in range(0, len(newer) + 1, PAGE_SIZE):  # SQLite writes them in order
        path.write_bytes(newer[:size] + older[size:])
        taken.append(rows_taken(path))

    assert set(taken[:page_of_number]) == {3}
    assert set(taken[page_of_number:]) == {None, 6}
    assert taken[-1] == 6


def test_a_journal_that_misses_orders_can_be_written_off(path: Path) -> None:
    """It tells how many, and then knows of all rows that may have been sent."""
    Journal.create(path, header(SALT)).close()
    write_rows(path, range(1, 3))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM rows WHERE position = 2")
        connection.execute("UPDATE usage SET control_total = 2")

    with pytest.raises(DamagedJournalError, match="holds 1 of 2 orders to the gateway"):
        Journal.open(path)

    assert damaged_header(path).job == "april"
    write_off(path, [Intent(f"order-{n}", n, bytes(16), 0.0) for n in (1, 2)], 1.0)
    with Journal.open(path) as journal:
        counts = asyncio.run(journal.counts())
    assert (counts[State.CREATED], counts[State.UNKNOWN]) == (1, 1)


async def test_a_hard_link_is_not_another_journal(killed: Path) -> None:
    """Under its other name the file is without its WAL and its mark: refused."""
    other = killed.with_name("may.journal")
    os.link(killed, other)

    with pytest.raises(JournalError, match="its mark is missing"):
        Journal.open(other)

    with Journal.open(killed) as journal:
        assert (await journal.counts())[State.CREATED] == 140


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-mark"])
def test_all_files_are_admitted_by_the_same_rules(killed: Path, suffix: str) -> None:
    """One that others could have written is not trusted, whichever it is."""
    file = killed.with_name(f"{killed.name}{suffix}")
    file.touch()
    file.chmod(0o666)

    with pytest.raises(JournalError, match=rf"{suffix}: is open to others"):
        Journal.open(killed)


def test_a_folder_of_everyone_is_refused(path: Path) -> None:
    """In it anyone could swap the files; with the sticky bit only their owners can."""
    Journal.create(path, header(SALT)).close()
    path.parent.chmod(0o777)

    with pytest.raises(JournalError, match="anyone may write"):
        Journal.open(path)

    path.parent.chmod(0o1777)
    Journal.open(path).close()


def test_a_folder_of_a_group_is_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is for the owner to know the group."""
    Journal.create(path, header(SALT)).close()
    path.parent.chmod(0o770)
    with caplog.at_level(logging.WARNING, "convergegate_async"):
        Journal.open(path).close()

    [record] = caplog.records
    assert "a group may write" in record.getMessage()


# -- forks and ends ------------------------------------------------------------------

FORKS = """
    import asyncio, gc, os, sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import *

    def intend(number):
        async def ordered():  # each time in a loop of its own: a fork shares none
            await journal.intend(Intent(f"order-{number}", number, bytes(16), 0.0))

        asyncio.run(ordered())

    journal = Journal.open(Path(sys.argv[1]))
    intend(1)
    child = os.fork()
    if not child:
        match sys.argv[2]:
            case "closes":
                journal.close()
            case "collects":
                del journal
                gc.collect()
            case "orders":
                try:
                    intend(3)
                except JournalError as error:
                    print(error)
        sys.exit()
    os.waitpid(child, 0)
    intend(2)
    print(Path(f"{sys.argv[1]}-wal").stat().st_size > 0, flush=True)
    os._exit(9)
"""


@pytest.mark.parametrize("does", ["ends", "closes", "collects", "orders"])
async def test_a_fork_touches_nothing(path: Path, does: str) -> None:
    """Whatever a child does with the journal of its parent, the parent's WAL stays."""
    Journal.create(path, header(SALT)).close()

    output = run(FORKS, path, does).stdout

    assert output.endswith("True\n")
    assert ("opened by the parent process" in output) == (does == "orders")
    with Journal.open(path) as journal:
        assert (await journal.counts())[State.SENT] == 2


ENDS = """
    import asyncio, sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import *

    async def intend():
        await journal.intend(Intent("order-1", 1, bytes(16), 0.0))

    journal = Journal.open(Path(sys.argv[1]))
    asyncio.run(intend())
    del journal  # and nobody has closed it
"""


async def test_a_process_that_closes_nothing_loses_nothing(path: Path) -> None:
    """The collector and the end of a process leave what a kill leaves."""
    Journal.create(path, header(SALT)).close()

    assert run(ENDS, path).returncode == 0

    with Journal.open(path) as journal:
        assert (await journal.counts())[State.SENT] == 1


TURNS = """
    import sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import *

    path = Path(sys.argv[1])
    opened = 0
    while opened < 25:
        try:
            journal = Journal.open(path)
        except JournalError as error:
            if "another process" not in str(error):
                raise
            continue
        opened += 1
        assert path.with_name(path.name + "-mark").exists()
        journal.close()
"""


def test_who_ends_leaves_the_next_one_its_mark(path: Path) -> None:
    """Two processes take turns, each waiting for the other to close the journal."""
    Journal.create(path, header(SALT)).close()
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(partial(run, TURNS), [path, path]))

    assert [end.stderr for end in ends] == ["", ""]
    assert list(files_beside(path)) == [path.name]


@pytest.mark.parametrize("removed", ["file", "folder"])
async def test_a_journal_that_was_removed_is_told_of(
    tmp_path: Path, removed: str
) -> None:
    """What was written into it is lost: nobody would know until it is looked for."""
    folder = tmp_path / "folder"
    folder.mkdir()
    journal = Journal.create(folder / "april.journal", header(SALT))
    if removed == "folder":
        shutil.rmtree(folder)
    else:
        (folder / "april.journal").unlink()

    with pytest.raises(JournalError, match="was removed"):
        journal.close()


# -- an older version ----------------------------------------------------------------

TO_VERSION_2 = """
    UPDATE rows SET state = 'done' WHERE state = 'created';
    UPDATE rows SET state = 'failed' WHERE state = 'rejected';
    UPDATE rows SET before = 'failed' WHERE before = 'rejected';
    DROP TABLE refunds;
    DROP TRIGGER rows_in;
    DROP TRIGGER rows_out;
    DROP TRIGGER rows_on;
    ALTER TABLE usage DROP COLUMN control_total;
    DROP TABLE batches;
    ALTER TABLE rows DROP COLUMN status;
    ALTER TABLE rows DROP COLUMN currency;
    ALTER TABLE rows DROP COLUMN amount_total;
    ALTER TABLE rows DROP COLUMN amount_refunded;
    ALTER TABLE rows DROP COLUMN expires_at;
    ALTER TABLE rows DROP COLUMN seen_at;
    ALTER TABLE job DROP COLUMN refresh_at;
    ALTER TABLE job DROP COLUMN invalid;
    DROP TABLE resolutions;
    PRAGMA user_version = 2;
"""
TO_VERSION_1 = """
    ALTER TABLE job DROP COLUMN begun_at;
    ALTER TABLE job DROP COLUMN damaged_at;
    ALTER TABLE rows DROP COLUMN sent_until;
    DROP TABLE usage;
    PRAGMA user_version = 1;
"""


async def make_older(path: Path, version: int = 1) -> None:
    """Make a journal as an earlier version left it, with one row in each state."""
    rows = [
        Intent(f"order-{number}", number, bytes(16), 17.0) for number in range(1, 5)
    ]
    made = attrs.evolve(header(SALT), begun_at=17.0)
    with Journal.create(path, made) as journal:
        for row in rows:
            await journal.intend(row)
        await journal.complete(RowResult("order-1", State.CREATED, "session-1"))
        await journal.complete(RowResult("order-2", State.REJECTED))
        await journal.complete(RowResult("order-3", State.UNKNOWN))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(TO_VERSION_2)
        if version == 1:
            connection.executescript(TO_VERSION_1)


@pytest.mark.parametrize("version", [1, 2])
async def test_an_older_journal_is_upgraded_in_place(path: Path, version: int) -> None:
    """Its rows are there, and its begin is that of its first row."""
    await make_older(path, version)

    with Journal.open(path) as journal:
        rows = await journal.rows()
        assert [row.state for row in rows] == [
            *(State.CREATED, State.REJECTED, State.UNKNOWN, State.SENT)
        ]
        assert rows[0].session_id == "session-1"
        assert journal.header == attrs.evolve(header(SALT), begun_at=17.0)

    with Journal.open(path) as journal:
        assert (await journal.counts())[State.CREATED] == 1


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_the_schema_fits_into_one_page(path: Path, version: int) -> None:
    """A kill while the file is written anew leaves an old one or a new one, no mix."""
    if version < VERSION:
        await make_older(path, version)
        Journal.open(path).close()
    else:
        Journal.create(path, header(SALT)).close()
    kind_of_first_page = path.read_bytes()[100]  # noqa: ASYNC240 -- nothing else runs
    assert kind_of_first_page == 0x0D  # a leaf: https://www.sqlite.org/fileformat2.html


async def test_an_older_journal_is_not_upgraded_to_be_read(path: Path) -> None:
    """Whoever only reads is told what to do, and changes nothing."""
    await make_older(path)
    before = files_beside(path)

    with pytest.raises(JournalError, match="older version"):
        Journal.read(path)

    assert files_beside(path) == before


async def test_an_older_journal_that_is_sound_is_told_so(path: Path) -> None:
    """Nobody is sent for a copy of what lacks nothing."""
    await make_older(path)

    with pytest.raises(JournalError, match="is sound"):
        damaged_header(path)


async def test_an_older_journal_that_was_killed_is_told_so(path: Path) -> None:
    """It is no damage: the version that left it can go on with it."""
    await make_older(path)
    JournalFiles(path).wal.touch(mode=0o600)
    JournalFiles(path).wal.write_bytes(b"what a kill left")

    for opening in (Journal.open, Journal.read):
        with pytest.raises(JournalError, match="older version that was killed"):
            opening(path)


async def test_the_process_may_change_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that was opened by a relative path keeps its own mark."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "april.journal-mark").touch()
    (tmp_path / "one" / "april.journal-mark").unlink()
    monkeypatch.chdir(tmp_path / "one")
    with Journal.create(Path("april.journal"), header(SALT)):
        monkeypatch.chdir(tmp_path / "two")

    assert [file.name for file in (tmp_path / "one").iterdir()] == ["april.journal"]
    assert (tmp_path / "two" / "april.journal-mark").exists()


# -- recorded processes --------------------------------------------------------------


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace records the calls")
def test_kills_power_cuts_and_damage_of_recorded_processes(tmp_path: Path) -> None:
    """A short run of the benchmark breaks no promise, with cases of every kind."""
    homes = [tmp_path / "one", tmp_path / "other"]
    for home in homes:
        home.mkdir()
    calls, others = (recorded(home, rows=45) for home in homes)
    cases = [
        *leftovers(calls, every=11, seed=17),
        *mutations(calls, others, count=40, seed=17),
    ]

    ends = Counter(judge(case) for case in cases if "all files" not in case.kind)

    assert {end for end in ends if end.isupper()} == set()
    assert ends["refused"] > 10
    assert ends["taken, all there"] > 40
