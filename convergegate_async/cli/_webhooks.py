"""``convergegate webhooks``: listen, verify, send, replay."""

import json
import os
import secrets
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from convergegate_async._core.host_names import Address, read_url
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import is_live_key, is_loopback
from convergegate_async.errors import ConfigurationError
from convergegate_async.models import EventType, SessionStatus

from ._gateway import api_key_option
from ._invocation import Invocation
from ._streams import loss_of, print_data, print_json, print_note

if TYPE_CHECKING:
    import asyncio

    from convergegate_async.sandbox import ReceivedWebhook

REFUSED, UNANSWERED = 4, 5  # exit codes
SAMPLE_SESSION_ID = "AW-kLcRRC5P8U68CYe0kVA"  # those of the provider's pages
SAMPLE_REFUND_ID = "kLcRRC5P8U68CYe0kVA"

ANY_AGE = 1e11  # seconds: further than any timestamp of the gateway can be

_EVENT_TYPE = click.Choice([str(word) for word in EventType])
_STATUSES = {str(status): status for status in SessionStatus}


@click.group()
def webhooks() -> None:
    """Receive, check and send webhooks."""


@webhooks.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on. [default: any free one]",
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append each body to FILE, as a line of JSON, before it is answered.",
)
@click.option(
    "--forward-to",
    metavar="URL",
    help="Pass each webhook on to your shop at URL, as it came, and answer as it does.",
)
@click.option(
    "--events",
    "kinds",
    multiple=True,
    type=_EVENT_TYPE,
    help="Take events of this type only, and answer 200 to others; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Forward to another machine, too.")
@api_key_option
def listen(  # noqa: PLR0913 -- the command's options
    *,
    port: int,
    record: Path | None,
    forward_to: str | None,
    kinds: tuple[str, ...],
    yes: bool,
    api_key: str | None,
) -> None:
    """Receive webhooks on 127.0.0.1, and print what they tell, until Ctrl-C.

    The URL on stdout is the notification_url to open sessions with. What is not
    validly signed is refused, and neither recorded nor forwarded.

    A webhook is answered 200, or as the shop answers it; 502 if the shop cannot be
    reached, 504 if it does not answer within 9 seconds; 500 if it could not be
    recorded, and then it is not forwarded. What is not answered 2xx is sent again by
    the gateway.

    FILE is what `webhooks replay` and `bulk reconcile --events` read.
    """
    from convergegate_async.sandbox import WebhookListener
    from convergegate_async.webhooks import WebhookVerifier

    from ._signals import run_until_interrupted
    from ._webhook_handler import WebhookHandler
    from ._webhook_recording import Recording

    secret = _secret(api_key)
    verifier = WebhookVerifier(secret)
    if forward_to is not None:
        target = _check_target(forward_to, secret, yes=yes, named="--forward-to")
        if is_loopback(target.host) and target.port == port:
            message = "--forward-to leads back to this --port"
            raise click.UsageError(message)
    recording = None if record is None else Recording(record)
    handler = WebhookHandler(kinds, recording, forward_to)

    async def serve(stop: "asyncio.Event") -> None:
        def show(delivery: "ReceivedWebhook") -> None:
            handler.show(delivery, stop.set)

        async with WebhookListener(
            verifier, show, port, handler=handler.handle
        ) as listener:
            print_data(listener.url)
            if loss_of(sys.stdout) is not None:
                return
            print_note("Listening for webhooks; stop with Ctrl-C.")
            await stop.wait()

    run_until_interrupted(serve)


@webhooks.command()
@click.argument("body", type=click.File("rb"))
@click.option("--timestamp", required=True, help="The Sec-Timestamp header.")
@click.option("--signature", required=True, help="The Sec-Signature header.")
@click.option("--any-age", is_flag=True, help="Accept a delivery of any age.")
@api_key_option
def verify(
    *,
    body: BinaryIO,
    timestamp: str,
    signature: str,
    any_age: bool,
    api_key: str | None,
) -> None:
    """Check a delivery: its BODY in a file (- for stdin), and its two headers."""
    from convergegate_async.webhooks import WebhookVerifier

    secret = _secret(api_key)
    verifier = (
        WebhookVerifier(secret, tolerance=None, oldest=ANY_AGE)
        if any_age
        else WebhookVerifier(secret)
    )
    headers = {"Sec-Timestamp": timestamp, "Sec-Signature": signature}
    event = verifier.verify(body.read(), headers)
    print_json(dict(event.raw))


