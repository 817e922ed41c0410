"""The options that all calls share, and the factory that they make."""

import functools
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import attrs
import click

from convergegate_async.errors import ConfigurationError

from ._invocation import Invocation, output_option
from ._streams import print_data

if TYPE_CHECKING:
    import ssl
    from typing import Unpack

    from convergegate_async import CheckoutSessionFactory
    from convergegate_async._core.operations import Operation
    from convergegate_async.factory import FactoryOptions, Observer
    from convergegate_async.models import Answer

    Describe: TypeAlias = Callable[[str], Operation[Answer]]
    """Describes a call, under an idempotency key if it has to have one."""

T = TypeVar("T")

PROXY_VARIABLE = "CONVERGEGATE_PROXY"


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
    """A call to make, and how to show what comes of it.

    Attributes:
        timeout: Its deadline in seconds, if it has one of its own.
        output: How its answer is printed.
        debug: What is sent, and what becomes of it, is told on stderr.
        curl: It is printed instead of made.
    """

    timeout: float | None
    output: str
    debug: bool
    curl: bool

    def ask(
        self,
        call: "Callable[[CheckoutSessionFactory], Awaitable[T]]",
        describe: "Describe",
    ) -> T:
        """Make a call that changes nothing, over a factory of its own.

        Args:
            call: What to do.
            describe: What that sends first.
        """
        import asyncio

        if self.curl:
            self._print(describe)
        return asyncio.run(self._make(call, describe))

    def write(
        self,
        call: "Callable[[CheckoutSessionFactory], Awaitable[T]]",
        describe: "Describe",
        in_short: Callable[[T], str],
        doubt: str | None = None,
    ) -> T:
        """Make a call that changes something, over a factory of its own.

        Whatever ends the command before it has shown the answer, something is told.

        Args:
            call: What to do.
            describe: What that sends first.
            in_short: What is told of an answer.
            doubt: What is told if it may have been done; its key if `None`.
        """
        if self.curl:
            self._print(describe)
        write = click.get_current_context().ensure_object(Invocation).write
        write.doubt = doubt

        async def answered(factory: "CheckoutSessionFactory") -> T:
            answer = await call(factory)
            write.news = in_short(answer)
            return answer

        return write.run(lambda: self._make(answered, describe, write))

    async def _make(
        self,
        call: "Callable[[CheckoutSessionFactory], Awaitable[T]]",
        describe: "Describe",
        *observers: "Observer",
    ) -> T:
        """Make a call, and tell of it if that is asked for."""
        options: FactoryOptions = {"observers": observers}
        if self.debug:
            from ._debug import Debug
            from ._request_preview import message_of

            debug = Debug()
            options = {"observers": [*observers, debug], "runtime": debug.runtime}
            operation = describe(debug.key)
            debug.show(operation, message_of(operation, self.factory()))
        async with self.factory(**options) as factory:
            return await call(factory)

    def _print(self, describe: "Describe") -> NoReturn:
        """Print the call as a curl command, and leave.

        Raises:
            click.exceptions.Exit: It is printed.
        """
        from convergegate_async._core.idempotency import fresh_key

        from ._curl import curl_command
        from ._request_preview import message_of

        operation = describe(fresh_key(os.urandom(16)))
        message = message_of(operation, self.factory())
        ca_file = None if self.trust is None else self.trust.path
        proxy = None if self.proxy is None else PROXY_VARIABLE
        print_data(
            curl_command(operation, message, ca_file=ca_file, proxy_variable=proxy)
        )
        raise click.exceptions.Exit(0)


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
    # Its name is not told: some give the key itself there.
    message = "the file of --api-key-file holds no API key that can be read"
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
    type=click.Path(path_type=Path),
    callback=read_api_key,
    help="A file that holds the API key. [default: CONVERGEGATE_API_KEY]",
)
_base_url_option = click.option(
    "--base-url", help="The gateway's base URL. [default: CONVERGEGATE_BASE_URL]"
)
_proxy_option = click.option(
    "--proxy",
    metavar="URL",
    envvar=PROXY_VARIABLE,
    help="A proxy to call through, such as http://proxy.example:3128. One with a "
    "password belongs into the environment: other users of the machine can see "
    f"arguments. [default: {PROXY_VARIABLE}]",
)
_debug_option = click.option(
    "--debug",
    is_flag=True,
    help="Tell on stderr what is sent, and what becomes of each attempt. The key, the "
    "BLIK code, personal values and metadata are shown by name only.",
)
_curl_option = click.option(
    "--curl",
    is_flag=True,
    help="Send nothing: print the call as a curl command, with the values as they are. "
    "Key and BLIK code are $CONVERGEGATE_API_KEY and $BLIK_CODE there.",
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
    gathered = timeout(output(_debug_option(_curl_option(_gathered(OneCall, command)))))
    return _addressed(gathered)


def _gathered(kind: type[Gateway], command: Callable[..., T]) -> Callable[..., T]:
    """Have *command* called with one *kind* in the place of the options it holds."""
    names = [field.name for field in attrs.fields(kind)]

    @functools.wraps(command)
    def wrapped(**options: Any) -> T:  # noqa: ANN401 -- click has read them
        gateway = kind(**{name: options.pop(name) for name in names})
        return command(gateway, **options)

    return wrapped
