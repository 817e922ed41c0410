"""The order that most tests make, as fields and as a request."""

from collections.abc import Iterable, Mapping
from typing import Any

from convergegate_async import CheckoutSessionRequest
from convergegate_async.testing._builders import PLAIN_ORDER

ORDER_FIELDS: dict[str, Any] = {**PLAIN_ORDER}

ORDER_ROW: dict[str, object] = {"id": "A-1", **ORDER_FIELDS, "amount": "4999"}
"""The same as a row of a table, in which all is text."""


def numbered_orders(count: int) -> list[dict[str, object]]:
    """Return so many rows, from A-1 on, each of 10.00 more than the one before."""
    numbers = range(1, count + 1)
    return [ORDER_ROW | {"id": f"A-{n}", "amount": 1000 * n} for n in numbers]


def table_of(rows: Iterable[Mapping[str, object]], delimiter: str = ",") -> str:
    """Return rows like `ORDER_ROW` as CSV; no cell of them is to be quoted."""
    lines = [[*ORDER_ROW], *(row.values() for row in rows)]
    return "\n".join(delimiter.join(map(str, line)) for line in lines)


def an_order(**changes: Any) -> CheckoutSessionRequest:  # noqa: ANN401 -- handed through
    """Build the order, with other or further fields."""
    return CheckoutSessionRequest(**ORDER_FIELDS | changes)