@webhooks.command()
@click.argument("url")
@click.option(
    "--type",
    "kind",
    type=_EVENT_TYPE,
    default=str(EventType.SESSION_COMPLETED),
    show_default=True,
    help="Type of the event.",
)
@click.option(
    "--session-id",
    default=SAMPLE_SESSION_ID,
    show_default=True,
    help="Session that the event is about.",
)
@click.option(
    "--refund-id",
    help="Refund that a refund event is about. [default: a sample id]",
)
@click.option("--event-id", help="Id of the event. [default: a new one]")
@click.option("--yes", is_flag=True, help="Send it to another machine, too.")
@api_key_option
def send(  # noqa: PLR0913 -- the command's options
    *,
    url: str,
    kind: str,
    session_id: str,
    refund_id: str | None,
    event_id: str | None,
    yes: bool,
    api_key: str | None,
) -> int:
    """Send a signed test event to URL, as the gateway would.

    The shop at URL cannot tell it from a true one. So other machines are sent it only
    with --yes, and what is signed with a live key never goes there by plain http.

    Exits with 0 if it is answered 2xx, with 4 if otherwise, with 5 if not at all.
    """
    import asyncio

    from convergegate_async.sandbox import BookedEvent, post_webhook
    from convergegate_async.webhooks import sign

    from ._webhook_display import is_success

    secret = _secret(api_key)
    _check_target(url, secret, yes=yes)
    now = int(time.time())
    noun, _, state = kind.partition(".")
    is_refund = noun == "refund"
    event = BookedEvent(
        id=event_id or f"evt_{secrets.token_hex(8)}",
        type=EventType(kind),
        created_at=now,
        url=url,
        session_id=session_id,
        status=None if is_refund else _STATUSES.get(state, SessionStatus.OPEN),
        refund_id=(refund_id or SAMPLE_REFUND_ID) if is_refund else None,
    )
    body = json.dumps(event.as_json()).encode()
    headers = sign(body, secret=secret, timestamp=now)
    status = asyncio.run(post_webhook(url, body, headers))
    print_note(f"--> {kind} [{event.id}]")
    print_data("no answer" if status is None else str(status))
    if status is None:
        return UNANSWERED
    return 0 if is_success(status) else REFUSED


@webhooks.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("url")
@click.option(
    "--events",
    "kinds",
    multiple=True,
    type=_EVENT_TYPE,
    help="Send events of this type only; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Send them to another machine, too.")
@api_key_option
def replay(
    *, file: Path, url: str, kinds: tuple[str, ...], yes: bool, api_key: str | None
) -> int:
    """Send the webhooks of FILE to URL again, one by one, each signed anew.

    FILE is what `listen --record` writes: a body a line, and sent in that order. A line
    that is no webhook's body is named and passed over.

    As with `send`, other machines are sent them only with --yes, and what is signed
    with a live key never goes there by plain http.

    Exits with 0 if all are answered 2xx, with 4 if one is answered otherwise, with 5 if
    one is not answered at all; else with 1 if a line was passed over.
    """
    from convergegate_async.sandbox import post_webhook
    from convergegate_async.webhooks import sign

    from ._webhook_display import Replayed, print_replayed
    from ._webhook_recording import lines_in

    secret = _secret(api_key)
    _check_target(url, secret, yes=yes)
    write = click.get_current_context().ensure_object(Invocation).write
    replayed = Replayed()

    for line in lines_in(file):
        if line.event is None:
            print_note(f"line {line.number}: not a webhook's body")
            replayed.passed_over += 1
        elif not kinds or line.event.type in kinds:
            write.news = f"{replayed} Line {line.number} may have arrived, too."
            headers = sign(line.body, secret=secret, timestamp=int(time.time()))
            status = write.run(partial(post_webhook, url, line.body, headers))
            replayed.add(status)
            write.news = str(replayed)
            print_replayed(line.event, status)
    write.news = None
    print_note(str(replayed))
    if replayed.unanswered:
        return UNANSWERED
    return REFUSED if replayed.refused else int(replayed.passed_over > 0)


def _check_target(url: str, secret: str, *, yes: bool, named: str = "URL") -> Address:
    target = read_url(url)
    if target is None:
        message = f"{named} must be a plain http or https URL"
        raise click.UsageError(message)
    if is_loopback(target.host):
        return target
    if target.scheme == "http" and is_live_key(Secret(secret)):
        message = "what a live key signs leaves this machine by https only"
        raise click.UsageError(message)
    if not yes:
        message = f"{target.host} is another machine: add --yes if it is yours"
        raise click.UsageError(message)
    return target


def _secret(api_key: str | None) -> str:
    key = api_key or os.environ.get("CONVERGEGATE_API_KEY", "")
    if not key:
        message = "set the environment variable CONVERGEGATE_API_KEY"
        raise ConfigurationError(message)
    return key
