"""``convergegate sandbox seed``: sessions of a file, in a sandbox that runs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from matrix import gateway
from orders import ORDER_ROW, numbered_orders, table_of
from programs import Done, call, run
from raw import RawServer
from readme import README

from convergegate_async.sandbox import Fault, Sandbox

STATUSES = ("", "completed", "Expired", "pending")


def write_rows(path: Path, statuses: Sequence[str]) -> None:
    """Write a table of so many rows, whose last column is how they shall stand."""
    lines = table_of(numbered_orders(len(statuses))).splitlines()
    ends = ("Status", *statuses)
    path.write_text("\n".join(map(",".join, zip(lines, ends, strict=True))))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of four sessions, which shall stand as they can."""
    path = tmp_path / "orders.csv"
    write_rows(path, STATUSES)
    return path


async def seed(
    sandbox: Sandbox, path: Path | str, *options: str, stdin: str = "", **environ: str
) -> Done:
    """Run the command against *sandbox*."""
    arguments = ("sandbox", "seed", str(path), *options)
    return await run(sandbox, *arguments, stdin=stdin, environ=environ)


async def test_rows_become_sessions_that_stand_as_they_say(
    sandbox: Sandbox, rows: Path
) -> None:
    """In the order of the file; stdout has each session and its row's id."""
    done = await seed(sandbox, rows)

    booked = [*sandbox.book.sessions.values()]
    assert done.code == 0
    assert done.out.splitlines() == [
        f"{session.id} A-{number}" for number, session in enumerate(booked, 1)
    ]
    assert done.err == (
        "Seeded 4 sessions: 1 open, 1 pending, 1 completed, 1 expired.\n"
    )
    assert [(one.request.amount, str(one.status)) for one in booked] == [
        (1000, "open"),
        (2000, "completed"),
        (3000, "expired"),
        (4000, "pending"),
    ]


async def test_what_is_there_is_not_opened_twice(sandbox: Sandbox, rows: Path) -> None:
    """Also after half of it, and where a customer went on meanwhile."""
    sandbox.faults.add(Fault("status", status=400, operation="create", times=1))

    broken = await seed(sandbox, rows)
    done = await seed(sandbox, rows)
    again = await seed(sandbox, rows)

    assert (broken.code, done.code, again.code) == (4, 0, 0)
    assert "Seeded 0 of 4 rows; run it again: none is opened twice." in broken.err
    assert len(sandbox.book.sessions) == 4
    assert again.out == done.out
    assert again.err == (
        "Seeded 4 sessions, 0 opened and 4 that were there already: "
        "1 open, 1 pending, 1 completed, 1 expired.\n"
    )


async def test_a_session_whose_answer_was_lost_is_a_new_one(
    sandbox: Sandbox, rows: Path
) -> None:
    """The repeat is answered from memory, and yet it was opened now."""
    sandbox.faults.add(Fault("lost", operation="create", times=1))

    done = await seed(sandbox, rows)

    assert (done.code, sandbox.count("create")) == (0, 5)
    assert "Seeded 4 sessions: 1 open" in done.err


async def test_a_row_that_cannot_stand_so_is_named(
    sandbox: Sandbox, rows: Path
) -> None:
    """No code brings a session back; the others are seeded, and it is no success."""
    await seed(sandbox, rows)
    opened, paid, _, pending = sandbox.book.sessions.values()
    sandbox.pay(opened.id)
    sandbox.pay(pending.id)
    write_rows(rows, ("", "completed", "completed", "pending", "pending"))

    done = await seed(sandbox, rows)

    assert done.code == 1
    assert done.err.splitlines() == [
        "line 2: shall be open, and is completed",
        "line 4: shall be completed, and is expired",
        "line 5: shall be pending, and is completed",
        (
            "3 rows cannot stand so: what is over does not come back. "
            "A new session has another id in the file."
        ),
        (
            "Seeded 5 sessions, 1 opened and 4 that were there already: "
            "1 pending, 3 completed, 1 expired."
        ),
    ]
    assert [len(done.out.splitlines()), paid.payments] == [5, 1]


