"""Which rows of a job have begun, by what a sandbox has seen arrive."""

import asyncio

from convergegate_async.sandbox import Sandbox


def begun(sandbox: Sandbox) -> set[str | None]:
    """Return the keys of all rows that came; one that is repeated is no other."""
    return {seen.idempotency_key for seen in sandbox.seen}


async def until_begun(sandbox: Sandbox, rows: int) -> None:
    """Wait until so many have come, of which none need have been answered."""
    while len(begun(sandbox)) < rows:  # noqa: ASYNC110 -- of a server
        await asyncio.sleep(0.02)
