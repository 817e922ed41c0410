"""``convergegate sandbox``: a gateway of one's own, until it is interrupted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from convergegate_async._core.host_names import is_host
from convergegate_async._core.settings import is_loopback
from convergegate_async.errors import ConfigurationError

from ._sandbox_log import print_action, print_delivery, print_request
from ._sandbox_seed import seed
from ._streams import loss_of, print_data, print_note
from ._wording import counted

if TYPE_CHECKING:
    import asyncio


def _require_hosts(
    _context: click.Context, _option: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Return *names* that are those of hosts.

    Raises:
        click.BadParameter: One is not; the sandbox would tell it by another name.
    """
    if all(map(is_host, names)):
        return names
    message = "must be host names, without scheme and port"
    raise click.BadParameter(message)


@click.group(invoke_without_command=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on. [default: any free one]",
)
@click.option(
    "--seed",
    type=int,
    help="Seed of the faults and of all ids. [default: 0 for the faults, random ids]",
)
@click.option("--ignore-keys", is_flag=True, help="Do not honour idempotency keys.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="What goes wrong: its kind, and how if you like, such as lost, "
    "status:status=429,times=3 or webhook_late:seconds=9; may be repeated.",
)
@click.option(
    "--db",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A SQLite file to keep the book in, over restarts.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 lets other machines in.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    callback=_require_hosts,
    help="A further name to be called by, such as that of a container.",
)
@click.option(
    "--public-url",
    metavar="URL",
    help="Where browsers see it, if a proxy stands in front; pay links lead there.",
)
@click.option(
    "--webhooks-to",
    multiple=True,
    metavar="NAME",
    callback=_require_hosts,
    help="A host beside this machine that webhooks may be sent to.",
)
@click.pass_context
def sandbox(  # noqa: PLR0913 -- the command's options
    context: click.Context,
    *,
    port: int,
    seed: int | None,
    ignore_keys: bool,
    faults: tuple[str, ...],
    db: Path | None,
    host: str,
    allowed_hosts: tuple[str, ...],
    public_url: str | None,
    webhooks_to: tuple[str, ...],
) -> None:
    """Run a gateway of your own, until Ctrl-C; --host opens it to other machines.

    The two lines on stdout set the environment of the other commands; every request,
    every try of a webhook, and what is done by a page or the control API, is logged on
    stderr by the gateway's clock.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    from convergegate_async.sandbox import Sandbox, read_fault

    from ._signals import run_until_interrupted
    from ._strangers import expect_strangers

    try:
        plan = [read_fault(text) for text in faults]
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from None
    try:
        gateway = Sandbox(
            port=port,
            seed=seed,
            honour_keys=not ignore_keys,
            faults=plan,
            on_request=print_request,
            on_action=print_action,
            on_delivery=lambda sent: print_delivery(sent, gateway.now()),
            db=db,
            host=host,
            allowed_hosts=allowed_hosts,
            public_url=public_url,
            webhooks_to=webhooks_to,
        )
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None

    async def serve(stop: "asyncio.Event") -> None:
        expect_strangers()
        async with gateway:
            # One write: a reader that takes two lines and leaves has had them all.
            variables = (
                f"export CONVERGEGATE_API_KEY={gateway.api_key}\n"
                f"export CONVERGEGATE_BASE_URL={gateway.base_url}"
            )
            print_data(variables)
            if loss_of(sys.stdout) is not None:
                print_note(variables)  # it serves, whoever reads how
            print_note(f"Status page: {(public_url or gateway.base_url).rstrip('/')}/")
            print_note("The sandbox is running; stop it with Ctrl-C.")
            if not is_loopback(host):
                print_note("Other machines can reach it: its key is no secret.")
            await stop.wait()
        print_note(f"Stopped after {counted(gateway.counts.total(), 'request')}.")

    run_until_interrupted(serve)


sandbox.add_command(seed)


def _refuse_options(context: click.Context) -> None:
    """Refuse the options of a sandbox to run where one that runs is talked to."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is ParameterSource.COMMANDLINE:
            name = option.opts[0]
            message = f"{name} is for a sandbox to run, not for one that runs"
            raise click.UsageError(message)
