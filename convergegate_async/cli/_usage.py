"""Options whose values cannot be: wrong usage, whoever it is that refuses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite

import click

from convergegate_async.errors import ConfigurationError


@contextmanager
def as_usage(
    refusal: type[ConfigurationError] = ConfigurationError,
) -> Iterator[None]:
    """Tell what is refused in here as wrong usage: exit code 2, and not 3.

    Args:
        refusal: The kind that is; others have another cause, such as an extra that is
            not installed.

    Raises:
        click.BadParameter: In the words of the refusal.
    """
    try:
        yield
    except refusal as error:
        message = str(error)
    else:
        return
    raise click.BadParameter(message)


class _AboveZero(click.FloatRange):
    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; NaN compares with no bound, and would pass."""
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail("must be a finite number above 0", param, ctx)
        return number


ABOVE_ZERO = _AboveZero(0, min_open=True)
