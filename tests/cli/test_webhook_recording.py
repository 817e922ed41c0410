"""Webhooks that are recorded: whole lines, or no acknowledgement."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listeners import CANARY, ENVIRON, KEY, OK, Shop, a_body, deliver, listening
from orders import ORDER_ROW
from programs import run, shell_needed

from convergegate_async.bulk import session_ids_in
from convergegate_async.cli._webhook_recording import on_one_line
from convergegate_async.sandbox import Fault, Sandbox

pytestmark = shell_needed


async def test_what_is_verified_is_recorded(tmp_path: Path) -> None:
    """A line each, for the owner's eyes; what is forged is not."""
    file = tmp_path / "events.jsonl"
    async with listening("--record", str(file)) as listener:
        statuses = [
            await deliver(listener.url, a_body(1)),
            await deliver(listener.url, a_body(2), key="sk_test_other"),
            await deliver(listener.url, a_body(3)),
        ]
        code = await listener.end()

    assert (code, statuses) == (0, [200, 400, 200])
    assert file.read_bytes().splitlines() == [a_body(1), a_body(3)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*session_ids_in(file)] == ["session_1", "session_3"]


async def test_a_body_of_many_lines_is_recorded_as_one(tmp_path: Path) -> None:
    """What it says twice is left so: whoever reads it shall not believe it either."""
    file = tmp_path / "events.jsonl"
    pretty = json.dumps(json.loads(a_body(1)), indent=2).replace("\n", "\r\n").encode()
    twice = a_body(2).replace(b'"data"', b'\n"data": {},\r"data"')
    async with listening("--record", str(file)) as listener:
        assert await deliver(listener.url, pretty + b"\n") == 200
        assert await deliver(listener.url, twice) == 200

    first, second = file.read_bytes().splitlines()
    assert json.loads(first) == json.loads(pretty)
    assert second.count(b'"data"') == 2
    assert [str(found) for found in session_ids_in(file)] == [
        "session_1",
        "line 2: not a webhook's body",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=JSON, ascii_only=st.booleans(), end=st.sampled_from(["\n", "\r", "\r\n"]))
