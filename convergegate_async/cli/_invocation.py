"""One run of the program, as all of its modules see it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import click

from ._changes import Write

C = TypeVar("C", bound=Callable[..., Any])


@attrs.define
class Invocation:
    """One run of the program.

    Attributes:
        write: What it changes, if it does.
        command: What runs; `None` until the options of one that has ``--output`` are
            read.
        output: How it prints what comes of it, errors included.
    """

    write: Write = attrs.field(factory=Write)
    command: click.Command | None = None
    output: str = "table"


def output_among(arguments: Sequence[str]) -> str:
    """Return how *arguments* that could not be read ask for what comes of them."""
    output = "table"
    for name, value in zip(arguments, [*arguments[1:], ""], strict=False):
        if name == "--":
            break
        if name == "--output":
            output = value
        elif name.startswith("--output="):
            output = name.removeprefix("--output=")
    return output


def _note(context: click.Context, _option: click.Parameter, output: str) -> str:
    invocation = context.ensure_object(Invocation)
    invocation.command, invocation.output = context.command, output
    return output


def output_option(*outputs: str) -> Callable[[C], C]:
    """Return the option that says how an answer, or an error, is printed."""
    return click.option(
        "--output",
        type=click.Choice(outputs),
        default="table",
        show_default=True,
        is_eager=True,  # wherever it stands, it is read before what may be wrong
        callback=_note,
        help="How to print the answer.",
    )
