"""Rows as they are stored, and how they are read."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import attrs

from .connection import Reader
from .records import JournalRow, SessionFacts, State

_SELECT = """
SELECT row_id, position, fingerprint, state, attempts, sent_at,
  session_id, url, http_status, code, message, sent_until,
  seen_at, status, currency, amount_total, amount_refunded, expires_at
FROM rows WHERE """
_FACTS = len(attrs.fields(SessionFacts))

_MOST_HEADS = 100
"""A gateway with more of them has links that do not end with the session id."""


class StoredRows:
    """Reads rows, and spells their links: what these have in common is kept once."""

    def __init__(self, connection: Reader) -> None:
        self._connection = connection
        self._heads: dict[int, str] = dict(connection.execute("SELECT * FROM heads"))
        self._numbers = {head: number for number, head in self._heads.items()}

    def where(self, condition: str, *values: object) -> Iterator[JournalRow]:
        """Yield the rows of which *condition*, our own SQL, is true."""
        for row in self._connection.execute(_SELECT + condition, values):
            yield self._read(*row)

    def spelled(self, url: str | None, session_id: str | None) -> str | int | None:
        """Return what stands for a link in the file.

        The documented link ends with the session id; its head is kept but once.
        """
        if url is None or session_id is None or not url.endswith(session_id):
            return url
        head = url.removesuffix(session_id)
        if head in self._numbers:
            return self._numbers[head]
        number = len(self._heads) + 1
        if number > _MOST_HEADS:
            return url
        self._connection.execute("INSERT INTO heads VALUES (?, ?)", (number, head))
        self._heads[number], self._numbers[head] = head, number
        return number

    def _read(self, *row: Any) -> JournalRow:  # noqa: ANN401 -- as SQLite gives it
        own, seen = row[:-_FACTS], row[-_FACTS:]
        known = JournalRow(**dict(zip(_names(), own, strict=True)))
        url = known.url
        if isinstance(url, int):
            url = f"{self._heads[url]}{known.session_id}"
        facts = None if seen[0] is None else SessionFacts(*seen)
        return attrs.evolve(known, state=State(known.state), url=url, facts=facts)


@cache
def _names() -> tuple[str, ...]:
    names = (field.name for field in attrs.fields(JournalRow))
    return tuple(name for name in names if name != "facts")
