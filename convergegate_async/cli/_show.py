"""How answers look: a card for people, JSON for programs, an id for scripts."""

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, TypeAlias

from convergegate_async._core.money import spell_major
from convergegate_async.errors import CallError

from ._errors import as_json
from ._streams import (
    loss_of,
    print_data,
    print_drawing,
    print_json,
    print_note,
    printable,
)

if TYPE_CHECKING:
    from convergegate_async import CheckoutSession, Refund

    Answer: TypeAlias = CheckoutSession | Refund

Row: TypeAlias = tuple[str, str | None, str]
"""A name, a text, and the style that the text has on a screen."""

_COLOURS = {
    "open": "yellow",
    "pending": "yellow",
    "completed": "green",
    "succeeded": "green",
}


def show(
    answer: "Answer",
    output: str,
    *,
    is_waited_for: bool = False,
    trouble: CallError | None = None,
) -> None:
    """Print *answer* to stdout.

    Args:
        answer: What is shown.
        output: How; one of ``table``, ``json`` and ``id``.
        is_waited_for: Its attempts are looks, and would be taken for payments.
        trouble: What went wrong once it was answered; told to programs only.
    """
    if output == "json":
        print_json(_as_object(answer, trouble))
    elif output == "id":
        print_data(answer.id)
    else:
        show_card(answer, hides=["attempts"] if is_waited_for else [])


def show_written(
    answer: "Answer",
    output: str,
    *,
    is_waited_for: bool = False,
    trouble: CallError | None = None,
) -> int:
    """Print what a write has made; return the exit code.

    Who does not see it could make it twice: if stdout is lost, its id and key are told
    on stderr.
    """
    show(answer, output, is_waited_for=is_waited_for, trouble=trouble)
    if loss_of(sys.stdout) is None:
        return 0
    print_note(in_short(answer))
    return 1


_OF_THE_CALL = (
    *("idempotency_key", "attempts", "unknown_attempts", "elapsed"),
    *("request_id", "http_status", "misread"),
)


def _as_object(answer: "Answer", trouble: CallError | None) -> dict[str, object]:
    """Return the answer as received, and how it came about, under names of our own.

    The underscore keeps them apart from whatever the gateway may tell one day.
    """
    shown: dict[str, object] = {
        **answer.raw,
        "_call": {name: getattr(answer.call, name) for name in _OF_THE_CALL},
    }
    return shown if trouble is None else {**shown, "_error": as_json(trouble)}


def in_short(answer: "Answer") -> str:
    """Return what has to be known of what a write has made: its id and its key."""
    key = answer.call.idempotency_key
    status = printable(str(answer.status or "of unknown status"))
    words = f"The gateway answered: {answer.id} is {status}"
    return f"{words}. The key was {key}." if key else f"{words}."


def show_card(answer: "Answer", hides: Collection[str] = ()) -> None:
    """Draw *answer* as a card on stdout, or as plain lines if there is no rich.

    Args:
        answer: What is shown.
        hides: The names of rows to leave out.
    """
    from convergegate_async import Refund

    if isinstance(answer, Refund):
        noun, rows = "refund", _refund_rows(answer)
    else:
        noun, rows = "checkout session", _session_rows(answer)
    modes = {True: " · live", False: " · test mode", None: ""}
    title = f"{noun}{modes[answer.livemode]}"
    shown = [
        (name, printable(text), style)
        for name, text, style in rows
        if text and name not in hides
    ]
    try:
        _draw(title, shown)
    except ImportError:
        print_data(title)
        for name, text, _ in shown:
            print_data(f"  {name:<10}{text}")


def _session_rows(session: "CheckoutSession") -> Sequence[Row]:
    status = str(session.status or "unknown")
    amount, refunded, currency = (
        session.amount_total,
        session.amount_refunded,
        session.currency,
    )
    expires = session.expires_at
    return (
        ("id", session.id, "bold"),
        ("status", status, _COLOURS.get(status, "red")),
        ("amount", spell_amount(amount, currency), ""),
        ("refunded", spell_amount(refunded, currency) if refunded else None, ""),
        ("pay page", session.url, "cyan"),
        ("expires", f"{expires:%Y-%m-%d %H:%M} UTC" if expires else None, ""),
        ("key", session.call.idempotency_key, ""),
        ("attempts", str(session.call.attempts), ""),
    )


def _refund_rows(refund: "Refund") -> Sequence[Row]:
    status = str(refund.status or "unknown")
    amount = "unknown" if refund.amount is None else f"{refund.amount} minor units"
    return (
        ("id", refund.id, "bold"),
        ("status", status, _COLOURS.get(status, "red")),
        ("amount", amount, ""),
        ("reason", refund.reason and str(refund.reason), ""),
        ("key", refund.call.idempotency_key, ""),
        ("attempts", str(refund.call.attempts), ""),
    )


def _draw(title: str, rows: Sequence[Row]) -> None:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, text, style in rows:
        grid.add_row(name, Text(text or "", style=style))
    print_drawing(
        Panel(grid, title=title, box=box.ROUNDED, expand=False, padding=(1, 2))
    )


def spell_amount(amount: int | None, currency: str | None) -> str:
    """Return *amount* both ways: as people read it, and in minor units."""
    if amount is None:
        return "unknown"
    code = currency or ""
    parts = (spell_major(amount, code), code.upper(), f"({amount} minor units)")
    return " ".join(filter(None, parts))
