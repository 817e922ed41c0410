"""Which gateway is loaded: by default one of one's own, in a process of its own.

Were it in the process of the generator, each would wait for the other.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Literal, Unpack
from urllib.parse import urlsplit

import attrs

from convergegate_async._core.settings import API_KEY_VARIABLE
from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, FactoryOptions
from convergegate_async.sandbox import Sandbox

from .stub import serve_stub

OwnTarget = Literal["sandbox", "stub"]

_API_KEY = "sk_test_sandbox"
_PATIENCE, _PARTING = 30.0, 5.0  # seconds, for a process to start, and to end


@attrs.frozen(kw_only=True)
class Target:
    """A gateway to load.

    Load one that runs already::

        target = Target(base_url=base_url, api_key=api_key)
        report = await run_load(LoadPlan(profile=profile), target)

    Attributes:
        base_url: Its address; that of ``CONVERGEGATE_BASE_URL`` if `None`.
        api_key: The key to call it with; that of ``CONVERGEGATE_API_KEY`` if `None`.
        own: What it is, if the run itself has started it: its key is no secret.
    """

    base_url: str | None = None
    api_key: str | None = attrs.field(default=None, repr=False)
    own: OwnTarget | None = None

    @property
    def key(self) -> str:
        """The key to call it with."""
        return self.api_key or os.environ.get(API_KEY_VARIABLE, "")

    def factory(self, **options: Unpack[FactoryOptions]) -> CheckoutSessionFactory:
        """Return an unopened factory that calls it.

        Raises:
            ConfigurationError: The environment does not say which gateway.
        """
        return CheckoutSessionFactory.from_env(
            api_key=self.api_key, base_url=self.base_url, **options
        )


async def has_ended(target: Target) -> bool:
    """Tell whether nothing listens any longer at a *target* of this machine."""
    url = urlsplit(target.base_url or "")
    try:
        _, writer = await asyncio.open_connection(url.hostname, url.port)
    except OSError:
        return True
    writer.close()
    return False


@asynccontextmanager
async def own_target(kind: OwnTarget) -> AsyncGenerator[Target, None]:
    """Run a sandbox, or a stub, in a process of its own.

    Raises:
        ConfigurationError: It does not start.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"from {__name__} import serve; serve()", kind),
        stdin=PIPE,  # it lives until this is closed: no longer than this process
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C ends the run, and not what it calls
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError
    try:
        async with asyncio.timeout(_PATIENCE):
            base_url = (await process.stdout.readline()).decode().strip()
        if not base_url:
            message = f"the {kind} to be loaded did not start"
            raise ConfigurationError(message)
        yield Target(base_url=base_url, api_key=_API_KEY, own=kind)
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PARTING):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


def serve() -> None:
    """Be what the argument says, print its address, and end with stdin."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(_serve_stub() if sys.argv[1] == "stub" else _serve_sandbox())


async def _serve_sandbox() -> None:
    async with Sandbox(api_key=_API_KEY) as sandbox:
        await _announce(sandbox.base_url)


async def _serve_stub() -> None:
    server = await serve_stub()
    async with server:
        host, port = server.sockets[0].getsockname()
        await _announce(f"http://{host}:{port}")


async def _announce(base_url: str) -> None:
    sys.stdout.write(f"{base_url}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
