"""A worker of a shop: takes one delivery, says so, and never ends by itself."""

import asyncio
import sys
import time

from redis.asyncio import Redis

from convergegate_async import CheckoutSessionFactory, WebhookEvent, sign
from convergegate_async.contrib.redis import RedisClaims
from convergegate_async.webhooks import WebhookReceiver, WebhookVerifier

SECRET = "sk_test_vector_0000000000000001"
BODY = b'{"id":"evt_1","type":"session.completed","data":{"session_id":"abc"}}'


async def work(socket: str, seconds: float) -> None:
    """Receive the event, with a handler that does not end."""

    async def act(event: WebhookEvent, _: CheckoutSessionFactory) -> None:
        print(event.id, flush=True)  # noqa: T201 -- the test waits for it
        await asyncio.Event().wait()

    headers = sign(BODY, secret=SECRET, timestamp=int(time.time()))
    async with (
        Redis(unix_socket_path=socket) as client,
        CheckoutSessionFactory(SECRET, "http://127.0.0.1:9") as checkout,
    ):
        receiver = WebhookReceiver(
            WebhookVerifier(SECRET),
            act,
            claims=RedisClaims(client),
            handler_timeout=seconds,
        )
        reply = await receiver.receive(BODY, headers, checkout)
        print(reply.status, flush=True)  # noqa: T201 -- the test reads it


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], float(sys.argv[2])))
