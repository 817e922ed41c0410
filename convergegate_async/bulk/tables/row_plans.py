"""How rows are read that have the same columns, planned before the first of them is.

The straight way is that of a row in which all is well. It tells nothing of what is
wrong: what it does not take is read once more, carefully.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import CheckoutSessionRequest

from .fields import REQUIRED, Reader, TextReader, as_row_id
from .options import TableOptions

_REQUIRED = frozenset(REQUIRED)


@attrs.frozen(kw_only=True)
class StraightWay:
    """How a row is read in which all is well.

    Attributes:
        id_column: Holds the row's id.
        id_key: Where in the metadata the id is put, if anywhere.
        metadata: The columns of metadata, and the key of each.
        others: The columns that hold no field.
        renamed: The columns that are not called as the field they hold, and that field.
        readers: What reads the fields whose cells are not taken as they are.
        read_text: What reads an id, and a text of metadata.
    """

    id_column: str
    id_key: str | None
    metadata: Sequence[tuple[str, str]]
    others: Sequence[str]
    renamed: Sequence[tuple[str, str]]
    readers: Sequence[tuple[str, Reader]]
    read_text: TextReader

    def read(
        self, cells: Mapping[str, object]
    ) -> tuple[str, CheckoutSessionRequest] | None:
        """Return the id and the request of a row; `None` if anything is wrong."""
        try:
            row_id = as_row_id(self.read_text(self.id_column, cells[self.id_column]))
            fields = self._set_fields(cells)
            if row_id is None or fields is None:
                return None
            for field, read in self.readers:
                if field in fields:
                    fields[field] = read(field, fields)
            if metadata := self._metadata(row_id, cells):
                fields["metadata"] = metadata
            return row_id, CheckoutSessionRequest(**fields)
        except InvalidFieldError:
            return None

    def _set_fields(self, cells: Mapping[str, object]) -> dict[str, Any] | None:
        """Return the fields that are set, as they are; `None` if one is missing."""
        # A copy and what is to be done to it cost half as much as another dict.
        fields: dict[str, Any] = {**cells}
        for column in self.others:
            del fields[column]
        if self.renamed:
            fields |= [(field, fields.pop(column)) for column, field in self.renamed]
        if all(fields.values()):
            return fields
        fields = {name: cell for name, cell in fields.items() if cell not in (None, "")}
        return fields if fields.keys() >= _REQUIRED else None

    def _metadata(self, row_id: str, cells: Mapping[str, object]) -> dict[str, object]:
        found: dict[str, object] = {}
        for column, key in self.metadata:
            if (cell := cells[column]) not in (None, ""):
                found[key] = self.read_text(column, cell)
        if self.id_key is not None:
            found[self.id_key] = row_id
        return found


@attrs.define
class RowPlan:
    """How rows are read that have the same columns.

    Attributes:
        columns: Which they have.
        fields: Those that hold a field, and which one.
        has_twins: Several are for one field, which JSONL may have: no header says so.
        metadata: Those that hold metadata: one text and its key, or, where that is
            `None`, an object; in their order, which is that of the body and so of a
            row's fingerprint.
        wrongs: What is wrong with every such row: reasons by column.
        is_unnamed: One has no name, and nobody has said what it is for.
        straight: The way of a row in which all is well, if any can be.
    """

    columns: Sequence[str]
    fields: list[tuple[str, str]] = attrs.field(factory=list)
    has_twins: bool = False
    metadata: list[tuple[str, str | None]] = attrs.field(factory=list)
    wrongs: dict[str, str] = attrs.field(factory=dict)
    is_unnamed: bool = False
    straight: StraightWay | None = None


def straight_way(
    plan: RowPlan,
    options: TableOptions,
    readers: Mapping[str, Reader],
    read_text: TextReader,
) -> StraightWay | None:
    """Return the straight way by *plan*; `None` if no row with such columns has one.

    Args:
        plan: All but the way.
        options: How the table is read.
        readers: By field, what reads cells that are not taken as they are.
        read_text: What reads an id, and a text of metadata.
    """
    fields = {field for _, field in plan.fields}
    columns = {column for column, _ in plan.fields}
    texts = [(column, key) for column, key in plan.metadata if key is not None]
    keys = [key for _, key in texts]
    if options.row_metadata is not None:
        keys.append(options.row_metadata)
    is_straight = (
        options.id_column in plan.columns
        and fields >= _REQUIRED
        and len(texts) == len(plan.metadata)
        and len(set(keys)) == len(keys)
        and not (plan.has_twins or plan.wrongs or plan.is_unnamed)
    )
    if not is_straight:
        return None
    return StraightWay(
        id_column=options.id_column,
        id_key=options.row_metadata,
        metadata=texts,
        others=[column for column in plan.columns if column not in columns],
        renamed=[(column, field) for column, field in plan.fields if column != field],
        readers=[(field, read) for field, read in readers.items() if field in fields],
        read_text=read_text,
    )
