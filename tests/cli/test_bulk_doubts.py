"""``bulk resolve`` as a user meets it: what is said, and what comes of it."""

import csv
import io
from pathlib import Path

import pytest
from orders import numbered_orders, table_of
from programs import bulk

from convergegate_async.sandbox import Fault, FaultKind, Sandbox


@pytest.fixture
async def folder(sandbox: Sandbox, tmp_path: Path) -> Path:
    """Where the job ``april`` has a row of two in doubt."""
    (tmp_path / "orders.csv").write_text(table_of(numbered_orders(2)))
    sandbox.faults.add(Fault(FaultKind.LOST, operation="create", times=1))
    words = ("orders.csv", "--job", "april", "--concurrency", "1")
    done = await bulk(sandbox, tmp_path, "run", *words)
    assert done.code == 5
    assert "`bulk resolve april ROW` is for what you find out yourself" in done.err
    return tmp_path


async def test_a_row_is_given_its_session(sandbox: Sandbox, folder: Path) -> None:
    """It is told how many are left; the export has the session and its link."""
    session = next(iter(sandbox.book.sessions.values()))

    done = await bulk(
        sandbox, folder, "resolve", "april", "A-1", "--session", session.id
    )
    exported = await bulk(None, folder, "export", "april")

    assert (done.code, done.out) == (0, "")
    assert done.err == (
        f"Row A-1 is created, with session {session.id}, which no other row of this "
        "job has.\n"
        "april: created 2, rejected 0, unknown 0, pending 0\n"
    )
    [first, _] = csv.DictReader(io.StringIO(exported.out))
    assert (first["cg_session_id"], first["cg_url"]) == (session.id, session.url)


async def test_a_session_without_its_time_is_told(
    sandbox: Sandbox, folder: Path
) -> None:
    """It is taken, as it may be known otherwise; the export keeps that it was so."""
    session = next(iter(sandbox.book.sessions.values()))
    session.created_at = 10**20  # no moment that there is

    done = await bulk(
        sandbox, folder, "resolve", "april", "A-1", "--session", session.id
    )
    exported = await bulk(None, folder, "export", "april")

    assert done.code == 0
    why = "its session does not tell when it was made, and may be an older one"
    assert f"Look at it once more: {why}.\n" in done.err
    [first, _] = csv.DictReader(io.StringIO(exported.out))
    assert (first["cg_state"], first["cg_message"]) == ("created", why)


async def test_a_row_that_was_not_created_is_sent_again(
    sandbox: Sandbox, folder: Path
) -> None:
    """To say so needs no gateway; what sends it again is told."""
    done = await bulk(None, folder, "resolve", "april", "A-1", "--not-created")
    again = await bulk(sandbox, folder, "retry-failed", "april")

    assert done.code == 0
    assert done.err == (
        "Row A-1 is rejected: `convergegate bulk retry-failed april` sends it again.\n"
        "april: created 1, rejected 1, unknown 0, pending 0\n"
    )
    assert again.code == 0
    assert "april: created 2, rejected 0, unknown 0" in again.err


async def test_what_cannot_be_resolved_is_told(sandbox: Sandbox, folder: Path) -> None:
    """With what the row is, or in what the session differs; or how to say it."""
    first, second = sandbox.book.sessions
    for words, code, reason in (
        (("A-2", "--not-created"), 3, f"is not in doubt: it is created ({second})"),
        (("A-7", "--not-created"), 3, "it was never sent, or is none"),
        (("A-1", "--session", second), 3, "that of another row of the job"),
        (("A-1", "--session", "cs_none"), 4, "404"),
        (("A-1", "--session", first, "--not-created"), 2, "and not both"),
        (("A-1",), 2, "say --session ID or --not-created"),
        (("\udcff", "--not-created"), 2, "ROW': its bytes are"),
        (("A-1", "--session", "\udcff"), 2, "'--session': its bytes are"),
        (("A-1", "--batch", "\udcff", "--not-created"), 2, "'--batch': its bytes are"),
        (("A-1", "--batch", "b", "--refund", "\udcff"), 2, "'--refund': its bytes are"),
    ):
        done = await bulk(sandbox, folder, "resolve", "april", *words)

        assert (done.code, done.out) == (code, "")
        assert reason in done.err
