"""A row of a table: a checkout session to create, or a problem to tell.

No problem repeats a value: rows are personal data.
"""

from collections.abc import Mapping, Sequence

import attrs

from convergegate_async.models import CheckoutSessionRequest

_MAX_SHOWN = 60
_MAX_LISTED = 20


@attrs.frozen(kw_only=True)
class _InputRow:
    """What is known of a row, good or bad.

    Attributes:
        position: Which row of the input it is, from 1.
        line: Where it begins in the file, from 1; the position in Parquet.
        raw: The row as read, for the dead-letter file.
    """

    position: int
    line: int
    raw: Mapping[str, object] = attrs.field(repr=False, hash=False)


@attrs.frozen(kw_only=True)
class Row(_InputRow):
    """A session to create.

    Hand rows to a job that has no file::

        row = Row(position=1, line=1, raw={}, row_id="A-17", request=request)
        async for outcome in job.run([row]):
            ...

    Attributes:
        row_id: The caller's name of the row, in Unicode's composed form (NFC).
    """

    row_id: str
    request: CheckoutSessionRequest = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Problem(_InputRow):
    """One thing that is wrong with a row; a row may have several.

    Attributes:
        row_id: The row's id, where it could be read.
        column: The column that holds or lacks the value; `None` for the whole row.
        reason: What is wrong, without the value.
    """

    row_id: str | None
    column: str | None
    reason: str

    def __str__(self) -> str:
        columns = () if self.column is None else (self.column,)
        return f"line {self.line}{in_columns(columns)}: {self.reason}"


def in_columns(columns: Sequence[str]) -> str:
    """Return how a problem names its columns, safe to print."""
    words = {0: "", 1: ", column "}.get(len(columns), ", columns ")
    return f"{words}{listed(columns)}"


def listed(names: Sequence[str]) -> str:
    """Return the names of columns, safe to print."""
    first = ", ".join(map(shown, names[:_MAX_LISTED]))
    more = len(names) - _MAX_LISTED
    return f"{first} and {more} more" if more > 0 else first


def shown(name: str) -> str:
    """Return a column's name, safe to print."""
    if len(name) > _MAX_SHOWN:
        name = f"{name[:_MAX_SHOWN]}…"
    return name if name.isprintable() and name.strip() else ascii(name)
