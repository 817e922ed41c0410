"""The options that all calls share, and the factory that they make."""

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from convergegate_async.errors import ConfigurationError

from ._invocation import Invocation, output_option

if TYPE_CHECKING:
    import ssl
    from typing import Unpack

    from convergegate_async import CheckoutSessionFactory
    from convergegate_async.factory import FactoryOptions

T = TypeVar("T")


@attrs.frozen
class Trust:
    """Authorities whose certificates are believed, and the file that names them."""

    path: Path
    context: "ssl.SSLContext" = attrs.field(repr=False)


@attrs.frozen
class Gateway:
    """Which gateway to call, as whom, and by which way.

    Attributes:
        base_url: What the environment says, if `None`.
        api_key: What the environment says, if `None`.
        proxy: The URL of a proxy; it may hold a password.
        trust: Whose certificates are believed; the platform's, if `None`.
    """

    base_url: str | None
    api_key: str | None = attrs.field(repr=False)
    proxy: str | None = attrs.field(repr=False)
    trust: "Trust | None"

    def factory(self, **options: "Unpack[FactoryOptions]") -> "CheckoutSessionFactory":
        """Return an unopened factory that calls it."""
        from convergegate_async import CheckoutSessionFactory

        options["proxy"] = self.proxy
        options["ssl"] = None if self.trust is None else self.trust.context
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
        write = click.get_current_context().ensure_object(Invocation).write
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


def read_trust(
    _context: click.Context, _option: click.Parameter, path: Path | None
) -> Trust | None:
    """Return whom the certificates in a file vouch for, if there is one.

    Raises:
        ConfigurationError: It cannot be read, or holds none.
    """
    if path is None:
        return None
    import ssl

    with suppress(OSError, ssl.SSLError):
        context = ssl.create_default_context(cafile=path)
        if context.cert_store_stats()["x509"]:  # and not only what others revoked
            return Trust(path, context)
    message = f"{path} holds no PEM certificate that can be read"
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
_proxy_option = click.option(
    "--proxy",
    metavar="URL",
    envvar="CONVERGEGATE_PROXY",
    help="A proxy to call through, such as http://proxy.example:3128. One with a "
    "password belongs into the environment: other users of the machine can see "
    "arguments. [default: CONVERGEGATE_PROXY]",
)
_trust_option = click.option(
    "--ca-file",
    "trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=read_trust,
    help="Certificates (PEM) of the authorities to trust, in the place of the "
    "platform's.",
)


def gateway_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of a gateway to *command*, handed over as one `Gateway`."""
    return _addressed(_gathered(Gateway, command))


def _addressed(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that a `Gateway` is made of."""
    for option in (_trust_option, _proxy_option, api_key_option, _base_url_option):
        command = option(command)
    return command


def call_options(
    command: Callable[..., T], *, default_timeout: int = 30
) -> Callable[..., T]:
    """Add the options of a call to *command*, handed over as one `OneCall`."""
    timeout = click.option(
        "--timeout",
        type=float,
        help=f"Deadline of the call in seconds. [default: {default_timeout}]",
    )
    output = output_option("table", "json", "id")
    gathered = timeout(output(_gathered(OneCall, command)))
    return _addressed(gathered)


def _gathered(kind: type[Gateway], command: Callable[..., T]) -> Callable[..., T]:
    """Have *command* called with one *kind* in the place of the options it holds."""
    names = [field.name for field in attrs.fields(kind)]

    @functools.wraps(command)
    def wrapped(**options: Any) -> T:  # noqa: ANN401 -- click has read them
        gateway = kind(**{name: options.pop(name) for name in names})
        return command(gateway, **options)

    return wrapped
