"""A worker of a shop that goes wrong as each delivery tells it to.

It is started, killed, stopped and judged by ``webhook_claims.py``. What its handlers
begin, do and end goes into a file, by the clock that all processes share.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import time
from contextvars import ContextVar
from enum import StrEnum

from aiohttp import web
from aiohttp.typedefs import Handler
from redis.asyncio import Redis

from convergegate_async import CheckoutSessionFactory, WebhookEvent
from convergegate_async.contrib.aiohttp_web import lifespan, webhook_route
from convergegate_async.contrib.redis import RedisClaims
from convergegate_async.webhooks import Claim, WebhookReceiver, WebhookVerifier

SECRET = "sk_test_BQokikJOvBiI2HlWgH4olfQ2"  # noqa: S105 -- the provider's sample
FATE_HEADER = "X-Fate"


class Fate(StrEnum):
    """What becomes of a delivery."""

    WELL = "goes well"
    LOST = "its 200 is lost, and it comes again"
    FAILS = "its handler raises"
    HANGS = "its handler hangs"
    KILLED = "its worker is killed in its handler"
    STOPPED = "its worker is stopped beyond its lease"
    SLOW_ASKING = "its claim is on its way for 1.2 of the handler's time"
    SLOW_ANSWER = "its claim's answer is on its way for as long"
    DEAF_CLAIM = "its claim is, and cannot be taken back"
    DEAF_COMPLETE = "its complete hangs, and its 200 is lost"


class Note(StrEnum):
    """What a handler writes down."""

    BEGUN = "begun"
    DONE = "done"
    ENDED = "ended"
    STOPPED = "stopped"


_fate: ContextVar[Fate] = ContextVar("fate", default=Fate.WELL)


class TroubledClaims(RedisClaims):
    """Claims whose client goes wrong as the delivery says."""

    def __init__(self, client: Redis, seconds: float) -> None:
        super().__init__(client)
        self._seconds = 1.2 * seconds
        self._deaf: set[asyncio.Task[Claim]] = set()

    async def claim(self, event_id: str, owner: str, lease: float) -> Claim:
        """Claim, too slowly perhaps."""
        match _fate.get():
            case Fate.SLOW_ASKING:
                await asyncio.sleep(self._seconds)
            case Fate.SLOW_ANSWER:
                said = await super().claim(event_id, owner, lease)
                await asyncio.sleep(self._seconds)
                return said
            case Fate.DEAF_CLAIM:
                task = asyncio.create_task(self._claim_late(event_id, owner, lease))
                self._deaf.add(task)
                task.add_done_callback(self._deaf.discard)
                return await asyncio.shield(task)
            case _:
                pass
        return await super().claim(event_id, owner, lease)

    async def complete(self, event_id: str, owner: str, keep: float) -> bool:
        """Keep, or hang."""
        if _fate.get() is Fate.DEAF_COMPLETE:
            await asyncio.Event().wait()
        return await super().complete(event_id, owner, keep)

    async def _claim_late(self, event_id: str, owner: str, lease: float) -> Claim:
        await asyncio.sleep(self._seconds)
        return await super().claim(event_id, owner, lease)


class Shop:
    """Handles events, and writes down what it does.

    Args:
        journal: The file that all workers append to.
    """

    def __init__(self, journal: str) -> None:
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def act(self, event: WebhookEvent, _: CheckoutSessionFactory) -> None:
        """Do what the delivery says."""
        self._note(Note.BEGUN, event.id)
        try:
            await asyncio.sleep(0.01)
            match _fate.get():
                case Fate.FAILS:
                    raise RuntimeError
                case Fate.HANGS:
                    await asyncio.Event().wait()
                case Fate.KILLED:
                    os.kill(os.getpid(), signal.SIGKILL)
                case Fate.STOPPED:
                    self._note(Note.STOPPED, event.id)
                    os.kill(os.getpid(), signal.SIGSTOP)
                    await asyncio.sleep(0.01)
                case _:
                    pass
            self._note(Note.DONE, event.id)
        finally:
            self._note(Note.ENDED, event.id)

    def _note(self, note: Note, event_id: str) -> None:
        line = json.dumps([time.monotonic(), os.getpid(), note, event_id])
        os.write(self._journal, f"{line}\n".encode())


@web.middleware
async def read_fate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let all that is done for this delivery know what is to become of it."""
    _fate.set(Fate(request.headers[FATE_HEADER]))
    return await handler(request)


async def serve(socket: str, redis: str, journal: str, seconds: float) -> None:
    """Take deliveries on a Unix socket for ever."""
    async with Redis(unix_socket_path=redis) as client:
        receiver = WebhookReceiver(
            WebhookVerifier(SECRET),
            Shop(journal).act,
            claims=TroubledClaims(client, seconds),
            handler_timeout=seconds,
        )
        app = web.Application(middlewares=[read_fate])
        build = CheckoutSessionFactory(SECRET, "http://127.0.0.1:9")
        app.cleanup_ctx.append(lifespan(lambda: build, receiver))
        app.add_routes([webhook_route("/", receiver)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, socket).start()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("socket", "redis", "journal"):
        parser.add_argument(name)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    logging.disable()  # failures are what it is for
    asyncio.run(serve(options.socket, options.redis, options.journal, options.seconds))


if __name__ == "__main__":
    main()
