"""The program: its commands, and which exit code an error becomes.

0 done, 1 unexpected or output lost, 2 wrong usage, 3 configuration or key, 4 refused by
the gateway, 5 not sent or unknown, 130 interrupted, by SIGTERM, too.
"""

import sys

import click

from convergegate_async import errors
from convergegate_async._version import __version__

from . import _bulk, _demo, _doctor, _payments, _sandbox, _sessions, _webhooks
from ._streams import (
    OutputLost,
    exit_code_after,
    loss_of,
    print_data,
    print_note,
    standard_streams,
)
from ._writes import Write, telling


def exit_code_of(error: errors.ConvergeGateError) -> int:
    """Return the exit code that tells a script what to do about *error*."""
    match error:
        case errors.InvalidFieldError():
            return 2
        case (
            errors.ConfigurationError()
            | errors.AuthenticationError()
            | errors.PermissionDeniedError()
        ):
            return 3
        case errors.ApiError() | errors.WebhookError():
            return 4
        case errors.CallError():
            return 5
        case _:
            return 1


def advice_on(error: errors.ConvergeGateError) -> str | None:
    """Return what to do next, where that is not plain from *error* itself."""
    match error:
        case errors.OutcomeUnknownError():
            return _advice_on_doubt(error)
        case errors.NotSentError():
            return "Nothing reached the gateway: it is safe to run this again."
        case errors.AuthenticationError():
            return "Check CONVERGEGATE_API_KEY, or the file of --api-key-file."
        case _:
            return None


def _advice_on_doubt(error: errors.OutcomeUnknownError) -> str | None:
    session, key = error.session, error.idempotency_key
    status = str((session and session.status) or "of unknown status")
    match error.operation:
        case "create":
            return (
                f"Repeat it only with --idempotency-key {key}. If the gateway ignores "
                "keys, an unpaid second session may exist, and will expire."
            )
        case "pay":
            return (
                f"Do not pay again: the session is {status}. "
                "Run `convergegate wait` with its id."
            )
        case "refund":
            refunded = session.amount_refunded if session else None
            amount = (
                "an unknown amount is"
                if refunded is None
                else f"{refunded} minor units are"
            )
            return (
                f"Check before you repeat it: of the session, {amount} refunded. "
                f"The key was {key}."
            )
        case "wait":
            return f"The session is {status}: wait again, or look with `get`."
        case _:
            return None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="convergegate")
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


def run() -> int:
    """Run the command that the arguments name; return the exit code of the process."""
    with standard_streams():
        code = telling(_run)
        loss = loss_of(sys.stdout)
        if loss is not None and not isinstance(
            loss, BrokenPipeError | InterruptedError
        ):
            print_note(f"Error: stdout cannot be written: {loss.strerror}", "red")
        return exit_code_after(code, loss)


def _run(write: Write) -> int:
    try:
        return program.main(standalone_mode=False, obj=write) or 0
    except OutputLost:
        return 0  # the stream remembers it
    except errors.ConvergeGateError as error:
        _report(error)
        return exit_code_of(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code


def _report(error: errors.ConvergeGateError) -> None:
    """Tell *error* on stderr; a write in doubt on stdout, if stderr is lost."""
    told = [f"Error: {error}", *filter(None, [advice_on(error)])]
    print_note(told[0], "red")
    for advice in told[1:]:
        print_note(advice)
    if isinstance(error, errors.OutcomeUnknownError) and loss_of(sys.stderr):
        print_data("\n".join(told))
