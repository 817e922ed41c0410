"""What somebody wants to be paid back, row by row."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from decimal import Decimal
from typing import TypeAlias

import attrs

from convergegate_async.bulk.journal.journal import Journal

from .paging import every_row


@attrs.frozen
class WantedRefund:
    """A row whose session is to be paid back.

    Attributes:
        row_id: The row's id in the input of the job.
        amount: Minor units as an `int`, or major units as a `Decimal`; `None` is all
            that is left.
    """

    row_id: str
    amount: int | Decimal | None = None


Wanted: TypeAlias = Iterable[WantedRefund] | AsyncIterable[WantedRefund]


async def sessions_in(journal: Journal, status: str) -> AsyncIterator[WantedRefund]:
    """Yield all rows whose session had that *status* when it was last seen."""
    async for row in every_row(journal):
        if row.facts is not None and row.facts.status == status:
            yield WantedRefund(row.row_id)
