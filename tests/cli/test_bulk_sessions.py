"""What ``bulk`` tells of sessions once the links are out, as a user sees it."""

import asyncio
import json
import os
import shutil
import signal
from decimal import Decimal
from pathlib import Path

import click
import pytest
from orders import numbered_orders, table_of
from programs import PROGRAM, bulk, send, shell_needed, variables_of

from convergegate_async.bulk import Journal
from convergegate_async.cli._job_refunds import read_sums
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

ROWS = 6


@pytest.fixture
async def folder(sandbox: Sandbox, tmp_path: Path) -> Path:
    """Where the job ``april`` has opened its sessions."""
    (tmp_path / "orders.csv").write_text(table_of(numbered_orders(ROWS)))
    done = await bulk(sandbox, tmp_path, "run", "orders.csv", "--job", "april")
    assert done.code == 0, done.err
    return tmp_path


async def test_a_refresh_shows_what_became_of_the_sessions(
    sandbox: Sandbox, folder: Path
) -> None:
    """Counts and sums by status and currency, at its end and in ``status``."""
    before = await bulk(sandbox, folder, "status", "april")
    for session in sandbox.book.sessions.values():
        if session.request.amount <= 2000:
            sandbox.book.pay(session, "123456")

    done = await bulk(sandbox, folder, "refresh", "april")
    table = await bulk(sandbox, folder, "status", "april")
    data = await bulk(sandbox, folder, "status", "april", "--output", "json")

    assert "  not looked at            6\n" in before.out
    assert (done.code, done.out) == (0, "")
    assert "april: 6 sessions looked at\n" in done.err
    for line in (
        "sessions               count              amount\n",
        "  completed                2  PLN          30.00\n",
        "  open                     4  PLN         180.00\n",
    ):
        assert line in done.err
        assert line in table.out
    [paid, still_open] = json.loads(data.out)["sessions"]
    assert (paid["status"], paid["count"], paid["amount_total"]) == (
        *("completed", 2),
        3000,
    )
    assert (still_open["status"], still_open["currency"]) == ("open", "pln")


async def test_a_refresh_in_a_rhythm_ends_once_all_is_final(
    sandbox: Sandbox, folder: Path
) -> None:
    """It looks at what is open again and again, and at nothing else."""

    async def pay_after_a_look() -> None:
        while sandbox.count("retrieve") < ROWS:  # noqa: ASYNC110 -- of another process
            await asyncio.sleep(0.01)
        for session in sandbox.book.sessions.values():
            sandbox.book.pay(session, "123456")

    paying = asyncio.create_task(pay_after_a_look())
    done = await bulk(sandbox, folder, "refresh", "april", "--every", "100ms")
    await paying

    assert done.code == 0
    assert done.err.endswith("  completed                6  PLN         210.00\n")


async def test_a_refresh_in_a_rhythm_ends_at_its_moment(
    sandbox: Sandbox, folder: Path
) -> None:
    """Once no further look fits before it; what is open is left for another time."""
    until = "2020-01-01T00:00"
    words = ("refresh", "april", "--every", "10m", "--until", until)

    done = await bulk(sandbox, folder, *words)

    assert (done.code, sandbox.count("retrieve")) == (0, ROWS)


async def test_the_end_of_no_rhythm_is_refused(sandbox: Sandbox, folder: Path) -> None:
    """With what to add; and so is what is no time."""
    for words, code in (
        (("--until", "18:00"), 2),
        (("--every", "often"), 2),
        (("--every", "10m", "--until", "noon"), 2),
    ):
        done = await bulk(sandbox, folder, "refresh", "april", *words)

        assert done.code == code
        assert "Traceback" not in done.err
    assert sandbox.count("retrieve") == 0


async def test_sessions_that_cannot_be_seen_are_counted(
    sandbox: Sandbox, folder: Path
) -> None:
    """By the class of the error, with an exit code of their own."""
    sandbox.faults.add(
        Fault(FaultKind.STATUS, operation="retrieve", status=404, times=2)
    )

    done = await bulk(sandbox, folder, "refresh", "april")

    assert done.code == 5
    assert "april: 4 sessions looked at\n          2 NotFoundError\n" in done.err


