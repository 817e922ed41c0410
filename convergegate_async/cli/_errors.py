"""What becomes of an error: sentences for people, an object for programs, an exit code.

0 done, 1 unexpected or output lost, 2 wrong usage, 3 configuration or key, 4 refused by
the gateway, 5 not sent or unknown, 130 interrupted, by SIGTERM, too.
"""

import sys
from typing import TYPE_CHECKING, TypeAlias

import click

from convergegate_async import errors

from ._invocation import Invocation
from ._streams import loss_of, print_data, print_json, print_note, printable

if TYPE_CHECKING:
    from convergegate_async import CheckoutSession

ReportedError: TypeAlias = errors.ConvergeGateError | click.ClickException
"""What a command may end with, and which is no fault of the program."""


def exit_code_of(error: ReportedError) -> int:
    """Return the exit code that tells a script what to do about *error*."""
    match error:
        case click.ClickException():
            return error.exit_code
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


def advice_on(error: ReportedError) -> str | None:
    """Return what to do next, where that is not plain from *error* itself."""
    match error:
        case errors.OutcomeUnknownError():
            return _advice_on_doubt(error)
        case errors.NotSentError():
            return (
                "Nothing reached the gateway: it is safe to run this again. "
                "`convergegate doctor` tells what is in the way."
            )
        case errors.AuthenticationError():
            return "Check CONVERGEGATE_API_KEY, or the file of --api-key-file."
        case _:
            return None


ON_DOUBT = {
    "create": (
        "Repeat it only with --idempotency-key {key}. If the gateway ignores keys, an "
        "unpaid second session may exist, and will expire."
    ),
    "pay": (
        "Do not pay again: the session is {status}. Run `convergegate wait` with its "
        "id."
    ),
    "refund": (
        "Check before you repeat it: of the session, {amount} refunded. The key was "
        "{key}."
    ),
    "wait": "The session is {status}: wait again, or look with `get`.",
}
"""What to do next, by the call of which nobody knows what became."""


def _advice_on_doubt(error: errors.OutcomeUnknownError) -> str | None:
    advice = ON_DOUBT.get(error.operation)
    if advice is None:  # a look: it changes nothing
        return None
    session = error.session
    refunded = session.amount_refunded if session else None
    return advice.format(
        key=error.idempotency_key,
        status=printable(str((session and session.status) or "of unknown status")),
        amount="an unknown amount is"
        if refunded is None
        else f"{refunded} minor units are",
    )


def report(error: ReportedError, invocation: Invocation) -> int:
    """Tell *error*, and return the exit code.

    It is told on stderr, and with ``--output json`` on stdout as well; a write in doubt
    on stdout in any case, if stderr is lost.
    """
    lines = [f"Error: {_sentence(error, invocation.command)}"]
    lines += filter(None, [advice_on(error)])
    if isinstance(error, click.ClickException):
        error.show()  # says how the command is used, too
    else:
        print_note(lines[0], "red")
        for advice in lines[1:]:
            print_note(advice)
    if invocation.output == "json":
        print_json({"error": as_json(error, invocation.command)})
    elif isinstance(error, errors.OutcomeUnknownError) and loss_of(sys.stderr):
        print_data("\n".join(lines))
    return exit_code_of(error)


def _sentence(error: ReportedError, command: click.Command | None) -> str:
    """Return what *error* says, of fields by the names that their options have."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if not isinstance(error, errors.InvalidFieldError):
        return str(error)
    wrong = [f"{option_of(field, command)} {why}" for field, why in error.problems]
    if len(wrong) == 1:
        return wrong[0]
    return "\n  ".join([f"{len(wrong)} options cannot be right:", *wrong])


def option_of(field: str, command: click.Command | None) -> str:
    """Return how the user of a *command* names what we call *field*."""
    for one in command.params if command is not None else ():
        if one.name == field:
            is_option = isinstance(one, click.Option)
            return one.opts[-1] if is_option else one.human_readable_name
    return field


_OF_CALLS = (
    *("operation", "outcome", "phase", "failure", "attempts", "elapsed"),
    *("idempotency_key", "http_status", "request_id", "retry_after"),
    *("type", "param", "decline_code", "charge_id"),
)
"""What errors of calls know, by the names that they have there."""


def as_json(
    error: ReportedError, command: click.Command | None = None
) -> dict[str, object]:
    """Return *error* as a program reads it: the same names always, null where unknown.

    Nothing in it is more than the error's own sentence may tell.
    """
    call = error if isinstance(error, errors.CallError) else None
    return {
        "class": "UsageError"
        if isinstance(error, click.UsageError)
        else type(error).__name__,
        "message": _sentence(error, command),
        "gateway_message": call and call.message,
        **{name: getattr(call, name, None) for name in _OF_CALLS},
        "session": call and call.session and _in_short(call.session),
        "problems": [
            {"field": field, "option": option_of(field, command), "reason": reason}
            for field, reason in getattr(error, "problems", ())
        ],
        "advice": advice_on(error),
        "exit_code": exit_code_of(error),
    }


def _in_short(session: "CheckoutSession") -> dict[str, object]:
    return {
        "id": session.id,
        "status": session.status,
        "amount_refunded": session.amount_refunded,
    }
