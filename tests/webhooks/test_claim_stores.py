"""What every store of claims promises: the memory, Redis, and the README's for SQL."""

import asyncio
import inspect
import sqlite3
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness.redis_server import REDIS_SERVER, running_redis
from postgres import POSTGRES, running_postgres
from readme import block
from redis.asyncio import Redis

from convergegate_async.contrib.redis import RedisClaims
from convergegate_async.webhooks import Claim, Claims, MemoryClaims

LONG, SHORT = 600.0, 0.05  # seconds: longer than any test, and soon over
MINE, BUSY, DONE = Claim

REDIS = [
    pytest.mark.redis,
    pytest.mark.skipif(REDIS_SERVER is None, reason="needs redis-server"),
]
SQL = pytest.mark.skipif(POSTGRES is None, reason="needs PostgreSQL")
STORES = [
    pytest.param("memory"),
    pytest.param("redis", marks=REDIS),
    pytest.param("redis-decoding", marks=REDIS),
    pytest.param("sqlite"),
    pytest.param("postgresql", marks=SQL),
]


class Store:
    """Any store, asked in one way."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    async def claim(self, event_id: str, owner: str, lease: float = LONG) -> Claim:
        """Claim."""
        said = self._claims.claim(event_id, owner, lease)
        return await said if inspect.isawaitable(said) else said

    async def complete(self, event_id: str, owner: str, keep: float = LONG) -> bool:
        """Keep as done."""
        said = self._claims.complete(event_id, owner, keep)
        return await said if inspect.isawaitable(said) else said

    async def release(self, event_id: str, owner: str) -> None:
        """Release."""
        said = self._claims.release(event_id, owner)
        if inspect.isawaitable(said):
            await said


@pytest.fixture(scope="module")
def redis_socket() -> Iterator[str]:
    """A Redis of these tests."""
    with running_redis() as socket:
        yield socket


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A PostgreSQL of these tests."""
    with running_postgres() as address:
        yield address


def recipe() -> dict[str, Any]:
    """Run the README's block on claims in SQL, and return its names."""
    names: dict[str, Any] = {}
    exec(block("class SqlClaims"), names)  # noqa: S102 -- our own README
    return names


@pytest.fixture
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """The store that the parameter names."""
    match request.param:
        case "memory":
            yield Store(MemoryClaims())
        case "sqlite":
            names = recipe()
            with closing(
                sqlite3.connect(tmp_path / "claims.db", isolation_level=None)
            ) as db:
                db.execute(names["TABLE"])

                async def run_sqlite(sql: str, *values: object) -> Sequence[object]:
                    return db.execute(sql.replace("%s", "?"), values).fetchall()

                now = "julianday('now') * 86400"
                yield Store(names["SqlClaims"](run_sqlite, now))
        case "postgresql":
            psycopg = pytest.importorskip("psycopg")
            names = recipe()
            address = request.getfixturevalue("postgresql")
            async with await psycopg.AsyncConnection.connect(
                address, autocommit=True
            ) as connection:
                await connection.execute("DROP TABLE IF EXISTS webhook_claims")
                await connection.execute(names["TABLE"])

            async def run_postgresql(sql: str, *values: object) -> Sequence[object]:
                async with (
                    await psycopg.AsyncConnection.connect(address) as connection,
                    await connection.execute(sql, values) as cursor,
                ):
                    return await cursor.fetchall() if cursor.description else []

            yield Store(names["SqlClaims"](run_postgresql))
        case kind:
            async with Redis(
                unix_socket_path=request.getfixturevalue("redis_socket"),
                decode_responses=kind == "redis-decoding",
            ) as client:
                yield Store(RedisClaims(client, prefix=f"{uuid.uuid4()}:"))


pytestmark = pytest.mark.parametrize("store", STORES, indirect=True)


async def test_the_first_who_asks_gets_the_event(store: Store) -> None:
    """An event that is leased is nobody else's, but another event is free."""
    said = [
        await store.claim("evt_1", "a"),
        await store.claim("evt_1", "b"),
        await store.claim("evt_2", "b"),
    ]

    assert said == [MINE, BUSY, MINE]


async def test_an_owner_that_asks_again_holds_it_still(store: Store) -> None:
    """A client that repeats what it got no answer to does not stand in its own way."""
    said = [await store.claim("evt_1", "a") for _ in range(2)]

    assert said == [MINE, MINE]


