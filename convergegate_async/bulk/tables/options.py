"""How a table is read, as its reader chose it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NoReturn

import attrs

from convergegate_async.models import rules

from .fields import FIELDS
from .formats import SourceError
from .rows import listed

_METADATA = re.compile(rf"metadata\[([^\[\]]{{1,{rules.MAX_METADATA_KEY}}})\]")


@attrs.frozen(kw_only=True)
class TableOptions:
    """How an input is read.

    Attributes:
        id_column: Holds the row's id, 1 to 128 printable characters; keys derive
            from it, so that it must be the same whenever the row is read.
        columns: Names of columns, and the request field each is for, such as
            ``customer_email`` or ``metadata[note]``; ``""`` leaves one out. A
            column that is not named here is for the field of its own name. Columns
            that have no name are called ``""``.
        amount_unit: ``minor`` (4999) or ``major`` (49.99, exactly).
        row_metadata: Where in the metadata the row id is put, if anywhere.
        constants: Texts by request field, such as ``success_url``, that are the same in
            every row, and in no column.
        ignore_extra: Columns for which there is no field are left out, and not refused.

    Raises:
        SourceError: There is no such field or unit, or two columns are for one field.
    """

    id_column: str = "id"
    columns: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    amount_unit: Literal["minor", "major"] = "minor"
    row_metadata: str | None = None
    constants: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    ignore_extra: bool = False

    def __attrs_post_init__(self) -> None:
        _refuse_other_kinds(self)
        targets = [target for target in self.columns.values() if target]
        targets += self.constants
        if self.row_metadata is not None:
            targets.append(f"metadata[{self.row_metadata}]")
        unknown = [target for target in targets if not is_field(target)]
        if unknown:
            refuse(f"no request field is called {listed(unknown)}")
        refuse_repeats(targets, "two columns are for")
        if self.amount_unit not in {"minor", "major"}:
            refuse("amount_unit must be minor or major")


def _refuse_other_kinds(options: TableOptions) -> None:
    if not isinstance(options.id_column, str):
        refuse("id_column must be a str")
    if not isinstance(options.row_metadata, str | None):
        refuse("row_metadata must be a str, or None")
    if not isinstance(options.ignore_extra, bool):
        refuse("ignore_extra must be a bool")
    for name in ("columns", "constants"):
        mapping: object = getattr(options, name)
        if not (
            isinstance(mapping, Mapping)
            and all(isinstance(text, str) for pair in mapping.items() for text in pair)
        ):
            refuse(f"{name} must map texts to texts")


def is_field(name: str) -> bool:
    """Tell whether a request has such a field, or metadata such a key."""
    return name in FIELDS or _METADATA.fullmatch(name) is not None


def refuse_repeats(names: Iterable[str], complaint: str) -> None:
    """Refuse *names* of which one comes twice.

    Raises:
        SourceError: It begins with *complaint*.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        refuse(f"{complaint} {listed(repeated)}")


def refuse(message: str) -> NoReturn:
    """Refuse the input as a whole.

    Raises:
        SourceError: Always.
    """
    raise SourceError(message)
