"""Unknown rows and the webhooks that name their sessions: who belongs to whom.

An event names a session, the session is retrieved, and it is a row's if that row alone
could have asked for it, and at that time (DESIGN.md, *Rows of a job*).
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from convergegate_async._core.bounded_lines import bounded_lines
from convergegate_async._core.messages import BODY_LIMIT
from convergegate_async._core.strict_json import decode_exactly
from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import JobHeader, JournalRow, State
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.errors import (
    AuthenticationError,
    CallError,
    ConfigurationError,
    InvalidFieldError,
    NotFoundError,
)
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import CheckoutSession

from .doubt import Doubt
from .header import fingerprint, require_same_home
from .paging import in_chunks
from .row_results import session_result

LONGEST_LINE = BODY_LIMIT + 2  # with its end
READS_AT_ONCE = 8
FAILED_IN_A_ROW = 20  # the gateway is down: the other sessions would fail, too
MOST_LISTED = 100
MOST_UNDECIDED = 20  # rows that are named


@attrs.frozen
class Unused:
    """A line of the events, or a session, of which no use could be made.

    Attributes:
        what: ``line 3``, or the session's id.
        reason: Why, without a part of the line in it.
    """

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


@attrs.frozen(kw_only=True)
class Undecided:
    """A row that was given no session.

    Attributes:
        row_id: Its id.
        sessions: How many sessions fit it.
        rows: The most rows that any one of these sessions fits, this row among them.
    """

    row_id: str
    sessions: int
    rows: int

    def __str__(self) -> str:
        if not self.sessions:
            return f"{self.row_id}: no session fits it"
        are = "session fits" if self.sessions == 1 else "sessions fit"
        others = " and other rows" if self.rows > 1 else ""
        return f"{self.row_id}: {self.sessions:,} {are} it{others}"


@attrs.frozen(kw_only=True)
class Reconciliation:
    """What came of reconciling.

    Attributes:
        reconciled: How many rows were given their session.
        unknown: How many are still unknown.
        unused: The first lines and sessions of which no use could be made.
        more: How many there are besides.
        sessions: How many sessions were looked for: those that no row had before.
        unmatched: How many rows none of them fits.
        ambiguous: How many are one of several rows that a session fits, or fit several.
        undecided: The first of those rows.
        by_row_id: Whether sessions carry their row's id, and were known by it.
    """

    reconciled: int
    unknown: int
    unused: tuple[Unused, ...] = ()
    more: int = 0
    sessions: int = 0
    unmatched: int = 0
    ambiguous: int = 0
    undecided: tuple[Undecided, ...] = ()
    by_row_id: bool = False


def session_ids_in(path: Path) -> Iterator[str | Unused]:
    """Yield the session ids that a file of webhook bodies names, each once.

    A line that is no webhook's body is yielded as such, in its place.

    Args:
        path: One JSON object a line, as the gateway sent it.
    """
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(bounded_lines(file.readline, LONGEST_LINE), 1):
            if line is not None and not line.strip():
                continue
            session_id = None if line is None else _session_id(line)
            if session_id is None:
                yield Unused(f"line {number}", "not a webhook's body")
            elif session_id and session_id not in seen:
                seen.add(session_id)
                yield session_id


def _session_id(line: bytes) -> str | None:
    """Return the session an event is about, or "" if it is about none."""
    try:
        event = decode_exactly(line)  # what is said twice is not believed
    except (ValueError, ArithmeticError):
        return None
    if not isinstance(event, dict):
        return None
    data = event.get("data")
    session_id = data.get("session_id") if isinstance(data, dict) else None
    if isinstance(session_id, str):
        return session_id
    return "" if event.get("id") and event.get("type") else None


async def reconcile(
    journal: Journal,
    factory: CheckoutSessionFactory,
    rows: Iterable[Row | Problem],
    session_ids: Iterable[str | Unused],
    row_metadata: str | None = None,
) -> Reconciliation:
    """Give the unknown rows their sessions, where those are beyond doubt.

    A session is a row's only if it was made between the row's first sending and a day
    after it, give or take five minutes. What cannot be read is passed over and told.

    Args:
        journal: What is known of the rows.
        factory: Open, to retrieve the sessions.
        rows: The input, in which the unknown rows are looked up.
        session_ids: Sessions that events named; see `session_ids_in`.
        row_metadata: The name under which sessions carry their row's id, if they do.
            Without it a row is known by its customer, amount, addresses and metadata.

    Returns:
        What came of it.

    Raises:
        JournalError: The journal belongs to another gateway, key, or mode; or it cannot
            be written.
        ConfigurationError: Sessions do not carry their row's id, and the input lacks
            unknown rows as they were sent: any session could be theirs.
    """
    require_same_home(journal.header, factory)
    search = _Search(row_metadata)
    lost = 0
    for batch in in_chunks(rows):
        known = await journal.lookup([row.row_id or "" for row in batch])
        lost += sum(row.row_id not in known for row in batch)
        for row, record in _in_doubt(journal.header, batch, known):
            search.look_for(row, record)
    hidden = await _count_in_doubt(journal) - len(search)
    if journal.header.damaged_at is not None:  # those may have been sent, too
        hidden += lost
    if hidden and row_metadata is None:
        message = (
            f"rows in doubt that the input does not hold as they were sent: {hidden}; "
            "any session could be theirs, so put them back"
        )
        raise ConfigurationError(message)
    unused = _UnusedList()
    wanted = await _wanted(journal, session_ids, unused)
    await _Looks(factory, search, unused).take(wanted)
    found = list(search.found())
    undecided = list(search.undecided())
    unmatched = sum(not row.sessions for row in undecided)
    written = [journal.complete(session_result(*match)) for match in found]
    await asyncio.gather(*written)
    return Reconciliation(
        reconciled=len(found),
        unknown=await _count_in_doubt(journal),
        unused=tuple(unused.first),
        more=unused.more,
        sessions=len(wanted),
        unmatched=unmatched,
        ambiguous=len(undecided) - unmatched,
        undecided=tuple(undecided[:MOST_UNDECIDED]),
        by_row_id=row_metadata is not None,
    )


class _UnusedList:
    """What no use could be made of: the first of them, and how many more."""

    def __init__(self) -> None:
        self.first: list[Unused] = []
        self.more = 0

    def add(self, unused: Unused) -> None:
        if len(self.first) < MOST_LISTED:
            self.first.append(unused)
        else:
            self.more += 1


class _Search:
    """Rows in doubt, and the sessions that could be theirs."""

    def __init__(self, row_metadata: str | None) -> None:
        self._row_metadata = row_metadata
        self._by_id: dict[str, Doubt] = {}
        # A session is compared with the rows of its customer and amount, not with all.
        self._alike: defaultdict[object, list[Doubt]] = defaultdict(list)
        self._owners: dict[str, list[Doubt]] = {}
        self._found: defaultdict[str, list[CheckoutSession]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._by_id)

    def look_for(self, row: Row, known: JournalRow) -> None:
        """Look for the session of a row."""
        if row.row_id in self._by_id:
            return
        doubt = Doubt.of(row, known)
        self._by_id[row.row_id] = doubt
        request = row.request
        self._alike[request.customer_email.casefold(), request.amount].append(doubt)

    def offer(self, session: CheckoutSession) -> str | None:
        """Take in a session; return why it is nobody's, if only its time tells so."""
        email = (session.customer_email or "").casefold()
        alike = self._alike.get((email, session.amount_subtotal), ())
        named = session.metadata.get(self._row_metadata or "")
        fitting = [
            doubt
            for doubt in alike
            if (self._row_metadata is None or named == doubt.row_id)
            and not doubt.differing(session)
        ]
        owners = [doubt for doubt in fitting if doubt.fits_time(session)]
        for doubt in owners:
            self._found[doubt.row_id].append(session)
        self._owners[session.id] = owners
        if owners or not fitting:
            return None
        if session.created_at is None:
            return "does not tell when it was made, and may be an older one"
        return "was not made when its row was sent"

    def found(self) -> Iterator[tuple[str, CheckoutSession]]:
        """Yield the rows that have one session which is nobody else's."""
        for row_id, (session, *others) in self._found.items():
            if not others and len(self._owners[session.id]) == 1:
                yield row_id, session

    def undecided(self) -> Iterator[Undecided]:
        """Yield the other rows, in the order of the input."""
        decided = {row_id for row_id, _ in self.found()}
        for row_id in self._by_id:
            if row_id not in decided:
                fitting = self._found.get(row_id, ())
                owners = (self._owners[session.id] for session in fitting)
                rows = max(map(len, owners), default=0)
                yield Undecided(row_id=row_id, sessions=len(fitting), rows=rows)


