"""The options that all calls share, and the factory that they make."""

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from convergegate_async.errors import ConfigurationError

if TYPE_CHECKING:
    from convergegate_async import CheckoutSessionFactory

T = TypeVar("T")

OUTPUTS = ("table", "json", "id")


@attrs.frozen
class Gateway:
    """Which gateway to call, and how to show its answer."""

    base_url: str | None
    api_key_file: Path | None
    timeout: float | None
    output: str

    def ask(self, call: "Callable[[CheckoutSessionFactory], Awaitable[T]]") -> T:
        """Make one call over a factory of its own."""
        import asyncio

        from convergegate_async import CheckoutSessionFactory

        async def run() -> T:
            factory = CheckoutSessionFactory.from_env(
                api_key=read_api_key(self.api_key_file), base_url=self.base_url
            )
            async with factory:
                return await call(factory)

        return asyncio.run(run())


def gateway_options(
    command: Callable[..., T], *, default_timeout: int = 30
) -> Callable[..., T]:
    """Add the options of a call to *command*, handed over as one `Gateway`."""

    @click.option(
        "--base-url", help="The gateway's address. [default: CONVERGEGATE_BASE_URL]"
    )
    @click.option(
        "--api-key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file that holds the API key. [default: CONVERGEGATE_API_KEY]",
    )
    @click.option(
        "--timeout",
        type=float,
        help=f"Deadline of the call in seconds. [default: {default_timeout}]",
    )
    @click.option(
        "--output",
        type=click.Choice(OUTPUTS),
        default="table",
        show_default=True,
        help="How to print the answer.",
    )
    @functools.wraps(command)
    def wrapped(**options: Any) -> T:  # noqa: ANN401 -- click has read them
        names = [field.name for field in attrs.fields(Gateway)]
        gateway = Gateway(**{name: options.pop(name) for name in names})
        return command(gateway, **options)

    return wrapped


def read_api_key(path: Path | None) -> str | None:
    """Return the API key that a file holds, if there is one.

    Raises:
        ConfigurationError: It cannot be read.
    """
    if path is None:
        return None
    key = ""
    with suppress(OSError, ValueError):
        key = path.read_text(encoding="utf-8-sig").strip()  # editors add a mark
    if key:
        return key
    message = f"{path} holds no API key that can be read"
    raise ConfigurationError(message)
