"""The program: its commands, and how it is run."""

import sys

import click

from convergegate_async import errors
from convergegate_async._version import __version__

from . import (
    _bulk,
    _demo,
    _doctor,
    _load,
    _payments,
    _sandbox,
    _sessions,
    _webhooks,
)
from ._changes import Write, telling
from ._errors import report
from ._invocation import Invocation, output_among
from ._streams import (
    OutputLost,
    exit_code_after,
    hold_standard_descriptors,
    loss_of,
    print_note,
    standard_streams,
)

NAME = "convergegate"  # also where it is started by ``python -m``: completion needs it


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def program() -> None:
    """Open ConvergeGate checkout sessions, and try them out without an account.

    The key and the address of the gateway come from CONVERGEGATE_API_KEY and
    CONVERGEGATE_BASE_URL. Data goes to stdout, everything else to stderr.
    """


program.add_command(_demo.demo)
program.add_command(_doctor.doctor)
program.add_command(_sandbox.sandbox)
program.add_command(_sessions.create)
program.add_command(_sessions.get)
program.add_command(_payments.pay)
program.add_command(_payments.wait)
program.add_command(_payments.refund)
program.add_command(_payments.refund_status)
program.add_command(_webhooks.webhooks)
program.add_command(_bulk.bulk)
program.add_command(_load.load)


def run() -> int:
    """Run the command that the arguments name; return the exit code of the process."""
    hold_standard_descriptors()
    with standard_streams():
        code = telling(_run)
        loss = loss_of(sys.stdout)
        if loss is not None and not isinstance(
            loss, BrokenPipeError | InterruptedError
        ):
            print_note(f"Error: stdout cannot be written: {loss.strerror}", "red")
        return exit_code_after(code, loss)


def _run(write: Write) -> int:
    invocation = Invocation(write)
    try:
        return program.main(prog_name=NAME, standalone_mode=False, obj=invocation) or 0
    except OutputLost:
        return 0  # the stream remembers it
    except (errors.ConvergeGateError, click.ClickException) as error:
        if invocation.command is None:  # click did not come as far
            invocation.output = output_among(sys.argv[1:])
        return report(error, invocation)