@shell_needed
async def test_an_interrupt_between_two_looks_ends_a_rhythm(
    sandbox: Sandbox, folder: Path
) -> None:
    """At once, and whoever comes meanwhile can open the journal."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "bulk", "refresh", "april", "--every", "1h"),
        cwd=folder,
        env=variables_of(sandbox),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"open" not in await process.stderr.readline():
        pass
    between = await bulk(sandbox, folder, "resume", "april")
    send(process, signal.SIGTERM)
    await process.communicate()

    assert between.code == 0, between.err
    assert process.returncode == 130


async def test_a_rhythm_outlives_those_who_read_the_journal(
    sandbox: Sandbox, folder: Path
) -> None:
    """A look that finds it in use is left out and told, and the next one is made."""
    words = ("refresh", "april", "--every", "1s")
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "bulk", *words),
        cwd=folder,
        env={**os.environ, **variables_of(sandbox)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"Next look" not in await process.stderr.readline():
        pass
    with Journal.read(folder / "april.journal"):
        held = await bulk(sandbox, folder, *words)
        refused = await process.stderr.readline()
    for session in sandbox.book.sessions.values():
        sandbox.book.pay(session, "123456")
    _, rest = await process.communicate()

    assert (held.code, held.err.count("\n")) == (3, 1)
    assert refused.startswith(b"Not looked at: ")
    assert b"another process works on this job" in refused
    assert (process.returncode, rest.count(b"completed                6")) == (0, 1)


BATCH = ("refund", "april", "--batch", "march", "--where", "status=completed")


@pytest.fixture
async def paid(sandbox: Sandbox, folder: Path) -> Path:
    """Where the job is, four of whose six sessions are paid."""
    for session in sandbox.book.sessions.values():
        if session.request.amount <= 4000:
            sandbox.book.pay(session, "123456")
    done = await bulk(sandbox, folder, "refresh", "april")
    assert done.code == 0
    return folder


def paid_back(sandbox: Sandbox) -> int:
    """Return what the gateway has paid back, in grosze."""
    return sum(one.amount_refunded for one in sandbox.book.sessions.values())


async def test_a_batch_is_shown_and_then_paid_back_once(
    sandbox: Sandbox, paid: Path
) -> None:
    """What a dry run prints sends it; the command from the history sends nothing."""
    total = paid_back_at_most(sandbox)
    shown = await bulk(sandbox, paid, *BATCH, "--full", "--dry-run")
    expected = shown.out.split()
    assert (shown.code, sandbox.count("refund")) == (0, 0)
    assert expected == ["--expect-sum", f"PLN={total / 100:.2f}"]

    runs = [await bulk(sandbox, paid, *BATCH, "--full", *expected) for _ in range(2)]
    status = await bulk(sandbox, paid, "status", "april")

    assert [done.code for done in runs] == [0, 0]
    assert "batch march: created 4, rejected 0, unknown 0, pending 0\n" in runs[1].err
    assert "(begun before)" in runs[1].err
    assert sandbox.count("refund") == 4
    assert paid_back(sandbox) == total
    assert "batch march: created 4, rejected 0, unknown 0, pending 0\n" in status.out
    assert f", refunded {total / 100:.2f}\n" in status.out


async def test_what_a_copy_of_the_job_has_paid_back_is_shown(
    sandbox: Sandbox, paid: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Before an older one, which was looked at since, pays as much back once more."""
    older = tmp_path_factory.mktemp("older")
    shutil.copytree(paid, older, dirs_exist_ok=True)
    part = ("--amount-column", "amount", "--expect-sum")
    half = ("--rows", "half.csv", "--batch", "march")
    for folder in (paid, older):
        (folder / "half.csv").write_text("id,amount\nA-1,100\n")
    made = await bulk(sandbox, paid, "refund", "april", *half, *part, "PLN=1.00")
    await bulk(sandbox, older, "refresh", "april", "--all")
    shown = await bulk(sandbox, older, "refund", "april", *half, *part[:2], "--dry-run")

    assert (made.code, shown.code) == (0, 0), made.err
    assert "PLN 1.00 of these sessions is paid back by now, and not by this job" in (
        shown.err
    )


def paid_back_at_most(sandbox: Sandbox) -> int:
    """Return what customers have paid, in grosze."""
    sessions = sandbox.book.sessions.values()
    return sum(one.request.amount for one in sessions if one.payments)


async def test_rows_of_a_file_are_paid_back_in_its_own_spelling(
    sandbox: Sandbox, paid: Path
) -> None:
    """A Polish spreadsheet's amounts, by the ids of the job; and nothing is guessed."""
    (paid / "zwroty.csv").write_text("id;kwota\nA-1;1,50\nA-2;20,00\n", "cp1250")
    words = ("refund", "april", "--batch", "march", "--rows", "zwroty.csv")
    more = (
        *("--amount-column", "Kwota", "--amount-unit", "major"),
        *("--delimiter", "semicolon", "--encoding", "cp1250"),
    )

    other = await bulk(sandbox, paid, *words, *more, "--expect-sum", "PLN=21.40")
    hint = await bulk(sandbox, paid, *words, "--amount-column", "kwoty", "--dry-run")
    done = await bulk(sandbox, paid, *words, *more, "--expect-sum", "PLN=21,50")

    assert (other.code, hint.code, done.code) == (3, 3, 0)
    assert (
        "no column kwoty among id, kwota (say which with --amount-column)" in hint.err
    )
    assert "comes to PLN 21.50, and PLN 21.40 was expected" in other.err
    assert sandbox.count("refund") == 2
    assert paid_back(sandbox) == 2_150


