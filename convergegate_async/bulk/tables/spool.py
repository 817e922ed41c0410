"""Records that are written in two passes: a header comes before what it depends on."""

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TypeAlias

import attrs

from .formats import OWN_PREFIX

Table: TypeAlias = Iterable[Mapping[str, object]]
Batch: TypeAlias = list[Mapping[str, object]]

_BATCH = 1_000


@attrs.frozen
class Spool:
    """Records in a nameless file.

    Attributes:
        columns: All that occur, in the order in which they do; ours last.
        count: How many records there are.
        batches: Gives them, a few at a time, as often as it is called.
    """

    columns: list[str]
    count: int
    batches: Callable[[], Iterator[Batch]]


@contextmanager
def spooled(records: Table) -> Iterator[Spool]:
    """Read *records* once, and give what can be read again."""
    with tempfile.TemporaryFile() as file:
        columns: dict[str, None] = {}
        count = 0
        waiting = iter(records)
        while batch := list(islice(waiting, _BATCH)):
            for record in batch:
                columns |= dict.fromkeys(record)
            count += len(batch)
            pickle.dump(batch, file)
        end = file.tell()

        def batches() -> Iterator[Batch]:
            file.seek(0)
            while file.tell() < end:
                yield pickle.load(file)  # noqa: S301 -- our own, and nobody else's

        yield Spool(sorted(columns, key=_is_ours), count, batches)


def _is_ours(column: str) -> bool:
    return column.startswith(OWN_PREFIX)
