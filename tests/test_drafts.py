"""Values that are made for each call or row are filled field by field, and whole."""

import csv
from pathlib import Path

import attrs
from orders import ORDER_ROW, an_order
from watching import Watcher

from convergegate_async import RefundRequest
from convergegate_async.bulk import TableOptions, create_many, read_table
from convergegate_async.bulk.jobs.row_results import session_result
from convergegate_async.sandbox import Sandbox


def unset(value: attrs.AttrsInstance) -> list[str]:
    """Return the fields of *value* that were forgotten."""
    names = [field.name for field in attrs.fields(type(value))]
    return [name for name in names if not hasattr(value, name)]


async def test_what_a_call_tells_is_whole(sandbox: Sandbox) -> None:
    """Answers, attempts with their times, and calls."""
    watcher = Watcher()
    async with sandbox.factory(observers=[watcher]) as checkout:
        session = await checkout.create(an_order())
        paid = await checkout.pay(session.id, "123456")
        refund = await checkout.refund(RefundRequest(session_id=session.id, full=True))

    answers: list[attrs.AttrsInstance] = [session, paid, refund]
    answers += [session.call, paid.call, refund.call]
    seen: list[attrs.AttrsInstance] = [*watcher.attempts, *watcher.calls]
    seen += [one.timings for one in watcher.attempts]
    for value in answers + seen:
        assert unset(value) == []


async def test_what_becomes_of_a_row_is_whole(sandbox: Sandbox, tmp_path: Path) -> None:
    """The row, its outcome, and what the journal keeps of it."""
    path = tmp_path / "orders.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ORDER_ROW)
        table.writeheader()
        table.writerow(ORDER_ROW)

    [row] = read_table(str(path), TableOptions())
    async with sandbox.factory() as checkout:
        [outcome] = [one async for one in create_many(checkout, [an_order()])]
        session = await checkout.create(an_order())

    for value in (row, outcome, session_result("order-1", session)):
        assert unset(value) == []
