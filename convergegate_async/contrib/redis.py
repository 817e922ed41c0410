"""Redis: webhook claims that all processes of a shop share.

What it means for the server's settings:

- ``maxmemory-policy noeviction``, or a server without *maxmemory*: any other policy may
  throw out an event that is done, and its next delivery is handled again. A server that
  is full then refuses claims, which is a 500, and the gateway delivers again.
- A failover to a replica, or a restart without ``appendonly yes``, can forget the
  newest leases and events that are done: these may be handled twice.
- Give your client a *socket_timeout*. What takes longer than the receiver's patience is
  given up here in any case.
"""

import math
from collections.abc import Awaitable
from typing import Protocol

from redis.asyncio import Redis

from convergegate_async.webhooks import Claim

__all__ = ["RedisClaims"]

# Each script is one step for Redis, and goes by its clock alone. A client may repeat
# what it got no answer to, so an owner that asks again is answered as at first.
_CLAIM = """
local held = redis.call('GET', KEYS[1])
if not held then
  redis.call('SET', KEYS[1], 'lease:' .. ARGV[1], 'PX', ARGV[2])
  return 'mine'
end
if held == 'lease:' .. ARGV[1] then return 'mine' end
if string.sub(held, 1, 5) == 'done:' then return 'done' end
return 'busy'
"""
_COMPLETE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= 'lease:' .. ARGV[1] and held ~= 'done:' .. ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], 'done:' .. ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == 'lease:' .. ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class _Script(Protocol):
    def __call__(self, keys: list[str], args: list[str | int]) -> Awaitable[object]: ...


class RedisClaims:
    """Claims in Redis 6 or later, one key for an event.

    Every process of the shop makes its own::

        client = Redis.from_url("redis://localhost", socket_timeout=3)
        receiver = WebhookReceiver(verifier, act, claims=RedisClaims(client))

    Args:
        client: Yours, of `redis.asyncio`; with or without *decode_responses*. It is
            neither opened nor closed here.
        prefix: What the keys begin with.
    """

    def __init__(self, client: Redis, prefix: str = "convergegate:webhook:") -> None:
        self._prefix = prefix
        self._claim: _Script = client.register_script(_CLAIM)
        self._complete: _Script = client.register_script(_COMPLETE)
        self._release: _Script = client.register_script(_RELEASE)

    async def claim(self, event_id: str, owner: str, lease: float) -> Claim:
        """Lease the event to *owner* for *lease* seconds, unless it is held or done."""
        said = await self._run(self._claim, event_id, owner, _milliseconds(lease))
        return Claim(said.decode() if isinstance(said, bytes) else str(said))

    async def complete(self, event_id: str, owner: str, keep: float) -> bool:
        """Keep the event as done for *keep* seconds, unless another owner has it."""
        said = await self._run(self._complete, event_id, owner, _milliseconds(keep))
        return said == 1

    async def release(self, event_id: str, owner: str) -> None:
        """End *owner*'s lease."""
        await self._run(self._release, event_id, owner)

    async def _run(self, script: _Script, event_id: str, *args: str | int) -> object:
        return await script(keys=[self._prefix + event_id], args=list(args))


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1_000)
