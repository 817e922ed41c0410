"""What a file comes to, and what is wrong with it: shown before anything is sent."""

import csv
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from typing import TextIO

import attrs
import click

from convergegate_async._core.money import PUBLISHED, minor_units, spell_major
from convergegate_async.bulk import (
    CsvDialect,
    Finding,
    JobPlan,
    Problem,
    Row,
    TableOptions,
    Validation,
    check,
    escape_cell,
    meant_currency,
)
from convergegate_async.errors import ConfigurationError, InvalidFieldError

from ._progress import LINE_EVERY
from ._signals import cleaning_up
from ._streams import print_data, print_json, print_note, printable, stdin_bytes
from ._wording import counted

_MOST_CURRENCIES = 20  # that are named
_MOST_MISTAKES = 100
_LOOK_EVERY = 1_000  # rows
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def readable(source: str) -> Iterator[str]:
    """Give a file that can be read more than once: *source*, or a copy of stdin."""
    if source != "-":
        yield source
        return
    path = Path(gettempdir(), f"convergegate-{token_hex(8)}.csv")
    with cleaning_up(), ExitStack() as mess:
        mess.callback(path.unlink, missing_ok=True)  # or a signal would come in between
        with os.fdopen(os.open(path, _NEW, 0o600), "wb") as copy:
            shutil.copyfileobj(stdin_bytes("the rows"), copy)
        yield str(path)


def settle(
    doubts: Sequence[str], *, is_sure: bool, nothing: str = "Nothing was sent"
) -> None:
    """Tell of what may be a slip, and ask whether to go on.

    Args:
        doubts: A sentence each.
        is_sure: Nobody has to be asked.
        nothing: What is told of the command if it does not go on.

    Raises:
        click.exceptions.Exit: Nobody wants that, or there is nobody to ask.
    """
    for doubt in doubts:
        print_note(f"Note: {doubt}.", "yellow")
    if is_sure or not doubts:
        return
    # Typed as always there, and yet `None` under a service or after ``<&-``.
    stdin: TextIO | None = sys.stdin
    if stdin is not None and stdin.isatty():
        if click.confirm("Go on?", err=True):
            return
        print_note(f"{nothing}.")
        raise click.exceptions.Exit(1)
    print_note(f"{nothing}: --yes says that all of this is as it should be.")
    raise click.exceptions.Exit(2)


def ruined_in(found: Validation, id_column: str) -> Iterator[str]:
    """Yield what is to be said of ids that a spreadsheet has rounded."""
    if found.ruined:
        ids = counted(found.ruined, "id")
        yield (
            f"{ids} in column {id_column} may have been rounded by a spreadsheet "
            "(1E+05)"
        )


def sent_in(found: Validation) -> Iterator[str]:
    """Yield what is to be said of rows that another job has sent."""
    if found.sent:
        rows = counted(found.sent, "row")
        yield f"{rows} of a job that has sent them (cg_state) would be sent once more"


def read_limits(texts: tuple[str, ...]) -> dict[str, int]:
    """Return the most minor units of each currency, of texts like ``PLN=10000.00``.

    Raises:
        click.BadParameter: One of them is no such text.
    """
    limits: dict[str, int] = {}
    for text in texts:
        code, _, amount = text.partition("=")
        try:
            limits[code.upper()] = minor_units(amount, code)
        except InvalidFieldError as error:
            message = f"{text}: {error.reason}"
            raise click.BadParameter(message, param_hint="--confirm-above") from None
    return limits


def sums_above(found: Validation, limits: Mapping[str, int]) -> Iterator[str]:
    """Yield the sums that are above the *limits* of their currency."""
    for code, most in limits.items():
        amounts = found.amounts.get(code)
        if amounts is not None and amounts.total > most:
            total, limit = (spell_major(one, code) for one in (amounts.total, most))
            yield f"all rows come to {code} {total}, more than {limit}"


def checked(plan: JobPlan, problems: Path | None = None) -> Validation:
    """Read all rows of a plan, and say on stderr how far that is.

    Args:
        plan: Says which file, and how it is read.
        problems: A new file for all problems, in CSV of the input's dialect.

    Raises:
        ConfigurationError: *problems* cannot be written, or is there.
        SourceError: The input as a whole cannot be read.
    """
    with _written_to(problems, plan.table) as on_problem:
        return check(_watched(plan.rows()), most=0, on_problem=on_problem)