async def test_of_many_at_once_one_gets_the_event(store: Store) -> None:
    """There is no moment between looking and taking."""
    said = await asyncio.gather(*[store.claim("evt_1", f"o{n}") for n in range(10)])

    assert Counter(said) == {MINE: 1, BUSY: 9}


async def test_a_lease_runs_out(store: Store) -> None:
    """What a dead worker held is free when its lease is over."""
    await store.claim("evt_1", "a", SHORT)
    await asyncio.sleep(2 * SHORT)

    assert await store.claim("evt_1", "b") is MINE


async def test_a_claim_that_is_refused_prolongs_nothing(store: Store) -> None:
    """Who asks in vain does not keep the event from the next one."""
    lease = SHORT
    await store.claim("evt_0", "a", lease)
    event = "evt_0"
    while await store.claim(event, "b", LONG) is not BUSY:  # it asked too late
        lease *= 2
        event = f"evt_{lease}"
        await store.claim(event, "a", lease)
    await asyncio.sleep(2 * lease)

    assert await store.claim(event, "c") is MINE


async def test_what_is_done_stays_done(store: Store) -> None:
    """An event that was handled is nobody's any more, not even its old owner's."""
    await store.claim("evt_1", "a")

    kept = await store.complete("evt_1", "a")

    assert kept is True
    assert [await store.claim("evt_1", who) for who in "ab"] == [DONE, DONE]


async def test_what_is_done_is_forgotten_at_last(store: Store) -> None:
    """It is kept for as long as was said."""
    await store.claim("evt_1", "a")
    await store.complete("evt_1", "a", SHORT)
    await asyncio.sleep(2 * SHORT)

    assert await store.claim("evt_1", "b") is MINE


async def test_completing_twice_is_completing(store: Store) -> None:
    """A try whose answer was lost can be made again."""
    await store.claim("evt_1", "a")

    kept = [await store.complete("evt_1", "a") for _ in range(2)]

    assert kept == [True, True]
    assert await store.claim("evt_1", "b") is DONE


@pytest.mark.parametrize("lease", [SHORT, None], ids=["run-out", "forgotten"])
async def test_what_nobody_holds_can_be_completed(
    store: Store, lease: float | None
) -> None:
    """A handler that ended after its lease, before anybody else came, has acted."""
    if lease is not None:
        await store.claim("evt_1", "a", lease)
        await asyncio.sleep(2 * lease)

    kept = await store.complete("evt_1", "a")

    assert kept is True
    assert await store.claim("evt_1", "b") is DONE


async def test_nobody_completes_what_another_holds(store: Store) -> None:
    """Who comes too late is told so, and the other one's lease is as it was."""
    await store.claim("evt_1", "a", SHORT)
    await asyncio.sleep(2 * SHORT)
    await store.claim("evt_1", "b")

    kept = await store.complete("evt_1", "a")

    assert kept is False
    assert [await store.claim("evt_1", who) for who in "bc"] == [MINE, BUSY]
    assert await store.complete("evt_1", "b") is True


async def test_nobody_completes_what_another_has_done(store: Store) -> None:
    """Who acted on an event that is done is told that it was acted upon twice."""
    await store.complete("evt_1", "b")

    assert await store.complete("evt_1", "a", SHORT) is False

    await asyncio.sleep(2 * SHORT)
    assert await store.claim("evt_1", "a") is DONE


async def test_a_release_frees_the_event_at_once(store: Store) -> None:
    """What could not be acted upon is the next delivery's."""
    await store.claim("evt_1", "a")

    await store.release("evt_1", "a")

    assert await store.claim("evt_1", "b") is MINE


async def test_nobody_releases_what_another_holds(store: Store) -> None:
    """Neither another's lease nor an event that nobody claimed is touched."""
    await store.claim("evt_1", "a")

    await store.release("evt_1", "b")
    await store.release("evt_2", "b")

    assert await store.claim("evt_1", "b") is BUSY


async def test_nobody_releases_what_is_done(store: Store) -> None:
    """Not even its owner does."""
    await store.claim("evt_1", "a")
    await store.complete("evt_1", "a")

    await store.release("evt_1", "a")

    assert await store.claim("evt_1", "b") is DONE


async def test_an_event_may_have_any_name(store: Store) -> None:
    """Ids are text, and no part of a command."""
    ids = ["evt 1", "evt'1", "evt:%s?", 'żółć"', "{evt}1"]

    assert [await store.claim(name, "a") for name in ids] == [MINE] * 5
    assert [await store.claim(name, "b") for name in ids] == [BUSY] * 5
