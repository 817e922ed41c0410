"""Unknown rows and the webhooks that name their sessions: who belongs to whom.

An event names a session, the session is retrieved, and it is a row's if the row alone
could have asked for it (DESIGN.md, *Rows of a job*).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from convergegate_async._core.echo import ECHO_FIELDS, differing_fields
from convergegate_async._core.operations import expected_of
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import State
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.errors import ConfigurationError, NotFoundError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import CheckoutSession

from .job import require_same_home
from .results import session_result

_MUST_MATCH = ("customer_email", "amount_subtotal")
_ALL = 2**31  # rows


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
        CallError: A session cannot be looked at.
    """
    require_same_home(journal.header, factory)
    # Nobody else works on the job: what was under way is as unknown as the rest.
    doubtful = [State.UNKNOWN, State.SENT]
    unknown = {row.row_id for row in await journal.rows(doubtful, limit=_ALL)}
    known = {row.session_id for row in await journal.rows([State.DONE], limit=_ALL)}
    asked = {
        row.row_id: row
        for row in rows
        if isinstance(row, Row) and row.row_id in unknown
    }
    found: defaultdict[str, list[CheckoutSession]] = defaultdict(list)
    for session_id in session_ids:
        if session_id in known:
            continue
        try:
            session = await factory.retrieve(session_id)
        except NotFoundError:
            continue  # another merchant's, or gone
        owners = _owners(session, asked, row_metadata)
        if len(owners) == 1:
            found[owners[0]].append(session)
    reconciled = 0
    for row_id, sessions in found.items():
        if len(sessions) == 1:
            (session,) = sessions
            await journal.complete(session_result(row_id, session))
            reconciled += 1
    return reconciled, len(unknown) - reconciled


def _owners(
    session: CheckoutSession, rows: Mapping[str, Row], row_metadata: str | None
) -> list[str]:
    """Return the ids of the rows that could have asked for *session*."""
    if row_metadata is not None:
        row_id = session.metadata.get(row_metadata, "")
        rows = {row_id: rows[row_id]} if row_id in rows else {}
    return [
        row_id
        for row_id, row in rows.items()
        if all(getattr(session, name) is not None for name in _MUST_MATCH)
        and not differing_fields(expected_of(row.request), session, ECHO_FIELDS)
    ]
