"""How answers look: a card for people, JSON for programs, an id for scripts."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from convergegate_async._core.money import spell_major

if TYPE_CHECKING:
    from rich.console import RenderableType

    from convergegate_async import CheckoutSession, Refund

_COLOURS = {
    "open": "yellow",
    "pending": "yellow",
    "completed": "green",
    "succeeded": "green",
}


def show(answer: "CheckoutSession | Refund", output: str) -> None:
    """Print *answer* to stdout."""
    if output == "json":
        click.echo(json.dumps(dict(answer.raw), ensure_ascii=False, indent=2))
    elif output == "id":
        click.echo(answer.id)
    else:
        from rich.console import Console

        from convergegate_async import Refund

        card = refund_card if isinstance(answer, Refund) else session_card
        Console().print(card(answer))  # type: ignore[arg-type]  # chosen by its class


def session_card(session: "CheckoutSession") -> "RenderableType":
    """Draw *session* as a card."""
    from rich.text import Text

    status = str(session.status or "unknown")
    expires = session.expires_at
    rows = (
        ("id", Text(session.id, style="bold")),
        ("status", Text(status, style=_COLOURS.get(status, "red"))),
        ("amount", Text(spell_amount(session.amount_total, session.currency))),
        ("refunded", _refunded(session)),
        ("pay page", session.url and Text(session.url, style="cyan")),
        ("expires", expires and Text(f"{expires:%Y-%m-%d %H:%M} UTC")),
        ("key", session.call.idempotency_key and Text(session.call.idempotency_key)),
        ("attempts", Text(str(session.call.attempts))),
    )
    return _card("checkout session", rows, livemode=session.livemode)


def refund_card(refund: "Refund") -> "RenderableType":
    """Draw *refund* as a card."""
    from rich.text import Text

    status = str(refund.status or "unknown")
    rows = (
        ("id", Text(refund.id, style="bold")),
        ("status", Text(status, style=_COLOURS.get(status, "red"))),
        ("amount", Text(f"{refund.amount} minor units")),
        ("reason", refund.reason and Text(str(refund.reason))),
        ("key", refund.call.idempotency_key and Text(refund.call.idempotency_key)),
        ("attempts", Text(str(refund.call.attempts))),
    )
    return _card("refund", rows, livemode=refund.livemode)


def _card(
    noun: str,
    rows: "Iterable[tuple[str, object]]",
    *,
    livemode: bool | None,
) -> "RenderableType":
    from rich import box
    from rich.panel import Panel
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value:
            grid.add_row(name, value)  # type: ignore[arg-type]  # our own rows
    modes = {True: " · live", False: " · test mode", None: ""}
    title = f"{noun}{modes[livemode]}"
    return Panel(grid, title=title, box=box.ROUNDED, expand=False, padding=(1, 2))


def spell_amount(amount: int | None, currency: str | None) -> str:
    """Return *amount* both ways: as people read it, and in minor units."""
    if amount is None:
        return "unknown"
    code = currency or ""
    parts = (spell_major(amount, code), code.upper(), f"({amount} minor units)")
    return " ".join(filter(None, parts))


def _refunded(session: "CheckoutSession") -> "RenderableType | None":
    from rich.text import Text

    if not session.amount_refunded:
        return None
    return Text(spell_amount(session.amount_refunded, session.currency))
