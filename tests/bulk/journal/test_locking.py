"""Who works on a journal keeps all others out, whatever its own process does to it."""

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from harness.recorded_job import HEADER

from convergegate_async.bulk import Journal
from convergegate_async.bulk.journal.files import JournalFiles
from convergegate_async.bulk.journal.records import Intent, JournalInUseError, State

OTHER = """
    import sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import Journal, JournalError

    for open_journal in (Journal.open, Journal.read):
        try:
            open_journal(Path(sys.argv[1])).close()
            print("let in")
        except JournalError as error:
            print(type(error).__name__)
"""
REFUSED = ["JournalInUseError"] * 2
LET_IN = ["let", "in"] * 2


def run(program: str, *arguments: object) -> list[str]:
    """Run *program* in another process; return what it prints."""
    return subprocess.check_output(  # noqa: S603 -- our own program
        [sys.executable, "-c", dedent(program), *map(str, arguments)],
        text=True,
        timeout=15,
    ).split()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal that nobody works on."""
    path = tmp_path / "april.journal"
    Journal.create(path, HEADER).close()
    return path


def copied(path: Path) -> None:
    """Make a backup, as a shop does: closing the file ends its POSIX locks."""
    for file in list(path.parent.glob("april.journal*")):
        shutil.copyfile(file, path.parent / f"backup-{file.name}")


async def test_a_process_that_copies_its_journal_keeps_it(path: Path) -> None:
    """No other process is let in, to write or to read; and nothing is lost."""
    with Journal.open(path) as journal:
        await journal.intend(Intent("order-1", 1, bytes(16), 0.0))
        copied(path)

        assert run(OTHER, path) == REFUSED

        await journal.intend(Intent("order-2", 2, bytes(16), 0.0))

    assert run(OTHER, path) == LET_IN
    with Journal.read(path) as journal:
        assert (await journal.counts())[State.SENT] == 2


def test_whoever_reads_and_copies_keeps_writers_out(path: Path) -> None:
    """The journal stays as it is until the reader has closed it."""
    with Journal.read(path):
        copied(path)

        assert run(OTHER, path) == ["JournalInUseError", "let", "in"]

    assert run(OTHER, path) == LET_IN


def test_a_refused_opener_leaves_the_lock_after_a_copy(path: Path) -> None:
    """Attempts of the same process, each with a copy, let nobody else in."""
    with Journal.open(path):
        for _ in range(2):
            copied(path)
            with pytest.raises(JournalInUseError):
                Journal.open(path)
            with pytest.raises(JournalInUseError):
                Journal.read(path)

        assert run(OTHER, path) == REFUSED


def test_nothing_is_left_open_or_behind(path: Path) -> None:
    """However it is opened and refused, the process has as many files as before."""
    before = len(list(Path("/dev/fd").iterdir()))

    for _ in range(3):
        with Journal.open(path), pytest.raises(JournalInUseError):
            Journal.read(path)
        with Journal.read(path), pytest.raises(JournalInUseError):
            Journal.open(path)

    assert len(list(Path("/dev/fd").iterdir())) == before
    assert list(path.parent.iterdir()) == [path]


def test_a_wal_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Nothing is made where a link beside the journal points to."""
    JournalFiles(path).wal.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="april"):
        JournalFiles(path).lock()

    assert not (tmp_path / "elsewhere").exists()


FORKED = """
    import os, select, sys
    from pathlib import Path
    from convergegate_async.bulk.journal.journal import Journal

    journal = Journal.open(Path(sys.argv[1]))
    if not os.fork():
        if sys.argv[2] == "closes":
            journal.close()
        if sys.argv[2] != "lives":
            os._exit(0)
        os.close(1)
        until_stdin_ends = select.poll()
        until_stdin_ends.register(0, 0)
        until_stdin_ends.poll(30_000)
        os._exit(0)
    if sys.argv[2] != "lives":
        os.wait()
    print("open", flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


@pytest.mark.parametrize(
    "does", ["ends", "closes", "lives"], ids=["ends", "closes", "outlives its parent"]
)
def test_a_fork_has_no_part_in_the_lock(path: Path, does: str) -> None:
    """A fork that ends does not end it, and one that lives on does not keep it."""
    program = subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-c", dedent(FORKED), path, does],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
        copied(path)

        assert run(OTHER, path) == REFUSED

        program.stdin.write("\n")
        program.stdin.flush()
        assert program.wait(15) == 9
        assert run(OTHER, path) == LET_IN