async def test_the_sample_of_the_readme_is_a_file_to_seed(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Whoever pastes it has a session of each kind."""
    [sample] = re.findall(
        r"^```csv\n(id,.*?,status\n.*?)^```", README, re.MULTILINE | re.DOTALL
    )
    path = tmp_path / "orders.csv"
    path.write_text(sample, encoding="utf-8")

    done = await seed(sandbox, path)

    assert (done.code, done.err) == (
        0,
        "Seeded 4 sessions: 1 open, 1 pending, 1 completed, 1 expired.\n",
    )
    assert sandbox.seen[0].body.endswith(b"metadata%5Border_id%5D=A-1")


async def test_jsonl_is_read_as_well(sandbox: Sandbox, tmp_path: Path) -> None:
    """As `bulk` reads it, with the status beside the fields."""
    path = tmp_path / "orders.jsonl"
    path.write_text(json.dumps({**ORDER_ROW, "amount": 4999, "status": "completed"}))

    done = await seed(sandbox, path)

    assert done.code == 0, done.err
    [session] = sandbox.book.sessions.values()
    assert (session.request.amount, session.payments) == (4999, 1)


async def test_a_file_is_read_as_bulk_reads_it(sandbox: Sandbox) -> None:
    """Every option that a mistake in it can name is one of this command."""
    row = {**ORDER_ROW, "amount": "49.99", "order": "A-1", "note": ""}
    del row["id"]

    done = await seed(
        *(sandbox, "-", "--format", "jsonl", "--id-column", "order"),
        *("--amount-unit", "major", "--map", "note=", "--set", "locale=en"),
        stdin=json.dumps(row),
    )

    assert done.code == 0, done.err
    [session] = sandbox.book.sessions.values()
    assert (session.request.amount, session.request.locale) == (4999, "en")


async def test_mistakes_are_told_before_anything_is_sent(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """All of them, by line and column, without what is wrong."""
    path = tmp_path / "orders.csv"
    good, *_ = numbered_orders(1)
    bad = good | {"id": "A-2", "amount": "ten"}
    lines = table_of([good, bad, good | {"id": "A-3"}, good]).splitlines()
    ends = ("status", "open", "open", "refunded", "open")
    path.write_text("\n".join(map(",".join, zip(lines, ends, strict=True))))

    done = await seed(sandbox, path)

    assert (done.code, done.out) == (1, "")
    amount, *others = done.err.splitlines()
    assert amount.startswith("line 3, column amount: must be a whole number")
    assert others == [
        "line 4, column status: must be one of open, pending, completed, expired",
        "line 5: has the id of an earlier row",
        f"Nothing was sent: {path} has mistakes.",
    ]
    assert not sandbox.seen


async def test_a_gateway_that_is_no_sandbox_is_left_alone(rows: Path) -> None:
    """Nothing is opened in one that has no control API."""
    async with RawServer(gateway) as server:
        environ = {
            "CONVERGEGATE_API_KEY": "sk_test_x",
            "CONVERGEGATE_BASE_URL": server.base_url,
        }
        done = await run(None, "sandbox", "seed", str(rows), environ=environ)

    assert done.code == 3
    assert f"{server.base_url} is no sandbox" in done.err
    [request] = server.requests
    assert request.startswith(b"GET /sandbox/api/clock ")


async def test_another_key_is_told(sandbox: Sandbox, rows: Path) -> None:
    """A wrong key is the user's to mend, and a live one is not even tried."""
    wrong = await seed(sandbox, rows, CONVERGEGATE_API_KEY="sk_test_other")
    live = await seed(sandbox, rows, CONVERGEGATE_API_KEY="sk_live_x")

    assert (wrong.code, live.code) == (3, 3)
    assert "refuses: no valid API key was given" in wrong.err
    assert "a live key is for no sandbox: nothing was sent" in live.err


def test_nobody_at_all_is_told(rows: Path) -> None:
    """Nothing was sent: exit code 5, and what to do."""
    address = {
        "CONVERGEGATE_API_KEY": "sk_test_x",
        "CONVERGEGATE_BASE_URL": "http://127.0.0.1:1",
    }

    done = call("sandbox", "seed", str(rows), **address)

    assert done.returncode == 5
    assert (
        "GET /sandbox/api/clock was not sent: nobody answers at http://127.0.0.1:1 "
    ) in done.stderr


def test_options_of_a_sandbox_to_run_are_refused(rows: Path) -> None:
    """They would change nothing in one that runs."""
    done = call("sandbox", "--port", "8080", "seed", str(rows))

    assert done.returncode == 2
    assert "--port is for a sandbox to run, not for one that runs" in done.stderr
