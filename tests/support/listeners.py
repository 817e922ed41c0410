"""``webhooks listen`` as a process, what it is sent, and shops that it sends on to."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
from matrix import AMPLE
from programs import PROGRAM, send
from raw import Exchange, RawServer, http

from convergegate_async.sandbox import post_webhook
from convergegate_async.webhooks import sign

KEY = "sk_test_CANARYkey"
ENVIRON = {"CONVERGEGATE_API_KEY": KEY}
CANARY = "canary@example.com"
OK, REFUSED = http(b""), http(b"", "500 Oh")


def a_body(number: int = 1, kind: str = "session.completed", **more: object) -> bytes:
    """Return what the gateway would send."""
    data = {"session_id": f"session_{number}", "email": CANARY}
    event = {"id": f"evt_{number}", "type": kind, "data": data, **more}
    return json.dumps(event).encode()


async def deliver(url: str, body: bytes, key: str = KEY) -> int | None:
    """Deliver as the gateway does; return the status of the answer."""
    headers = sign(body, secret=key, timestamp=int(time.time()))
    return await post_webhook(url, body, headers)


@attrs.define
class Listener:
    """A running ``webhooks listen``, and what it said in the end."""

    process: asyncio.subprocess.Process
    url: str
    out: str = ""
    err: str = ""

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send it a signal, and wait for its end."""
        send(self.process, number)
        async with asyncio.timeout(AMPLE):
            out, err = await self.process.communicate()
        self.out, self.err = out.decode(), err.decode()
        return self.process.returncode


@asynccontextmanager
async def listening(*options: str, by: Sequence[str] = ()) -> AsyncIterator[Listener]:
    """Run ``webhooks listen`` for the time of the block, at least."""
    process = await asyncio.create_subprocess_exec(
        *(*by, *PROGRAM, "webhooks", "listen", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **ENVIRON},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(AMPLE):
            url = (await process.stdout.readline()).decode().strip()
        yield Listener(process, url)
    finally:
        if process.returncode is None:
            send(process, signal.SIGKILL)
            await process.communicate()


class Shop(RawServer):
    """Answers one webhook after the other, or hangs up for `None`."""

    def __init__(self, *answers: bytes | None) -> None:
        super().__init__(self._answer)
        self._left = list(answers)

    @property
    def bodies(self) -> list[bytes]:
        """What it was sent."""
        return [request.partition(b"\r\n\r\n")[2] for request in self.requests]

    async def _answer(self, exchange: Exchange) -> None:
        await exchange.read_request()
        answer = self._left.pop(0)
        if answer is not None:
            await exchange.write(answer)
