"""A job over and done, made without a gateway: all its sessions were seen, and open."""

import csv
import time
from contextlib import closing
from pathlib import Path

from convergegate_async import CheckoutSessionFactory
from convergegate_async.bulk import (
    Intent,
    JobFolder,
    JobPlan,
    Row,
    RowResult,
    SessionFacts,
    State,
    new_header,
)
from convergegate_async.bulk.jobs.header import fingerprint
from convergegate_async.bulk.journal.database import Database

FIELDS = (
    *("id", "amount", "currency", "customer_email", "customer_firstname"),
    *("customer_lastname", "customer_phone", "success_url"),
)


def write_input(folder: JobFolder, numbers: range) -> Path:
    """Write an order for each of *numbers*, and return the file."""
    path = folder.directory / "orders.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for n in numbers:
            writer.writerow(
                [
                    *(f"order-{n}", n % 90_000 + 1, "pln", f"klient{n}@example.pl"),
                    *("Łukasz", "Gżegżółka", "+48601234567"),
                    "https://shop.example/ok",
                ]
            )
    return path


def make_seen_job(
    folder: JobFolder, rows: int, factory: CheckoutSessionFactory
) -> None:
    """Make a job of *factory* that has opened and seen a session for each of *rows*."""
    plan = JobPlan(source=str(write_input(folder, range(rows)))).kept_in(folder)
    header = new_header(factory, folder.job, plan)
    Database.create(folder.journal, header)
    with closing(Database.open(folder.journal)) as database, database.transaction():
        for row in plan.rows():
            if not isinstance(row, Row):
                raise TypeError(row)
            mark = fingerprint(row.request, header.salt)
            database.intend(Intent(row.row_id, row.position, mark, time.time()))
            session_id = f"cs_{row.position:019}"
            url = f"https://checkout.example.com/shop/pay/{session_id}"
            database.complete(RowResult(row.row_id, State.CREATED, session_id, url))
            amount = row.request.amount
            facts = SessionFacts(time.time(), "open", "pln", amount, 0, 4e9)
            database.sessions.see(row.row_id, facts)
