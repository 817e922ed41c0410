"""Unknown rows and the webhooks that name their sessions: who belongs to whom.

An event names a session, the session is retrieved, and it is a row's if the row alone
could have asked for it (DESIGN.md, *Rows of a job*).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from convergegate_async._core.echo import ECHO_FIELDS, differing_fields
from convergegate_async._core.operations import expected_of
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import State
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.errors import ConfigurationError, NotFoundError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import CheckoutSession

from .header import fingerprint, require_same_home
from .reports import every_row, in_chunks
from .row_results import session_result

_MUST_MATCH = ("customer_email", "amount_subtotal")


def session_ids_in(path: Path) -> Iterator[str]:
    """Yield the session ids that a file of webhook bodies names, each once.

    Args:
        path: One JSON object a line, as the gateway sent it.

    Raises:
        ConfigurationError: A line is anything else.
    """
    seen: set[str] = set()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            session_id = _session_id(line)
            if session_id is None:
                message = f"{path}, line {number}: not a webhook's body"
                raise ConfigurationError(message)
            if session_id and session_id not in seen:
                seen.add(session_id)
                yield session_id


def _session_id(line: str) -> str | None:
    """Return the session an event is about, or "" if it is about none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict):
        return None
    data = event.get("data")
    session_id = data.get("session_id") if isinstance(data, dict) else None
    return session_id if isinstance(session_id, str) else ""


async def reconcile(
    journal: Journal,
    factory: CheckoutSessionFactory,
    rows: Iterable[Row | Problem],
    session_ids: Iterable[str],
    row_metadata: str | None = None,
) -> tuple[int, int]:
    """Give the unknown rows their sessions, where those are beyond doubt.

    Args:
        journal: What is known of the rows.
        factory: Open, to retrieve the sessions.
        rows: The input, in which the unknown rows are looked up.
        session_ids: Sessions that events named.
        row_metadata: The name under which sessions carry their row's id, if they do.
            Without it a row is known by its customer, amount, addresses and metadata.

    Returns:
        How many rows were reconciled, and how many are still unknown.

    Raises:
        JournalError: The journal belongs to another gateway, key, or mode.
        ConfigurationError: Sessions do not carry their row's id, and the input lacks
            unknown rows as they were sent: any session could be theirs.
        CallError: A session cannot be looked at.
    """
    require_same_home(journal.header, factory)
    candidates = await _candidates(journal, factory, session_ids)
    seen: set[str] = set()
    owners: defaultdict[str, set[str]] = defaultdict(set)
    found: defaultdict[str, dict[str, CheckoutSession]] = defaultdict(dict)
    for batch in in_chunks(rows):
        for row in await _in_doubt(journal, batch):
            seen.add(row.row_id)
            for session in candidates:
                if _may_own(row, session, row_metadata):
                    owners[session.id].add(row.row_id)
                    found[row.row_id][session.id] = session
    hidden = await _count_in_doubt(journal) - len(seen)
    if hidden and row_metadata is None:
        message = (
            f"rows in doubt that the input does not hold as they were sent: {hidden}; "
            "any session could be theirs, so put them back"
        )
        raise ConfigurationError(message)
    reconciled = 0
    for row_id, sessions in found.items():
        (session, *others) = sessions.values()
        if not others and len(owners[session.id]) == 1:
            await journal.complete(session_result(row_id, session))
            reconciled += 1
    return reconciled, await _count_in_doubt(journal)


async def _count_in_doubt(journal: Journal) -> int:
    counts = await journal.counts()
    # Nobody else works on the job: what was under way is as unknown as the rest.
    return counts[State.UNKNOWN] + counts[State.SENT]


async def _candidates(
    journal: Journal, factory: CheckoutSessionFactory, session_ids: Iterable[str]
) -> list[CheckoutSession]:
    """Return the sessions that no row has yet."""
    wanted = dict.fromkeys(session_ids)
    async for row in every_row(journal):
        wanted.pop(row.session_id or "", None)
    candidates = []
    for session_id in wanted:
        with suppress(NotFoundError):  # another merchant's, or gone
            candidates.append(await factory.retrieve(session_id))
    return candidates


async def _in_doubt(journal: Journal, batch: list[Row | Problem]) -> list[Row]:
    rows = [row for row in batch if isinstance(row, Row)]
    known = await journal.lookup([row.row_id for row in rows])
    salt = journal.header.salt
    return [
        row
        for row in rows
        if (record := known.get(row.row_id)) is not None
        and record.is_in_doubt
        and record.fingerprint == fingerprint(row.request, salt)  # it is what was sent
    ]


def _may_own(row: Row, session: CheckoutSession, row_metadata: str | None) -> bool:
    """Tell whether *row* could have asked for *session*."""
    if row_metadata is not None and session.metadata.get(row_metadata) != row.row_id:
        return False
    return all(
        getattr(session, name) is not None for name in _MUST_MATCH
    ) and not differing_fields(expected_of(row.request), session, ECHO_FIELDS)
