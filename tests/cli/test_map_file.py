"""What `bulk run --map-file` takes for a mapping, and what it refuses."""

from pathlib import Path

import pytest
from programs import run

from convergegate_async.sandbox import Sandbox

REFUSED = {
    "no object": b"[]",
    "a number for a field": b'{"total": 1}',
    "no JSON": b'{"total": "amount",}',
    "nested too deep": b"[" * 100_000,
    "a number beyond all": b'{"total": 1e9999999999999999999}',
    "no text": b"\xff",
}


async def mapped(
    sandbox: Sandbox, folder: Path, content: bytes
) -> tuple[int | None, str]:
    """Begin a job with a mapping of *content*; return exit code and stderr."""
    (folder / "map.json").write_bytes(content)
    (folder / "rows.csv").write_text("id,total\nA-1,4999\n")
    options = ("--job", "april", "--map-file", "map.json")
    done = await run(sandbox, "bulk", "run", "rows.csv", *options, cwd=folder)
    return done.code, done.err


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
async def test_what_is_no_mapping_is_refused(
    content: bytes, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Exit code 3, and what the file must hold."""
    code, err = await mapped(sandbox, tmp_path, content)

    assert code == 3
    assert err == "Error: map.json must hold a JSON object of column: field\n"
    assert not sandbox.seen


async def test_a_column_that_is_named_twice_is_refused(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Exit code 3: nobody knows which of its two fields is meant."""
    content = b'{"total": "amount", "total": "currency"}'

    code, err = await mapped(sandbox, tmp_path, content)

    assert code == 3
    assert err == "Error: map.json names a column twice\n"
    assert not sandbox.seen
