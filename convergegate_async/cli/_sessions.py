"""``convergegate create`` and ``get``."""

from datetime import datetime
from typing import Any

import click

from convergegate_async._core.moments import read_moment
from convergegate_async.models import CheckoutSessionRequest

from ._gateway import OneCall, call_options
from ._pairs import read_pairs
from ._show import in_short, show, show_written
from ._streams import print_note


class _Moment(click.ParamType[datetime]):
    """Epoch seconds, or ISO 8601 with a time zone."""

    name = "time"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime:
        try:
            return read_moment(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--amount", type=int, required=True, help="In minor units: 4999 is 49.99."
)
@click.option("--currency", required=True, help="Three letters, such as pln.")
@click.option("--customer-email", required=True)
@click.option("--customer-firstname", required=True)
@click.option("--customer-lastname", required=True)
@click.option("--customer-phone", required=True, help="In E.164: +48123456789.")
@click.option("--success-url", required=True, help="Where the customer goes once paid.")
@click.option("--cancel-url", help="Where the pay page's Cancel button leads.")
@click.option("--notification-url", help="Where webhooks go.")
@click.option("--customer-ip", help="The customer's IP address.")
@click.option("--customer-country", help="Two letters, such as PL.")
@click.option(
    "--payment-method",
    multiple=True,
    help="Allowed payment method; may be repeated. Known: blik.",
)
@click.option("--expires-at", type=_Moment(), help="At least 2.5 hours ahead.")
@click.option("--locale", help="Language of the pay page, such as pl.")
@click.option(
    "--metadata",
    multiple=True,
    callback=read_pairs,
    metavar="KEY=VALUE",
    help="A text of your own; may be repeated.",
)
@click.option("--idempotency-key", help="One key per purchase. [default: a random one]")
@call_options
def create(gateway: OneCall, idempotency_key: str | None, **fields: Any) -> int:  # noqa: ANN401 -- click has read them, the request checks them
    """Open a checkout session."""
    fields["payment_method"] = fields["payment_method"] or None
    request = CheckoutSessionRequest(**fields)
    session = gateway.write(
        lambda factory: factory.create(
            request, idempotency_key=idempotency_key, timeout=gateway.timeout
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
    session = gateway.ask(
        lambda factory: factory.retrieve(session_id, timeout=gateway.timeout)
    )
    show(session, gateway.output)