def test_a_document_on_one_line_means_the_same(
    value: object, end: str, *, ascii_only: bool
) -> None:
    """Line breaks stand between tokens only, and one that is none in JSON stays."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1).replace("\n", end)
    body = text.encode("utf-8", "replace")

    line = on_one_line(body)

    assert json.loads(line) == json.loads(body)
    assert not {*b"\r\n"} & {*line}
    assert on_one_line(line) == line


async def test_many_at_once_are_whole_lines(tmp_path: Path) -> None:
    """Also where two listeners record in one file."""
    file = tmp_path / "events.jsonl"
    bodies = [a_body(number, note="x" * 5_000) for number in range(60)]
    async with (
        listening("--record", str(file)) as one,
        listening("--record", str(file)) as other,
    ):
        sent = [
            deliver((one, other)[number % 2].url, body)
            for number, body in enumerate(bodies)
        ]
        assert {*await asyncio.gather(*sent)} == {200}

    lines = filter(None, file.read_bytes().splitlines())
    assert sorted(lines) == sorted(bodies)


async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """And a line that was cut off does not swallow the next one."""
    file = tmp_path / "events.jsonl"
    async with listening("--record", str(file)) as listener:
        assert await deliver(listener.url, a_body(1)) == 200
        await listener.end(signal.SIGKILL)
    with file.open("ab") as torn:
        torn.write(a_body(2)[:20])

    async with listening("--record", str(file)) as listener:
        assert await deliver(listener.url, a_body(3)) == 200
        assert await deliver(listener.url, a_body(4)) == 200

    lines = file.read_bytes().splitlines()
    assert lines == [a_body(1), a_body(2)[:20], a_body(3), a_body(4)]


def as_link(file: Path) -> None:
    """Make a link to a file that is there."""
    target = file.with_name("target")
    target.touch(0o600)
    file.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (as_link, "events.jsonl is a symbolic link"),
        (lambda file: file.touch(0o644), "events.jsonl is open to others"),
        (os.mkfifo, "events.jsonl is not a file"),
        (lambda file: file.parent.rmdir(), "cannot write"),
    ],
    ids=["a link", "open to others", "a pipe", "no folder"],
)
async def test_a_file_of_others_is_refused(
    make: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    """Before anything is heard."""
    file = tmp_path / "folder" / "events.jsonl"
    file.parent.mkdir()
    make(file)

    done = await run(
        *(None, "webhooks", "listen", "--record", str(file)), environ=ENVIRON
    )

    assert (done.code, done.out) == (3, "")
    assert reason in done.err
    assert done.err.count("\n") == 1


async def test_what_cannot_be_recorded_is_not_acknowledged(tmp_path: Path) -> None:
    """Nor forwarded: the gateway sends it again, and the file may be mended by then."""
    file = tmp_path / "events.jsonl"
    async with (
        Shop(OK) as shop,
        listening("--record", str(file), "--forward-to", shop.base_url) as listener,
    ):
        file.unlink()
        file.mkdir()
        assert await deliver(listener.url, a_body(1)) == 500
        assert shop.requests == []
        file.rmdir()
        assert await deliver(listener.url, a_body(1)) == 200
        await listener.end()

    assert file.read_bytes() == a_body(1) + b"\n"
    assert f"Error: {file} is not a file" in listener.err
    assert "ms: it could not be recorded" in listener.out
    assert CANARY not in listener.out + listener.err


async def test_a_line_that_did_not_fit_is_not_acknowledged(tmp_path: Path) -> None:
    """What was written of it stays a line of its own, once there is room again."""
    file = tmp_path / "events.jsonl"
    file.touch(0o600)
    limit = ("sh", "-c", 'ulimit -f 1; exec "$@"', "sh")  # of 512 or 1,024 bytes
    long = a_body(1, note="x" * 5_000)
    async with listening("--record", str(file), by=limit) as listener:
        assert await deliver(listener.url, long) == 500
        await listener.end()
    async with listening("--record", str(file)) as second:
        assert await deliver(second.url, long) == 200

    rest, line = file.read_bytes().splitlines()
    assert long.startswith(rest)
    assert line == long
    assert f"cannot write {file}: File too large" in listener.err


async def test_a_recording_can_be_moved_away(tmp_path: Path) -> None:
    """Who rotates it loses nothing."""
    file = tmp_path / "events.jsonl"
    async with listening("--record", str(file)) as listener:
        assert await deliver(listener.url, a_body(1)) == 200
        file.rename(tmp_path / "old.jsonl")
        assert await deliver(listener.url, a_body(2)) == 200

    assert (tmp_path / "old.jsonl").read_bytes() == a_body(1) + b"\n"
    assert file.read_bytes() == a_body(2) + b"\n"


async def test_a_recording_reconciles_a_job(tmp_path: Path) -> None:
    """A row whose answer was lost gets the session that the webhooks name."""
    file = tmp_path / "events.jsonl"
    lost = Fault("lost", operation="create", times=1)
    async with (
        listening("--record", str(file)) as listener,
        Sandbox(api_key=KEY, faults=[lost]) as sandbox,
    ):
        row = {**ORDER_ROW, "amount": 4999, "notification_url": listener.url}
        rows = f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"
        job = await run(
            *(sandbox, "bulk", "run", "-", "--job", "april", "--directory"),
            str(tmp_path),
            stdin=rows,
        )
        assert listener.process.stdout is not None
        assert b"session.created" in await listener.process.stdout.readline()

        done = await run(
            *(sandbox, "bulk", "reconcile", "april", "--events", str(file)),
            *("--directory", str(tmp_path)),
        )

    assert (job.code, done.code) == (5, 0), done.err
    assert "1 row reconciled, 0 still unknown" in done.err