async def test_what_to_pay_back_may_come_by_stdin(sandbox: Sandbox, paid: Path) -> None:
    """As the message about a pipe says; it is read as a file is, and leaves none."""
    words = ("refund", "april", "--batch", "march", "--rows", "-")
    more = ("--amount-column", "amount")
    rows = "id,amount\nA-1,150\nA-2,2000\n"

    shown = await bulk(sandbox, paid, *words, *more, "--dry-run", stdin=rows)
    done = await bulk(sandbox, paid, *words, *more, *shown.out.split(), stdin=rows)

    assert (shown.code, done.code) == (0, 0)
    assert shown.out == "--expect-sum PLN=21.50\n"
    assert paid_back(sandbox) == 2_150


async def test_what_a_file_cannot_have_paid_back_stops_all_of_it(
    sandbox: Sandbox, paid: Path
) -> None:
    """With each line or row and why, and without an amount in it."""
    (paid / "refunds.csv").write_text(
        "id,amount\nA-1,100\nA-1,100\nA-2,9999999\nA-6,100\nA-9,100\nA-3,x\n,5\n"
    )
    words = ("refund", "april", "--batch", "march", "--rows", "refunds.csv")
    more = ("--amount-column", "amount", "--expect-sum", "PLN=1.00")

    done = await bulk(sandbox, paid, *words, *more)

    assert (done.code, sandbox.count("refund")) == (1, 0)
    for line in (
        "line 7: column amount must be whole minor units",
        "line 8: column id has no id",
        "row A-1 is wanted more than once: add its amounts up",
        "row A-2 has less than that left to be paid back",
        "row A-6 was not paid when it was last looked at",
        "row A-9 has no session in this job",
        "Nothing was sent: mend refunds.csv, and give the same command again.",
    ):
        assert f"{line}\n" in done.err
    assert "9999999" not in done.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--full",), "--rows FILE or --where"),
        (("--where", "status=completed"), "--full or --amount-column"),
        (("--where", "paid", "--full"), "must be status=WORD"),
        (("--where", "status=completed", "--full"), "only with --expect-sum"),
        (
            ("--where", "status=completed", "--full", "--expect-sum", "PLN"),
            "must be like PLN=1234.50",
        ),
    ],
)
async def test_half_of_a_refund_command_is_refused(
    sandbox: Sandbox, paid: Path, words: tuple[str, ...], what: str
) -> None:
    """With what is missing, and nothing is sent."""
    done = await bulk(sandbox, paid, "refund", "april", "--batch", "march", *words)

    assert (done.code, sandbox.count("refund")) == (2, 0)
    assert what in done.err


async def test_a_status_that_no_session_has_is_refused(
    sandbox: Sandbox, paid: Path
) -> None:
    """With those that there are, whether it is to be shown or sent."""
    words = ("refund", "april", "--batch", "march", "--where", "status=paid", "--full")
    for more in (("--dry-run",), ("--expect-sum", "PLN=1.00")):
        done = await bulk(sandbox, paid, *words, *more)

        assert (done.code, sandbox.count("refund")) == (2, 0)
        assert "no session has the status paid (completed, open)" in done.err


async def test_a_refund_in_doubt_is_told_and_left_alone(
    sandbox: Sandbox, paid: Path
) -> None:
    """Its exit code says that something is left to do; a repeat does not send it."""
    total = f"PLN={paid_back_at_most(sandbox) / 100:.2f}"
    words = (*BATCH, "--full", "--expect-sum", total)
    sandbox.faults.add(Fault(FaultKind.RESET, operation="refund", times=1))

    runs = [await bulk(sandbox, paid, *words) for _ in range(2)]

    [session] = [
        one
        for one in sandbox.book.sessions.values()
        if one.payments and not one.refunds
    ]
    number = session.request.amount // 1000
    assert [done.code for done in runs] == [5, 5]
    for done in runs:
        assert "batch march: created 3, rejected 0, unknown 1, pending 0\n" in done.err
        what = f"row A-{number}: unknown, PLN {number}0.00 of {session.id}: refund has"
        assert f"\n{what}" in done.err
        assert "idempotency key" not in done.err
        assert "`convergegate bulk resolve april ROW --batch march`" in done.err
    assert sandbox.count("refund") == 4
    shown = await bulk(sandbox, paid, *BATCH, "--full", "--dry-run")
    assert (shown.code, shown.out) == (0, "")
    assert "Nothing is left to send; 1 in doubt: `convergegate bulk res" in shown.err