class _Looks:
    """Retrieves sessions, a few at once, past those that cannot be read."""

    def __init__(
        self, factory: CheckoutSessionFactory, search: _Search, unused: _UnusedList
    ) -> None:
        self._factory = factory
        self._search = search
        self._unused = unused
        self._failed = 0  # in a row
        self._is_over = False

    async def take(self, session_ids: Iterable[str]) -> None:
        """Look at each session, and offer it to the rows."""
        waiting = iter(session_ids)

        async def read() -> None:
            for session_id in waiting:
                await self._look(session_id)

        try:
            async with asyncio.TaskGroup() as readers:
                for _ in range(READS_AT_ONCE):
                    readers.create_task(read())
        except ExceptionGroup as group:  # of readers that met the same: it is closed
            raise group.exceptions[0] from None

    async def _look(self, session_id: str) -> None:
        if self._is_over:
            self._unused.add(
                Unused(session_id, "was not looked at after those failures")
            )
            return
        try:
            session = await self._factory.retrieve(session_id)
        except NotFoundError:  # another merchant's, or gone
            self._failed = 0
            return
        except InvalidFieldError:
            self._unused.add(Unused("a session", "its id cannot be one"))
            return
        except CallError as error:
            self._unused.add(Unused(session_id, str(error)))
            self._failed += 1
            is_refused = isinstance(error, AuthenticationError)
            self._is_over = is_refused or self._failed >= FAILED_IN_A_ROW
            return
        self._failed = 0
        reason = self._search.offer(session)
        if reason is not None:
            self._unused.add(Unused(session_id, reason))


async def _count_in_doubt(journal: Journal) -> int:
    counts = await journal.counts()
    # Nobody else works on the job: what was under way is as unknown as the rest.
    return counts[State.UNKNOWN] + counts[State.SENT]


async def _wanted(
    journal: Journal, session_ids: Iterable[str | Unused], unused: _UnusedList
) -> list[str]:
    """Return the sessions that no row has yet; tell what is none."""
    wanted: dict[str, None] = {}
    for item in session_ids:
        if isinstance(item, Unused):
            unused.add(item)
        else:
            wanted[item] = None
    taken = await journal.sessions_among(wanted.keys())
    return [session_id for session_id in wanted if session_id not in taken]


def _in_doubt(
    header: JobHeader,
    batch: Iterable[Row | Problem],
    known: Mapping[str, JournalRow],
) -> Iterator[tuple[Row, JournalRow]]:
    for row in batch:
        record = known.get(row.row_id or "")
        if not isinstance(row, Row) or record is None or not record.is_in_doubt:
            continue
        if record.fingerprint == fingerprint(row.request, header.salt):
            yield row, record  # it is what was sent
