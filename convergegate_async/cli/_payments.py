"""``convergegate pay``, ``wait`` and ``refund``."""

import sys
from functools import partial

import click

from convergegate_async.models import RefundReason, RefundRequest, SessionStatus

from ._gateway import OneCall, call_options
from ._pairs import read_pairs
from ._show import show, show_written
from ._streams import print_note

PATIENCE = 120  # seconds
EXPIRED = 4  # exit code: the gateway's answer is no


@click.command()
@click.argument("session_id")
@call_options
def pay(gateway: OneCall, session_id: str) -> int:
    """Pay a session with a BLIK code.

    The six digits are asked for, or read from stdin: never given as an argument, which
    other users of the machine could see.
    """
    if sys.stdin.isatty():
        code = click.prompt("BLIK code", hide_input=True, err=True)
    else:
        code = sys.stdin.readline().strip()
    session = gateway.ask(
        lambda factory: factory.pay(session_id, code, timeout=gateway.timeout)
    )
    if session.status != SessionStatus.COMPLETED:
        hint = f"Not paid yet: run `convergegate wait {session.id}`."
        print_note(hint)
    return show_written(session, gateway.output)


@click.command()
@click.argument("session_id")
@partial(call_options, default_timeout=PATIENCE)
def wait(gateway: OneCall, session_id: str) -> int:
    """Wait until a session is completed (exit code 0) or expired (4).

    Customers take 40 to 90 seconds to confirm.
    """
    timeout = PATIENCE if gateway.timeout is None else gateway.timeout
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("waiting for the customer to confirm"):
            session = gateway.ask(lambda f: f.wait(session_id, timeout=timeout))
    else:
        session = gateway.ask(lambda f: f.wait(session_id, timeout=timeout))
    show(session, gateway.output)
    return EXPIRED if session.status == SessionStatus.EXPIRED else 0


@click.command()
@click.argument("session_id")
@click.option(
    "--amount", type=int, help="Amount to refund, in minor units: 1000 is 10.00."
)
@click.option("--full", is_flag=True, help="Refund the whole amount.")
@click.option("--reason", type=click.Choice([str(word) for word in RefundReason]))
@click.option(
    "--metadata",
    multiple=True,
    callback=read_pairs,
    metavar="KEY=VALUE",
    help="A text of your own; may be repeated.",
)
@click.option("--idempotency-key", help="One key per refund. [default: a random one]")
@call_options
def refund(  # noqa: PLR0913 -- the command's options
    gateway: OneCall,
    *,
    session_id: str,
    amount: int | None,
    full: bool,
    reason: str | None,
    metadata: dict[str, str] | None,
    idempotency_key: str | None,
) -> int:
    """Pay a session's money back: either --amount or --full."""
    if (amount is None) is not full:
        message = "give either --amount or --full"
        raise click.UsageError(message)
    request = RefundRequest(
        session_id=session_id,
        amount=amount,
        full=full,
        reason=reason,
        metadata=metadata,
    )
    made = gateway.ask(
        lambda factory: factory.refund(
            request, idempotency_key=idempotency_key, timeout=gateway.timeout
        )
    )
    return show_written(made, gateway.output)
