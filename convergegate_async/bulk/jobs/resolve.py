"""Rows and refunds in doubt that a person settles: as made, or as never made."""

import asyncio
import getpass
import time
from collections.abc import Iterable

import attrs

from convergegate_async.bulk.journal.journal import Journal
from convergegate_async.bulk.journal.records import (
    JournalError,
    JournalRow,
    RowResult,
    State,
)
from convergegate_async.bulk.journal.refund_records import (
    JournalRefund,
    RefundResult,
    RefundState,
)
from convergegate_async.bulk.tables.rows import Problem, Row
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.models import CheckoutSession, RefundStatus

from .doubt import Doubt
from .header import fingerprint, require_same_home
from .refund_results import with_result
from .row_results import session_result
from .session_facts import facts_of

NOT_CREATED = "NotCreated"
"""The code of what somebody said of that it was never made."""

_UNDATED = "its session does not tell when it was made, and may be an older one"


async def resolve_created(
    journal: Journal,
    factory: CheckoutSessionFactory,
    rows: Iterable[Row | Problem],
    row_id: str,
    session_id: str,
) -> JournalRow:
    """Give a row in doubt its session, which is looked at and may not be another's.

    Args:
        journal: What is known of the rows.
        factory: Open, to retrieve the session.
        rows: The input, in which the row is looked up.
        row_id: The row's.
        session_id: Its session's.

    Returns:
        What is known of the row now; its message says so if the session does not tell
        when it was made.

    Raises:
        JournalError: The journal belongs to another gateway, key, or mode; the row is
            not in doubt, or not in the input as it was sent; or the session is another
            row's, repeats something else, or was made at another time.
        CallError: The session cannot be seen.
        InvalidFieldError: It cannot be the id of one.
        SourceError: The input cannot be read.
    """
    require_same_home(journal.header, factory)
    known = await _in_doubt(journal, row_id)
    if await journal.sessions_among({session_id}):
        message = "the session is that of another row of the job"
        raise JournalError(message)
    row = await asyncio.to_thread(_row_of, row_id, rows)
    session = await factory.retrieve(session_id)
    is_as_sent = known.fingerprint == fingerprint(row.request, journal.header.salt)
    _require_fitting(Doubt.of(row, known), session, is_as_sent=is_as_sent)
    now = context_of(factory).runtime.now()
    result = session_result(row_id, session)
    if session.created_at is None:
        result = attrs.evolve(result, message=_UNDATED)
    await journal.resolve(result, facts_of(session, now), by=_user(), now=now)
    return (await journal.lookup([row_id]))[row_id]


async def resolve_not_created(
    journal: Journal, row_id: str, *, now: float | None = None
) -> JournalRow:
    """Have it written that a row in doubt has no session: it may be sent again.

    Args:
        journal: What is known of the rows.
        row_id: The row's.
        now: Epoch seconds; the clock's if `None`.

    Returns:
        What is known of the row now.

    Raises:
        JournalError: The row is not in doubt.
    """
    await _in_doubt(journal, row_id)
    result = RowResult(
        row_id,
        State.REJECTED,
        code=NOT_CREATED,
        message="resolved by hand: it has no session",
    )
    moment = time.time() if now is None else now
    await journal.resolve(result, None, by=_user(), now=moment)
    return (await journal.lookup([row_id]))[row_id]


async def resolve_refund_created(
    journal: Journal,
    factory: CheckoutSessionFactory,
    row_id: str,
    batch: str,
    refund_id: str,
) -> JournalRefund:
    """Have it written that a refund in doubt was made, and which it is.

    Args:
        journal: What is known of rows and refunds.
        factory: Open, to retrieve the refund and the session.
        row_id: That of the row whose session is paid back.
        batch: The name of the refund's batch.
        refund_id: The gateway's id of it.

    Returns:
        What is known of the refund now.

    Raises:
        JournalError: The journal belongs to another gateway, key, or mode; the refund
            is not in doubt; or the gateway's is of another amount, has failed, is
            known as another one, or does not show in the session.
        CallError: The refund or the session cannot be seen.
        InvalidFieldError: It cannot be the id of one.
    """
    require_same_home(journal.header, factory)
    refund = await _refund_in_doubt(journal, row_id, batch)
    # The gateway's answer names no session: what the job knows is all there is.
    for other in await journal.refunds.known_as(refund_id):
        message = f"that refund is that of row {other.row_id} in batch {other.batch}"
        raise JournalError(message)
    made = await factory.retrieve_refund(refund_id)
    if made.status is RefundStatus.FAILED:
        message = "the refund has failed"
        raise JournalError(message)
    if made.amount not in {None, refund.amount}:
        message = "the refund differs in amount"
        raise JournalError(message)
    session = await factory.retrieve(refund.session_id)
    if await _lacks(journal, refund, session):
        message = "its session shows no such refund, or not yet"
        raise JournalError(message)
    now = context_of(factory).runtime.now()
    result = RefundResult(refund.number, RefundState.CREATED, refund_id)
    await journal.resolve_refund(result, by=_user(), now=now)
    await journal.sessions.see(row_id, facts_of(session, now))
    return with_result(refund, result)