@pytest.mark.parametrize(
    ("words", "how"),
    [
        (("refresh", "april", "--all"), "`convergegate bulk refresh april`"),
        ((*BATCH, "--full", "--expect-sum", "PLN=100"), "the same command"),
    ],
)
async def test_an_outage_ends_what_is_done_to_sessions(
    sandbox: Sandbox, paid: Path, words: tuple[str, ...], how: str
) -> None:
    """After as long as it was said, and with what goes on."""
    sandbox.faults.add(Fault(FaultKind.STATUS, operation="retrieve", status=429))

    done = await bulk(sandbox, paid, *words, "--max-outage", "0.5")

    assert (done.code, sandbox.count("refund")) == (5, 0), done.err
    assert f"left as it was: go on with {how} once the gateway is back" in done.err


@pytest.mark.parametrize(
    "text", ["PLN=1076,67", "pln=1076.67", "PLN=1 076,67", "PLN=1\u202f076.67"]
)
def test_a_sum_is_read_as_it_is_shown(text: str) -> None:
    """With thousands apart, a decimal comma, or neither."""
    assert read_sums((text,)) == {"PLN": Decimal("1076.67")}


@pytest.mark.parametrize(
    "text", ["PLN=10 76,67", "PLN=1  076", "PLN=,5", "PLN=1 076 ", "PLN 1076", "PLN=1,"]
)
def test_what_is_no_sum_is_refused(text: str) -> None:
    """Spaces stand between thousands alone."""
    with pytest.raises(click.BadParameter, match=r"must be like PLN=1234\.50"):
        read_sums((text,))


async def test_a_batch_that_is_over_says_so_in_a_dry_run(
    sandbox: Sandbox, paid: Path
) -> None:
    """There is no sum to expect once more."""
    total = f"PLN={paid_back_at_most(sandbox) / 100:.2f}"
    await bulk(sandbox, paid, *BATCH, "--full", "--expect-sum", total)

    shown = await bulk(sandbox, paid, *BATCH, "--full", "--dry-run")

    assert (shown.code, shown.out) == (0, "")
    assert shown.err.endswith("Nothing is left to send.\n")


async def test_a_refund_in_doubt_has_an_end(sandbox: Sandbox, paid: Path) -> None:
    """Somebody says that it was not made, and another batch makes it."""
    total = f"PLN={paid_back_at_most(sandbox) / 100:.2f}"
    sandbox.faults.add(Fault(FaultKind.RESET, operation="refund", times=1))
    words = ("--where", "status=completed", "--full")
    await bulk(sandbox, paid, *BATCH, "--full", "--expect-sum", total)
    row = next(
        f"A-{one.request.amount // 1000}"
        for one in sandbox.book.sessions.values()
        if one.payments and not one.refunds
    )

    wrong = await bulk(sandbox, paid, "resolve", "april", row, "--batch", "march")
    done = await bulk(
        *(sandbox, paid, "resolve", "april", row),
        *("--batch", "march", "--not-created"),
    )
    rest = ("refund", "april", "--batch", "rest", *words)
    shown = await bulk(sandbox, paid, *rest, "--dry-run")
    again = await bulk(sandbox, paid, *rest, *shown.out.split())

    assert wrong.code == 2
    assert done.code == 0
    first, second, *_ = done.err.splitlines()
    assert first == f"The refund of row {row} was not made: another batch may make it."
    assert second.startswith("batch march: ")
    assert again.code == 0
    assert paid_back(sandbox) == paid_back_at_most(sandbox)


async def test_a_batch_name_is_not_used_again_by_chance(
    sandbox: Sandbox, paid: Path
) -> None:
    """Another file of the same sum under it is refused, and names the rows."""
    words = ("refund", "april", "--batch", "march", "--amount-column", "amount")
    runs = []
    for number in (1, 2):
        path = paid / f"back-{number}.csv"
        path.write_text(f"id,amount\nA-{number},100\n")
        runs.append(
            await bulk(
                *(sandbox, paid, *words, "--rows", path.name),
                *("--expect-sum", "PLN=1.00"),
            )
        )

    assert [done.code for done in runs] == [0, 1]
    assert "row A-2 is not in the batch as it was begun" in runs[1].err
    assert sandbox.count("refund") == 1
