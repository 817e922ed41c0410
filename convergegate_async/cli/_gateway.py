"""The options that all calls share, and the factory that they make."""

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from convergegate_async.errors import ConfigurationError

from ._writes import Write

if TYPE_CHECKING:
    from typing import Unpack

    from convergegate_async import CheckoutSessionFactory
    from convergegate_async.factory import FactoryOptions

T = TypeVar("T")

OUTPUTS = ("table", "json", "id")


@attrs.frozen
class Gateway:
    """Which gateway to call, and as whom; `None` is what the environment says."""

    base_url: str | None
    api_key: str | None = attrs.field(repr=False)

    def factory(self, **options: "Unpack[FactoryOptions]") -> "CheckoutSessionFactory":
        """Return an unopened factory that calls it."""
        from convergegate_async import CheckoutSessionFactory

        return CheckoutSessionFactory.from_env(
            api_key=self.api_key, base_url=self.base_url, **options
        )


@attrs.frozen
class OneCall(Gateway):
    """A call to make, and how to show its answer."""

    timeout: float | None
    output: str

    def ask(self, call: "Callable[[CheckoutSessionFactory], Awaitable[T]]") -> T:
        """Make a call that changes nothing, over a factory of its own."""
        import asyncio

        async def run() -> T:
            async with self.factory() as factory:
                return await call(factory)

        return asyncio.run(run())

    def write(
        self,
        call: "Callable[[CheckoutSessionFactory], Awaitable[T]]",
        in_short: Callable[[T], str],
        doubt: str | None = None,
    ) -> T:
        """Make a call that changes something, over a factory of its own.

        Whatever ends the command before it has shown the answer, something is told.

        Args:
            call: What to do.
            in_short: What is told of an answer.
            doubt: What is told if it may have been done; its key if `None`.
        """
        write = click.get_current_context().ensure_object(Write)
        write.doubt = doubt

        async def run() -> T:
            async with self.factory(observers=[write]) as factory:
                answer = await call(factory)
                write.news = in_short(answer)
                return answer

        return write.run(run)


def read_api_key(
    _context: click.Context, _option: click.Parameter, path: Path | None
) -> str | None:
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


api_key_option = click.option(
    "--api-key-file",
    "api_key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=read_api_key,
    help="A file that holds the API key. [default: CONVERGEGATE_API_KEY]",
)
_base_url_option = click.option(
    "--base-url", help="The gateway's base URL. [default: CONVERGEGATE_BASE_URL]"
)


def gateway_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of a gateway to *command*, handed over as one `Gateway`."""
    return _base_url_option(api_key_option(_gathered(Gateway, command)))


def call_options(
    command: Callable[..., T], *, default_timeout: int = 30
) -> Callable[..., T]:
    """Add the options of a call to *command*, handed over as one `OneCall`."""
    timeout = click.option(
        "--timeout",
        type=float,
        help=f"Deadline of the call in seconds. [default: {default_timeout}]",
    )
    output = click.option(
        "--output",
        type=click.Choice(OUTPUTS),
        default="table",
        show_default=True,
        help="How to print the answer.",
    )
    gathered = timeout(output(_gathered(OneCall, command)))
    return _base_url_option(api_key_option(gathered))


def _gathered(kind: type[Gateway], command: Callable[..., T]) -> Callable[..., T]:
    """Have *command* called with one *kind* in the place of the options it holds."""
    names = [field.name for field in attrs.fields(kind)]

    @functools.wraps(command)
    def wrapped(**options: Any) -> T:  # noqa: ANN401 -- click has read them
        gateway = kind(**{name: options.pop(name) for name in names})
        return command(gateway, **options)

    return wrapped
