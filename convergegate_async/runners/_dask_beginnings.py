"""Who has begun a chunk, as Dask's scheduler knows it.

Dask tells nobody that it has a lost worker's task done again, and a worker that it took
for lost may live and go on. So each worker leaves a note with the scheduler before it
begins, and then looks whether the chunk is still open; the client closes the chunk, and
then looks for notes. Whichever comes later sees the other's.

The notes are published datasets: names that hold nothing but the worker's address, and
outlive it.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from ._cuts import cut, may_be_cut
from ._protocol import WorkersLostError

if TYPE_CHECKING:
    from distributed import Client

C = TypeVar("C")
R = TypeVar("R")

_PATIENCE = 5.0  # seconds, for a scheduler that was there a moment ago


async def open_chunk(client: "Client") -> str:
    """Let workers begin a chunk; return its name.

    Raises:
        WorkersLostError: The scheduler does not take it.
    """
    name = f"convergegate-{uuid4().hex}"
    try:
        await client.publish_dataset(None, name=name)
    except Exception as error:  # of the wire, or of a client that was closed
        message = "the Dask scheduler was lost, or was restarted"
        raise WorkersLostError(message) from error
    return name


def begin_and_do(work: Callable[[C], R], chunk: C, name: str) -> R:
    """Do a chunk on a worker, but not before it is noted that it was begun.

    Raises:
        WorkersLostError: That cannot be noted, or the chunk was closed, or was cut.
        Exception: Whatever *work* raised.
    """
    with may_be_cut(name):  # from before the note on: whoever sees that may cut it
        try:
            is_wanted = note_beginning(name)
        except Exception as error:  # likewise
            message = "a worker cannot tell the Dask scheduler which chunk it begins"
            raise WorkersLostError(message) from error
        if not is_wanted:
            message = "the chunk is not wanted any more"
            raise WorkersLostError(message)
        return work(chunk)


def note_beginning(name: str, *, alone: bool = False) -> bool:
    """Note on a worker that it begins a chunk; return whether it may.

    Args:
        name: The chunk's.
        alone: It may not where another has begun. Of two at once, both may see that.

    Raises:
        Exception: Whatever kept it from being noted.
    """
    from distributed import get_client, get_worker  # noqa: PLC0415 -- an extra

    client = get_client()
    own = f"{name}-{uuid4().hex}-{get_worker().address}"
    client.publish_dataset(None, name=own)
    published = client.list_datasets()
    if own not in published:  # what a scheduler cannot do it passes over
        raise LookupError(own)
    if name not in published or (alone and len(_beginnings(name, published)) > 1):
        client.unpublish_dataset(own)
        return False
    return True


async def has_begun(client: "Client", name: str) -> bool:
    """Return whether a worker has begun a chunk that is still open.

    Raises:
        Exception: Whatever kept the scheduler from telling.
    """
    return bool(_beginnings(name, await client.list_datasets()))


async def close_chunk(client: "Client", name: str, *, is_done: bool = True) -> bool:
    """Let nobody begin a chunk any more; return whether one worker alone has.

    Where the scheduler does not say so, there may be more.

    Args:
        client: Knows the scheduler.
        name: The chunk's.
        is_done: There is a result; else whoever is still at it is told to end.
    """
    if client.status != "running":
        return False
    try:
        async with asyncio.timeout(_PATIENCE):
            await client.unpublish_dataset(name)
            begun = _beginnings(name, await client.list_datasets())
            await asyncio.gather(
                client.unpublish_dataset([*begun]),
                *([] if is_done else [_cut_on_workers(client, name, begun)]),
            )
    except Exception:  # noqa: BLE001 -- the result counts, if there is one
        return False
    return len(begun) == 1


async def _cut_on_workers(client: "Client", name: str, begun: list[str]) -> None:
    # They hear it in their own event loops, while the work has a thread. One that was
    # taken for lost may live, and is called by its address, too.
    workers = [note.removeprefix(f"{name}-").partition("-")[2] for note in begun]
    if workers:  # else it would be told to all of them
        await client.run(cut, name, workers=workers, on_error="ignore")


def _beginnings(name: str, published: Iterable[object]) -> list[str]:
    return [str(key) for key in published if str(key).startswith(f"{name}-")]