async def resolve_refund_not_created(
    journal: Journal, row_id: str, batch: str, *, now: float | None = None
) -> JournalRefund:
    """Have it written that a refund in doubt was not made: another batch may make it.

    Args:
        journal: What is known of rows and refunds.
        row_id: That of the row whose session was to be paid back.
        batch: The name of the refund's batch.
        now: Epoch seconds; the clock's if `None`.

    Returns:
        What is known of the refund now.

    Raises:
        JournalError: The refund is not in doubt.
    """
    refund = await _refund_in_doubt(journal, row_id, batch)
    result = RefundResult(
        refund.number,
        RefundState.REJECTED,
        code=NOT_CREATED,
        message="resolved by hand: it was not made",
    )
    moment = time.time() if now is None else now
    await journal.resolve_refund(result, by=_user(), now=moment)
    return with_result(refund, result)


async def _lacks(
    journal: Journal, refund: JournalRefund, session: CheckoutSession
) -> bool:
    """Tell whether less of a session is paid back than with that refund of it."""
    others = await journal.refunds.of_sessions(refund.session_id)
    made = [one.amount for one in others if one.state is RefundState.CREATED]
    shown = session.amount_refunded
    return shown is not None and shown < sum(made) + refund.amount


async def _refund_in_doubt(journal: Journal, row_id: str, batch: str) -> JournalRefund:
    known = (await journal.lookup([row_id])).get(row_id)
    session_id = None if known is None else known.session_id
    refunds = await journal.refunds.of_sessions(session_id or "")
    for refund in refunds:
        if refund.batch == batch and refund.is_in_doubt:
            return refund
    found = [refund.state for refund in refunds if refund.batch == batch]
    what = f"it is {found[0]}" if found else "there is none"
    message = f"the refund of row {row_id} in batch {batch} is not in doubt: {what}"
    raise JournalError(message)


async def _in_doubt(journal: Journal, row_id: str) -> JournalRow:
    known = (await journal.lookup([row_id])).get(row_id)
    if known is None:
        message = f"row {row_id} is not in doubt: it was never sent, or is none"
        raise JournalError(message)
    if not known.is_in_doubt:
        details = known.session_id or known.code
        what = f"{known.state} ({details})" if details else str(known.state)
        message = f"row {row_id} is not in doubt: it is {what}"
        raise JournalError(message)
    return known


def _row_of(row_id: str, rows: Iterable[Row | Problem]) -> Row:
    """Return the row of the input: of two under one id the first is sent."""
    reason: str | None = None
    for row in rows:
        if row.row_id != row_id:
            continue
        if isinstance(row, Row):
            return row
        reason = row.reason
    what = "is not in the input any more"
    if reason is not None:
        what = f"of the input cannot be read any more ({reason})"
    message = f"row {row_id} {what}: put it back as it was sent"
    raise JournalError(message)


def _require_fitting(
    doubt: Doubt, session: CheckoutSession, *, is_as_sent: bool
) -> None:
    names = ", ".join(doubt.differing(session))
    problem = None
    if not is_as_sent:
        beside = f", and differs from the session in {names}" if names else ""
        problem = (
            f"row {doubt.row_id} of the input has changed since it was sent{beside}: "
            "put it back as it was"
        )
    elif names:
        problem = f"the session is not row {doubt.row_id}'s: it differs in {names}"
    # Whoever settles it by hand may know of a session that does not tell its time.
    elif session.created_at is not None and not doubt.fits_time(session):
        problem = f"the session was not made when row {doubt.row_id} was sent"
    if problem is not None:
        raise JournalError(problem)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # which of them depends on the Python
        return "unknown"
