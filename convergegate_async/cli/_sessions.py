"""``convergegate create`` and ``get``."""

import time
from functools import partial
from typing import Any

import click

from convergegate_async.models import CheckoutSessionRequest

from ._fields import RequiredOption, metadata_option, read_request
from ._gateway import OneCall, call_options
from ._show import in_short, show, show_written
from ._streams import print_note

_required = partial(click.option, cls=RequiredOption)


@click.command()
@_required("--amount", metavar="INTEGER", help="In minor units: 4999 is 49.99.")
@_required("--currency", help="Three letters, such as pln.")
@_required("--customer-email")
@_required("--customer-firstname")
@_required("--customer-lastname")
@_required("--customer-phone", help="In E.164: +48123456789.")
@_required("--success-url", help="Where the customer goes once paid.")
@click.option("--cancel-url", help="Where the pay page's Cancel button leads.")
@click.option("--notification-url", help="Where webhooks go.")
@click.option("--customer-ip", help="The customer's IP address.")
@click.option("--customer-country", help="Two letters, such as PL.")
@click.option(
    "--payment-method",
    multiple=True,
    help="Allowed payment method; may be repeated. Known: blik.",
)
@click.option("--expires-at", metavar="TIME", help="At least 2.5 hours ahead.")
@click.option("--locale", help="Language of the pay page, such as pl.")
@metadata_option
@click.option(
    "--extra",
    multiple=True,
    metavar="NAME=VALUE",
    help="A field that this SDK does not know yet, sent as it is; may be repeated.",
)
@click.option("--idempotency-key", help="One key per purchase. [default: a random one]")
@call_options
def create(gateway: OneCall, idempotency_key: str | None, **fields: Any) -> int:  # noqa: ANN401 -- click has read them, the request checks them
    """Open a checkout session."""
    from convergegate_async._core import operations

    request = read_request(CheckoutSessionRequest, fields, idempotency_key)
    session = gateway.write(
        lambda factory: factory.create(
            request, idempotency_key=idempotency_key, timeout=gateway.timeout
        ),
        lambda key: operations.create_checkout_session(
            request,
            key=idempotency_key or key,
            own_key=idempotency_key is not None,
            now=time.time(),
        ),
        in_short,
    )
    if session.call.unknown_attempts:
        call = session.call
        print_note(
            f"Note: {call.unknown_attempts} of {call.attempts} attempts had an unknown "
            f"outcome; all carried the key {call.idempotency_key}."
        )
    return show_written(session, gateway.output)


@click.command()
@click.argument("session_id")
@call_options
def get(gateway: OneCall, session_id: str) -> None:
    """Look at a checkout session."""
    from convergegate_async._core import operations

    session = gateway.ask(
        lambda factory: factory.retrieve(session_id, timeout=gateway.timeout),
        lambda _: operations.retrieve_checkout_session(session_id),
    )
    show(session, gateway.output)
