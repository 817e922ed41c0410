"""Rows of a job, each of another amount."""

from orders import an_order

from convergegate_async.bulk import Row


def rows_of(count: int) -> list[Row]:
    """Return so many rows that differ in their amount."""
    return [
        Row(
            position=number,
            line=number,
            row_id=f"order-{number}",
            request=an_order(amount=number),
            raw={"id": f"order-{number}"},
        )
        for number in range(1, count + 1)
    ]
