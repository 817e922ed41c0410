"""The fields of a request as options hold them: all that is wrong is told at once."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
import click

from convergegate_async._core.moments import read_moment
from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import rules
from convergegate_async.models.rules import made_or_refused

R = TypeVar("R", bound=attrs.AttrsInstance)

_AMOUNT = re.compile("-?[0-9]{1,100}")


class RequiredOption(click.Option):
    """One that has to be given, and is missed together with all else that is wrong."""

    def __init__(self, *names: Any, **settings: Any) -> None:  # noqa: ANN401 -- handed through
        super().__init__(*names, required=True, **settings)

    def value_is_missing(self, value: object) -> bool:  # noqa: ARG002 -- click's name
        """Leave that to `read_request`: click would end at the first."""
        return False


metadata_option = click.option(
    "--metadata",
    multiple=True,
    metavar="KEY=VALUE",
    help="A text of your own; may be repeated.",
)


def read_request(
    kind: type[R], options: Mapping[str, Any], idempotency_key: str | None
) -> R:
    """Return the request that *options* describe, by the names of its fields.

    Args:
        kind: What is requested.
        options: Their texts, or what click made of them.
        idempotency_key: The key to make it under, if one was given.

    Raises:
        InvalidFieldError: Some of it cannot be right; *problems* names all of that.
    """
    # It loads the codec, which no help should wait for.
    from convergegate_async._core.operations import lives_long_enough

    values, problems = _read(kind, options)
    if not lives_long_enough(values.get("expires_at"), time.time()):
        problems["expires_at"] = "must be at least 2.5 hours ahead"
    made = made_or_refused(kind, **values)
    if isinstance(made, InvalidFieldError):
        problems = {**dict(made.problems), **problems}
    key = "idempotency_key"
    if idempotency_key is not None:
        checked = made_or_refused(rules.idempotency_key, key, idempotency_key)
        if isinstance(checked, InvalidFieldError):
            problems[key] = checked.reason
    if not isinstance(made, InvalidFieldError) and not problems:
        return made
    order = [*attrs.fields_dict(kind), key]
    first, *more = sorted(problems.items(), key=lambda problem: order.index(problem[0]))
    raise InvalidFieldError(*first, *more)


def _read(
    kind: type[R], options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of fields, and the reason why some have none."""
    fields = attrs.fields_dict(kind)
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in options.items():
        values[name] = None
        if value is None or value == ():
            if fields[name].default is attrs.NOTHING:
                problems[name] = "must be given"
            continue
        try:
            values[name] = _READERS[name](value) if name in _READERS else value
        except ValueError as error:
            problems[name] = str(error)
    return values, problems


def _read_amount(text: str) -> int:
    # int() would take 49_99 and digits of other scripts, too.
    if not _AMOUNT.fullmatch(text):
        message = "must be a whole number of minor units: 4999 is 49.99"
        raise ValueError(message)
    return int(text)


def _read_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read repeated ``KEY=VALUE`` texts into one mapping."""
    if not all("=" in pair for pair in pairs):
        message = "must be KEY=VALUE"
        raise ValueError(message)
    read = dict(pair.split("=", 1) for pair in pairs)
    if len(read) < len(pairs):
        message = "must not hold a key twice"
        raise ValueError(message)
    return read


_READERS: dict[str, Callable[[Any], object]] = {
    "amount": _read_amount,
    "expires_at": read_moment,
    "metadata": _read_pairs,
    "extra": _read_pairs,
}
"""What makes a value of an option's text, where the text itself is none."""
