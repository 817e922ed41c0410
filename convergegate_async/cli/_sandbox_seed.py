"""``convergegate sandbox seed``: sessions of a file, in a sandbox that runs."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import click

from convergegate_async._core.settings import API_KEY_VARIABLE
from convergegate_async.errors import CallError, ConfigurationError
from convergegate_async.models import SessionStatus

from ._gateway import Gateway, gateway_options
from ._invocation import Invocation
from ._streams import print_data, print_note, printable
from ._wording import counted

if TYPE_CHECKING:
    from convergegate_async import CheckoutSession
    from convergegate_async.bulk import Row
    from convergegate_async.sandbox import RemoteSandbox

_COLUMN = "status"
_MOST_MISTAKES = 100


@attrs.frozen
class _Seed:
    """A session to be, and how it shall stand."""

    row: "Row"
    status: SessionStatus


@click.command()
@click.argument("file")
@gateway_options
def seed(gateway: Gateway, file: str) -> int:
    """Open a session for every row of FILE, in a sandbox that runs.

    FILE (CSV, XLSX, JSONL, Parquet; - is stdin) is read as `bulk check` reads it. A
    column "status" says how each session stands then: open, pending, completed or
    expired. A row that is there already is not opened twice.
    """
    from ._check import readable

    with readable(file) as path:
        seeds, mistakes = _read(path, "csv" if file == "-" else None)
    for mistake in mistakes[:_MOST_MISTAKES]:
        print_note(printable(mistake))
    if mistakes:
        print_note(f"Nothing was sent: {printable(file)} has mistakes.")
        return 1
    write = click.get_current_context().ensure_object(Invocation).write
    write.run(lambda: _sow(gateway, seeds))
    counts = Counter(one.status for one in seeds)
    parts = ", ".join(f"{counts[status]:,} {status}" for status in counts)
    print_note(f"Seeded {counted(len(seeds), 'session')}{parts and ': '}{parts}.")
    return 0


def _read(path: str, format_name: str | None) -> tuple[list[_Seed], list[str]]:
    """Return what the rows ask for, and what is wrong with them."""
    from convergegate_async.bulk import Problem, TableOptions, read_table

    seeds: dict[str, _Seed] = {}
    mistakes: list[str] = []
    options = TableOptions(columns={_COLUMN: ""})
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


async def _sow(gateway: Gateway, seeds: Sequence[_Seed]) -> None:
    from convergegate_async import derive_key
    from convergegate_async.factory import context_of
    from convergegate_async.sandbox import RemoteSandbox

    factory = gateway.factory()
    known = context_of(factory)
    if known.is_live:
        message = "a live key is for no sandbox: nothing was sent"
        raise ConfigurationError(message)
    key = gateway.api_key or os.environ[API_KEY_VARIABLE]  # the factory has found it
    remote = RemoteSandbox(
        known.base_url,
        key,
        ssl=known.ssl,
        proxy=None if known.proxy is None else known.proxy.reveal(),
    )
    done = 0
    async with remote as sandbox, factory as checkout:
        await sandbox.now()  # before the first session: another gateway has no clock
        try:
            for one in seeds:
                session = await checkout.create(
                    one.row.request, idempotency_key=derive_key("seed", one.row.row_id)
                )
                await _bring(sandbox, session, one.status)
                print_data(f"{session.id} {printable(one.row.row_id)}")
                done += 1
        except (CallError, ConfigurationError):
            so_far = f"{done:,} of {counted(len(seeds), 'row')}"
            print_note(f"Seeded {so_far}; run it again: none is opened twice.")
            raise


async def _bring(
    sandbox: "RemoteSandbox", session: "CheckoutSession", status: SessionStatus
) -> None:
    """Have *session* stand so, unless it does already."""
    if status is SessionStatus.OPEN:
        return
    if await sandbox.status_of(session.id) == status:
        return
    if status is SessionStatus.EXPIRED:
        await sandbox.expire(session.id)
    else:
        await sandbox.pay(session.id, _CODES[status])


_CODES = {SessionStatus.COMPLETED: "123456", SessionStatus.PENDING: "300000"}
"""Codes of the sandbox that lead there."""
