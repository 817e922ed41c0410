"""aioresponses, made to work with the aiohttp that is installed."""

import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp

from ._sandbox_thread import SANDBOX_THREAD

if TYPE_CHECKING:
    from aioresponses import aioresponses

_IS_ASKED_FOR = (
    "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters
)


class _BridgedResponse(aiohttp.ClientResponse):
    """Has what aioresponses 0.7.9 does not pass, and aiohttp 3.14 asks for."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- handed through
        if _IS_ASKED_FOR:
            options.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **options)


@contextmanager
def mocked_aiohttp(*, passthrough: Sequence[str] = ()) -> "Iterator[aioresponses]":
    """Answer the requests of this process by aioresponses, on every aiohttp.

    Nothing is sent, so that nothing can be lost, late or repeated by a wire::

        with mocked_aiohttp() as gateway:
            gateway.post(f"{base_url}/v1/checkout/sessions", payload={"id": "s1"})
            session = await checkout.create(request)

    A factory that has met whole answers takes one that repeats nothing of its request
    for another's: where it called a sandbox before, mock more of the answer, such as
    ``{"id": "s1", "customer_email": "john@example.com"}``. What a `ThreadedSandbox`
    sends is no request of this process: its webhooks reach their shop.

    Args:
        passthrough: What the URLs begin with that are called all the same, such as a
            sandbox's `base_url`.
    """
    # Here, so that help on this package needs none.
    from aioresponses import aioresponses  # noqa: PLC0415
    from aioresponses import core as unpatched  # noqa: PLC0415

    class Bridged(aioresponses):
        async def _request_mock(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 -- handed through
            if threading.current_thread().name == SANDBOX_THREAD:
                return await self.patcher.temp_original(*args, **options)
            return await super()._request_mock(*args, **options)

    core: Any = unpatched
    unbridged = core.ClientResponse
    core.ClientResponse = _BridgedResponse
    try:
        with Bridged(passthrough=list(passthrough)) as gateway:
            yield gateway
    finally:
        core.ClientResponse = unbridged
