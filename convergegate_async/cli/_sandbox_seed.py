"""``convergegate sandbox seed``: sessions of a file, in a sandbox that runs."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import click

from convergegate_async._core.settings import API_KEY_VARIABLE
from convergegate_async.errors import CallError, ConfigurationError
from convergegate_async.models import SessionStatus

from ._gateway import Gateway, gateway_options
from ._invocation import Invocation
from ._streams import print_data, print_note, printable
from ._tables import format_of, table_of, table_options
from ._wording import counted

if TYPE_CHECKING:
    from convergegate_async import CheckoutSession
    from convergegate_async.bulk import Row, TableOptions
    from convergegate_async.sandbox import RemoteSandbox

_COLUMN = "status"
_MOST_MISTAKES = 100


@attrs.frozen
class _Seed:
    """A session to be, and how it shall stand."""

    row: "Row"
    status: SessionStatus


@attrs.frozen
class _Sown:
    """What became of a row: how its session stands, and whether it is a new one."""

    seed: _Seed
    status: SessionStatus
    is_new: bool


@click.command()
@click.argument("file")
@table_options
@gateway_options
def seed(gateway: Gateway, file: str, **options: Any) -> int:  # noqa: ANN401 -- click has read them
    """Open a session for every row of FILE, in a sandbox that runs.

    FILE (CSV, XLSX, JSONL, Parquet; - is stdin) is read as `bulk check` reads it. A
    column "status" says how each session stands then: open, pending, completed or
    expired. A row that is there already is not opened twice.
    """
    from ._check import readable

    table = table_of(options)
    with readable(file) as path:
        seeds, mistakes = _read(path, table, format_of(file, options))
    for mistake in mistakes[:_MOST_MISTAKES]:
        print_note(printable(mistake))
    if mistakes:
        print_note(f"Nothing was sent: {printable(file)} has mistakes.")
        return 1
    write = click.get_current_context().ensure_object(Invocation).write
    return _tell(write.run(lambda: _sow(gateway, seeds)))


def _tell(sown: Sequence[_Sown]) -> int:
    """Say how the sessions stand, and which of them not as they shall."""
    others = [one for one in sown if one.status != one.seed.status]
    for one in others[:_MOST_MISTAKES]:
        wanted = f"shall be {one.seed.status}, and is {one.status}"
        print_note(f"line {one.seed.row.line}: {wanted}")
    if others:
        print_note(
            f"{counted(len(others), 'row')} cannot stand so: what is over does not "
            "come back. A new session has another id in the file."
        )
    opened = sum(one.is_new for one in sown)
    known = len(sown) - opened
    there = f", {opened:,} opened and {known:,} that were there already"
    counts = Counter(one.status for one in sown)
    parts = ", ".join(
        f"{counts[status]:,} {status}" for status in SessionStatus if counts[status]
    )
    seeded = f"Seeded {counted(len(sown), 'session')}{there if known else ''}"
    print_note(f"{seeded}{parts and ': '}{parts}.")
    return int(bool(others))


def _read(
    path: str, table: "TableOptions", format_name: str | None
) -> tuple[list[_Seed], list[str]]:
    """Return what the rows ask for, and what is wrong with them."""
    from convergegate_async.bulk import Problem, read_table

    seeds: dict[str, _Seed] = {}
    mistakes: list[str] = []
    options = attrs.evolve(table, columns={_COLUMN: "", **table.columns})
    for row in read_table(path, options, format=format_name):
        status = None if isinstance(row, Problem) else _status_of(row)
        if isinstance(row, Problem):
            mistakes.append(str(row))
        elif status is None:
            words = ", ".join(SessionStatus)
            mistakes.append(
                f"line {row.line}, column {_COLUMN}: must be one of {words}"
            )
        elif row.row_id in seeds:
            mistakes.append(f"line {row.line}: has the id of an earlier row")
        else:
            seeds[row.row_id] = _Seed(row, status)
    return [*seeds.values()], mistakes


def _status_of(row: "Row") -> SessionStatus | None:
    """Return how the session of a *row* shall stand; `None` if nobody knows."""
    cells = (text for name, text in row.raw.items() if name.casefold() == _COLUMN)
    word = str(next(cells, None) or SessionStatus.OPEN).strip().lower()
    return next((status for status in SessionStatus if status == word), None)


async def _sow(gateway: Gateway, seeds: Sequence[_Seed]) -> list[_Sown]:
    from convergegate_async import derive_key
    from convergegate_async.factory import context_of
    from convergegate_async.sandbox import RemoteSandbox

    factory = gateway.factory()
    known = context_of(factory)
    key = gateway.api_key or os.environ[API_KEY_VARIABLE]  # the factory has found it
    remote = RemoteSandbox(
        known.base_url,
        key,
        insecure_hosts=[urlsplit(known.base_url).hostname or ""],  # if it is by http
        ssl=known.ssl,
        proxy=None if known.proxy is None else known.proxy.reveal(),
    )
    sown: list[_Sown] = []
    async with remote as sandbox, factory as checkout:
        await sandbox.now()  # before the first session: another gateway has no clock
        try:
            for one in seeds:
                session = await checkout.create(
                    one.row.request, idempotency_key=derive_key("seed", one.row.row_id)
                )
                status = await _bring(sandbox, session.id, one.status)
                print_data(f"{session.id} {printable(one.row.row_id)}")
                sown.append(_Sown(one, status, _is_new(session)))
        except (CallError, ConfigurationError):
            so_far = f"{len(sown):,} of {counted(len(seeds), 'row')}"
            print_note(f"Seeded {so_far}; run it again: none is opened twice.")
            raise
    return sown


def _is_new(session: "CheckoutSession") -> bool:
    """Tell whether the session was not there before it was asked for."""
    is_repeated = session.call.headers.get("Idempotent-Replayed") == "true"
    return not is_repeated or session.call.unknown_attempts > 0  # it was lost once


async def _bring(
    sandbox: "RemoteSandbox", session_id: str, wanted: SessionStatus
) -> SessionStatus:
    """Have a session stand as it is *wanted*, if it can; return how it stands."""
    from convergegate_async.sandbox import CODES, CodeFate

    codes = {fate: code for code, fate in CODES.items()}
    status = await sandbox.status_of(session_id)
    match status, wanted:
        case SessionStatus.OPEN | SessionStatus.PENDING, SessionStatus.EXPIRED:
            await sandbox.expire(session_id)
        case SessionStatus.OPEN | SessionStatus.PENDING, SessionStatus.COMPLETED:
            await sandbox.pay(session_id, codes[CodeFate.PAID])
        case SessionStatus.OPEN, SessionStatus.PENDING:
            await sandbox.pay(session_id, codes[CodeFate.UNCONFIRMED])
        case _:
            return status
    return await sandbox.status_of(session_id)
