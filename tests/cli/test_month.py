"""A shop's month, from the accountant's file to the last refund, as processes.

Some of them are killed on the way. What the export says at the end is what the
gateway's book says, to the grosz.
"""

import asyncio
import csv
from decimal import Decimal
from pathlib import Path

import pytest
from programs import PROGRAM, bulk, shell_needed, variables_of

from convergegate_async.sandbox import BookedSession, Fault, FaultKind, Sandbox

ROWS = 60
HEADER = "Nr;Kwota;Waluta;E-mail;Imię;Nazwisko;Telefon"
OPTIONS = (
    *("--id-column", "nr", "--map", "kwota=amount", "--map", "waluta=currency"),
    *("--map", "e-mail=customer_email", "--map", "imię=customer_firstname"),
    *("--map", "nazwisko=customer_lastname", "--map", "telefon=customer_phone"),
    *("--set", "success_url=https://shop.example/thanks", "--amount-unit", "major"),
    *("--default-country", "PL"),
)
WEATHER = (
    Fault(FaultKind.STATUS, operation="create", status=429, probability=0.05),
    Fault(FaultKind.STATUS, operation="create", status=400, probability=0.02),
    Fault(FaultKind.LATENCY, operation="create", seconds=0.05),
    Fault(FaultKind.LATENCY, operation="refund", seconds=0.05),
)


def write_orders(folder: Path) -> None:
    """Write what a Polish spreadsheet does."""
    lines = [HEADER]
    for number in range(1, ROWS + 1):
        currency = "EUR" if number % 5 == 0 else "PLN"
        amount = f"{number * 17},{number:02}"
        person = f"k{number}@example.com;Żaneta;Wójcik;601 234 5{number:02}"
        lines.append(f"FV/{number};{amount};{currency};{person}")
    (folder / "orders.csv").write_bytes("\r\n".join(lines).encode("cp1250"))


async def killed(
    sandbox: Sandbox, folder: Path, operation: str, calls: int, *words: str
) -> None:
    """Run a command of ``bulk`` until the gateway has had so many calls of it."""
    before = sandbox.count(operation)
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "bulk", *words),
        cwd=folder,
        env=variables_of(sandbox),
        stderr=asyncio.subprocess.DEVNULL,
    )
    while sandbox.count(operation) < before + calls:
        assert process.returncode is None
        await asyncio.sleep(0.005)
    process.kill()
    await process.wait()


def sums(sessions: list[BookedSession], currency: str) -> tuple[Decimal, Decimal]:
    """Return what sessions of a currency come to, and what is paid back of them."""
    own = [one for one in sessions if one.request.currency == currency]
    amounts = (
        sum(one.request.amount for one in own),
        sum(o.amount_refunded for o in own),
    )
    whole, back = (Decimal(amount) / 100 for amount in amounts)
    return whole, back


@shell_needed
@pytest.mark.timeout(300)
async def test_a_month(tmp_path: Path) -> None:
    """Checked, opened, paid, paid back in two batches, exported; killed in between."""
    write_orders(tmp_path)
    async with Sandbox(faults=WEATHER) as sandbox:
        checked = await bulk(sandbox, tmp_path, "check", "orders.csv", *OPTIONS)
        assert checked.code == 0, checked.err

        begin = ("run", "orders.csv", "--job", "may", *OPTIONS, "--concurrency", "4")
        await killed(sandbox, tmp_path, "create", ROWS // 3, *begin)
        resumed = await bulk(sandbox, tmp_path, "resume", "may")
        assert "pending 0" in resumed.err

        for session in sandbox.book.sessions.values():
            if session.request.amount % 4:
                sandbox.book.pay(session, "123456")
        refreshed = await bulk(sandbox, tmp_path, "refresh", "may")
        assert refreshed.code == 0, refreshed.err

        await bulk(sandbox, tmp_path, "export", "may", "--output", "paid.csv")
        paid = [row["Nr"] for row in read(tmp_path / "paid.csv") if is_paid(row)]
        (tmp_path / "back.csv").write_text(
            "Nr;Zwrot\n" + "".join(f"{row_id};1,25\n" for row_id in paid[:12])
        )
        part = ("--batch", "part", "--rows", "back.csv", "--amount-column", "zwrot")
        rest = ("--batch", "rest", "--where", "status=completed", "--full")
        for batch in (part, rest):
            words = ("refund", "may", *batch)
            shown = await bulk(sandbox, tmp_path, *words, "--dry-run")
            assert shown.code == 0, shown.err
            order = (*words, *shown.out.split())
            await killed(sandbox, tmp_path, "refund", 5, *order, "--maximum-rps", "40")
            for _ in range(2):
                done = await bulk(sandbox, tmp_path, *order)
                assert "pending 0\n" in done.err

        await bulk(sandbox, tmp_path, "refresh", "may", "--all")
        exported = await bulk(
            sandbox, tmp_path, "export", "may", "--output", "may.csv", "--bom"
        )
        status = await bulk(sandbox, tmp_path, "status", "may")
        assert exported.code == 0, exported.err
        judge(tmp_path / "may.csv", sandbox, status.out)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of an export."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def is_paid(row: dict[str, str]) -> bool:
    """Tell whether a row's session was completed when it was last seen."""
    return row["cg_status"] == "completed"


def judge(path: Path, sandbox: Sandbox, status: str) -> None:
    """Compare an export with the gateway's book."""
    rows = read(path)
    assert [row["Nr"] for row in rows] == [f"FV/{n}" for n in range(1, ROWS + 1)]
    booked = sandbox.book.sessions
    known = [booked[row["cg_session_id"]] for row in rows if row["cg_session_id"]]
    assert len({one.id for one in known}) == len(known) > ROWS * 3 // 4
    for row in rows:
        if row["cg_session_id"]:
            session = booked[row["cg_session_id"]]
            assert row["E-mail"] == session.request.customer_email
            assert row["cg_status"] == session.status
    for currency in ("pln", "eur"):
        opened = [row for row in rows if row["cg_state"] == "created"]
        own = [row for row in opened if row["cg_currency"] == currency.upper()]
        exported = tuple(
            sum(Decimal(row[name].replace(",", ".")) for row in own if row[name])
            for name in ("cg_amount", "cg_amount_refunded")
        )
        assert exported == sums(known, currency)
        assert exported[1] > 0
    assert "unknown" in status
