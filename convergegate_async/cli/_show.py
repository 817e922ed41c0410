"""How answers look: a card for people, JSON for programs, an id for scripts."""

import json
from typing import TYPE_CHECKING

import click

from convergegate_async._core.money import spell_major

if TYPE_CHECKING:
    from rich.console import RenderableType

    from convergegate_async import CheckoutSession

_COLOURS = {"open": "yellow", "pending": "yellow", "completed": "green"}


def show_session(session: "CheckoutSession", output: str) -> None:
    """Print *session* to stdout."""
    if output == "json":
        click.echo(json.dumps(dict(session.raw), ensure_ascii=False, indent=2))
    elif output == "id":
        click.echo(session.id)
    else:
        from rich.console import Console

        Console().print(session_card(session))


def session_card(session: "CheckoutSession") -> "RenderableType":
    """Draw *session* as a card."""
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim")
    rows.add_column(overflow="fold")
    status = str(session.status or "unknown")
    expires = session.expires_at
    for name, value in (
        ("id", Text(session.id, style="bold")),
        ("status", Text(status, style=_COLOURS.get(status, "red"))),
        ("amount", Text(spell_amount(session.amount_total, session.currency))),
        ("refunded", _refunded(session)),
        ("pay page", session.url and Text(session.url, style="cyan")),
        ("expires", expires and Text(f"{expires:%Y-%m-%d %H:%M} UTC")),
        ("key", session.call.idempotency_key and Text(session.call.idempotency_key)),
        ("attempts", Text(str(session.call.attempts))),
    ):
        if value:
            rows.add_row(name, value)
    mode = "live" if session.livemode else "test mode"
    title = f"checkout session · {mode}"
    return Panel(rows, title=title, box=box.ROUNDED, expand=False, padding=(1, 2))


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
