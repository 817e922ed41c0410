"""The options that all calls share, and the factory that they make."""

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from convergegate_async.errors import ConfigurationError, Outcome

from ._streams import print_note

if TYPE_CHECKING:
    from typing import Unpack

    from convergegate_async import AttemptInfo, CallEnded, CheckoutSessionFactory
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


class _LastCall:
    """Remembers the key of a call that may have done something."""

    def __init__(self) -> None:
        self.key: str | None = None

    def attempt_ended(self, attempt: "AttemptInfo") -> None:
        """Wait for the whole call."""

    def call_ended(self, call: "CallEnded") -> None:
        """Keep its key, unless it came to nothing."""
        if call.outcome is None or call.outcome is Outcome.UNKNOWN:
            self.key = call.idempotency_key


@attrs.frozen
class OneCall(Gateway):
    """A call to make, and how to show its answer."""

    timeout: float | None
    output: str

    def ask(self, call: "Callable[[CheckoutSessionFactory], Awaitable[T]]") -> T:
        """Make the call over a factory of its own; if interrupted, tell its key."""
        import asyncio

        last = _LastCall()

        async def run() -> T:
            try:
                async with self.factory(observers=[last]) as factory:
                    return await call(factory)
            except asyncio.CancelledError:
                if last.key is not None:
                    print_note(f"It may have been done. The key was {last.key}.")
                raise

        return asyncio.run(run())


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