@contextmanager
def _written_to(
    path: Path | None, table: TableOptions
) -> Iterator[Callable[[Problem], None] | None]:
    if path is None:
        yield None
        return
    try:  # For one's own eyes, as is all that tells of an input.
        descriptor = os.open(path, _NEW, 0o600)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise ConfigurationError(message) from None
    dialect = CsvDialect.beside(table.delimiter, table.encoding)
    with os.fdopen(
        descriptor, "w", newline="", encoding=dialect.encoding, errors="replace"
    ) as file:
        if dialect.bom:
            file.write("\ufeff")
        writer = csv.writer(file, delimiter=dialect.delimiter)
        writer.writerow(["line", "id", "column", "reason"])

        def write(problem: Problem) -> None:
            texts = (problem.row_id or "", problem.column or "", problem.reason)
            writer.writerow([problem.line, *map(escape_cell, texts)])

        yield write


def _watched(rows: Iterable[Row | Problem]) -> Iterator[Row | Problem]:
    """Yield *rows*, and say every few seconds how many they were."""
    due = time.monotonic() + LINE_EVERY
    for count, row in enumerate(rows, 1):
        yield row
        if count % _LOOK_EVERY == 0 and time.monotonic() >= due:
            print_note(f"{count:,} rows read")
            due += LINE_EVERY


def show_check(
    found: Validation, finding: Finding, doubts: Sequence[str], output: str
) -> None:
    """Print what a file comes to, and what is wrong with it, to stdout."""
    if output == "json":
        print_json({"read_as": finding.read_as, "doubts": doubts, **_as_object(found)})
        return
    if finding.read_as:
        print_data(printable(str(finding)))
    for line in sums_in(found):
        print_data(line)
    if found.samples:
        print_data("\nThe first of them, as they would be sent:")
    for row in found.samples:
        print_data(f"\n  line {row.line}, {printable(row.row_id)}")
        for name, text in _fields_of(row):
            print_data(f"    {name:<20} {printable(text)}")
    if lines := [*mistakes_in(found)]:
        print_data("")
    for line in lines:
        print_data(line)


def sums_in(found: Validation) -> Iterator[str]:
    """Yield how many rows there are, and what they come to by currency."""
    good = sum(amounts.rows for amounts in found.amounts.values())
    parts = [counted(found.total, "row")]
    if found.invalid:
        parts.append(f"{found.invalid:,} of them cannot be sent")
    if doubles := found.total - good - found.invalid:
        parts.append(f"{doubles:,} with the id of an earlier one")
    yield ", ".join(parts)
    for currency, amounts in found.amounts.items():
        total, smallest, largest = (
            spell_major(amount, currency)
            for amount in (amounts.total, amounts.smallest, amounts.largest)
        )
        rows = counted(amounts.rows, "row")
        yield f"{currency} {total} in {rows}, from {smallest} to {largest}"


def mistakes_in(found: Validation) -> Iterator[str]:
    """Yield what is wrong, a line for each kind of mistake."""
    for code in found.unknown_currencies[:_MOST_CURRENCIES]:
        meant = meant_currency(code, found.amounts)
        hint = "" if meant is None else f" Did you mean {meant}?"
        yield f"Note: ISO 4217 of {PUBLISHED} does not know {code}.{hint}"
    yield from map(str, found.mistakes[:_MOST_MISTAKES])
    if (more := len(found.mistakes) - _MOST_MISTAKES) > 0:
        yield f"… and {counted(more, 'further kind')} of mistake"


def _fields_of(row: Row) -> Iterator[tuple[str, str]]:
    """Yield the fields of a request that are set, as people read them."""
    for name, value in attrs.asdict(row.request, recurse=False).items():
        if value is None or name == "currency":  # it stands behind the amount
            continue
        if isinstance(value, Mapping):
            yield from ((f"{name}[{key}]", text) for key, text in value.items())
        elif name == "amount":
            currency = row.request.currency
            yield name, f"{spell_major(value, currency)} {currency.upper()}"
        elif isinstance(value, tuple | list):
            yield name, ", ".join(value)
        elif isinstance(value, datetime):
            yield name, f"{value:%Y-%m-%d %H:%M:%S %Z}"
        else:
            yield name, str(value)


def _as_object(found: Validation) -> dict[str, object]:
    return {
        "rows": found.total,
        "invalid": found.invalid,
        "repeated": found.repeated,
        "ruined": found.ruined,
        "sent": found.sent,
        "unknown_currencies": found.unknown_currencies,
        "amounts": {code: attrs.asdict(sums) for code, sums in found.amounts.items()},
        "mistakes": [attrs.asdict(mistake) for mistake in found.mistakes],
    }
