"""``convergegate pay``, ``wait`` and ``refund``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from convergegate_async._core.secret import Secret
from convergegate_async.errors import CallError
from convergegate_async.models import RefundReason, RefundRequest, SessionStatus
from convergegate_async.models.rules import is_blik_code

from ._fields import metadata_option, read_request
from ._gateway import OneCall, call_options
from ._show import in_short, show, show_written
from ._streams import print_note, printable, stdin_bytes

if TYPE_CHECKING:
    from convergegate_async import CheckoutSession, CheckoutSessionFactory

PATIENCE = 120  # seconds
EXPIRED, OPEN = 4, 5  # exit codes: the answer is no; there is none yet

_STAND_IN = "000000"  # of a code that is a variable

_VERDICTS: dict[object, int] = {
    SessionStatus.COMPLETED: 0,
    SessionStatus.EXPIRED: EXPIRED,
}
"""The exit code of each status that is final."""


# click's own refusal would repeat what may be a code.
@click.command(context_settings={"allow_extra_args": True})
@click.argument("session_id")
@click.option(
    "--no-wait", is_flag=True, help="End once the gateway has the code: exit code 0."
)
@partial(call_options, default_timeout=PATIENCE)
def pay(gateway: OneCall, *, session_id: str, no_wait: bool) -> int:
    """Pay a session with a BLIK code, and wait until it is paid.

    The six digits are asked for, or read from stdin: never given as an argument, which
    other users of the machine could see.

    Exits with 0 if the session is completed, with 4 if the payment was declined or the
    session expired, with 5 if it is still open or nobody knows.
    """
    from convergegate_async._core import operations

    if click.get_current_context().args:
        message = (
            "give one SESSION_ID; the BLIK code is no argument, but read from stdin"
        )
        raise click.UsageError(message)
    code = _STAND_IN if gateway.curl else _read_code()
    timeout = PATIENCE if gateway.timeout is None else gateway.timeout
    doubt = f"It may be paid: run `convergegate wait {session_id}`."
    with _spinner(gateway):
        session, trouble = gateway.write(
            lambda f: _pay(f, session_id, code, timeout=timeout, no_wait=no_wait),
            lambda _: operations.pay_checkout_session(session_id, Secret(code)),
            in_short=lambda _: doubt,
            doubt=doubt,
        )
    if trouble is not None:
        print_note(f"Error: {trouble}", "red")
    if session.status not in _VERDICTS:
        status = printable(str(session.status or "of unknown status"))
        state = "Not paid yet" if no_wait else f"Do not pay again, it is {status}"
        print_note(f"{state}: run `convergegate wait {session.id}`.")
    verdict = _VERDICTS.get(session.status, 0 if no_wait else OPEN)
    lost = show_written(
        session, gateway.output, is_waited_for=not no_wait, trouble=trouble
    )
    return verdict or lost


async def _pay(
    factory: "CheckoutSessionFactory",
    session_id: str,
    code: str,
    *,
    timeout: float,
    no_wait: bool,
) -> "tuple[CheckoutSession, CallError | None]":
    """Pay, and wait; return what was last seen, and what went wrong after the code.

    Once the gateway has taken the code no error may pass for that of a payment, which
    could be made again.
    """
    started = time.monotonic()
    session = await factory.pay(session_id, code, timeout=timeout)
    if no_wait or session.status in _VERDICTS:
        return session, None
    left = max(0.001, timeout - (time.monotonic() - started))
    try:
        return await factory.wait(session_id, timeout=left), None
    except CallError as error:
        return error.session or session, error


def _read_code() -> str:
    source = stdin_bytes("the BLIK code")
    if source.isatty():
        typed = str(click.prompt("BLIK code", hide_input=True, err=True))
    else:
        # A decoder's error would show what it was given.
        typed = source.readline().decode("utf-8", "replace")
    code = "".join(typed.split())  # bank apps show 123 456
    if is_blik_code(code):
        return code
    message = "the BLIK code must be six digits"
    raise click.UsageError(message)


@click.command()
@click.argument("session_id")
@partial(call_options, default_timeout=PATIENCE)
def wait(gateway: OneCall, session_id: str) -> int:
    """Wait until a session is completed (exit code 0) or expired (4).

    Customers take 40 to 90 seconds to confirm.
    """
    from convergegate_async._core import operations

    timeout = PATIENCE if gateway.timeout is None else gateway.timeout
    with _spinner(gateway):
        session = gateway.ask(
            lambda f: f.wait(session_id, timeout=timeout),
            lambda _: operations.wait_for_checkout_session(session_id),
        )
    show(session, gateway.output, is_waited_for=True)
    return _VERDICTS.get(session.status, OPEN)


@contextmanager
def _spinner(gateway: OneCall) -> Iterator[None]:
    """Show on a terminal that the customer is waited for, if there is rich."""
    if gateway.debug or gateway.curl:
        yield  # there are lines to read
        return
    try:
        from rich.console import Console
    except ImportError:
        yield
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    spinner = "dots" if console.encoding.startswith("utf") else "line"
    with console.status("waiting for the customer to confirm", spinner=spinner):
        yield


@click.command()
@click.argument("session_id")
@click.option(
    "--amount",
    metavar="INTEGER",
    help="Amount to refund, in minor units: 1000 is 10.00.",
)
@click.option("--full", is_flag=True, help="Refund the whole amount.")
@click.option(
    "--reason",
    type=click.Choice([str(word) for word in RefundReason]),
    help="Why the money goes back.",
)
@metadata_option
@click.option("--idempotency-key", help="One key per refund. [default: a random one]")
@call_options
def refund(gateway: OneCall, idempotency_key: str | None, **fields: Any) -> int:  # noqa: ANN401 -- click has read them, the request checks them
    """Pay a session's money back: either --amount or --full."""
    from convergegate_async._core import operations

    if (fields["amount"] is None) is not fields["full"]:
        message = "give either --amount or --full"
        raise click.UsageError(message)
    request = read_request(RefundRequest, fields, idempotency_key)
    made = gateway.write(
        lambda factory: factory.refund(
            request, idempotency_key=idempotency_key, timeout=gateway.timeout
        ),
        lambda key: operations.create_refund(
            request,
            key=idempotency_key or key,
            own_key=idempotency_key is not None,
        ),
        in_short,
    )
    return show_written(made, gateway.output)


@click.command("refund-status")
@click.argument("refund_id")
@call_options
def refund_status(gateway: OneCall, refund_id: str) -> None:
    """Look at a refund."""
    from convergegate_async._core import operations

    refund = gateway.ask(
        lambda factory: factory.retrieve_refund(refund_id, timeout=gateway.timeout),
        lambda _: operations.retrieve_refund(refund_id),
    )
    show(refund, gateway.output)
