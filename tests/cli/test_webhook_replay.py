"""Recorded webhooks that are sent again."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from listeners import (
    CANARY,
    ENVIRON,
    KEY,
    OK,
    REFUSED,
    Shop,
    a_body,
    deliver,
    listening,
)
from matrix import AMPLE
from programs import ERR_LOST, OUT_LOST, PROGRAM, Done, run, send, shell_needed
from raw import Exchange, RawServer

from convergegate_async._core.messages import BODY_LIMIT

pytestmark = shell_needed

NO_BODIES = (CANARY.encode(), b"[1]", b'{"id": "x"}', a_body(note="x" * 2**20))
ONE_OF_ALL = "1 answered 2xx, 1 not answered. 1 line passed over."


async def replay(
    file: str, url: str, *options: str, streams: str = "", key: str = KEY
) -> Done:
    """Run the command to its end."""
    return await run(
        *(None, "webhooks", "replay"),
        *(file, url, *options),
        streams=streams,
        environ={"CONVERGEGATE_API_KEY": key},
    )


def recording(folder: Path, *lines: bytes) -> str:
    """Return the name of a recording of these lines."""
    file = folder / "events.jsonl"
    file.write_bytes(b"\n".join([*lines, b""]))
    return str(file)


async def test_what_was_recorded_replays(tmp_path: Path) -> None:
    """One listener's recording is another's, in the same order, verified anew."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    bodies = [
        a_body(1, "session.created"),
        a_body(2).replace(b'"data"', b'"data": {}, "data"'),
        a_body(3, "new.word", note="zażółć\u2028"),
    ]
    async with listening("--record", str(first)) as listener:
        for body in bodies:
            await deliver(listener.url, body)
    async with listening("--record", str(second)) as listener:
        done = await replay(str(first), listener.url)

    assert (done.code, done.err) == (0, "3 events sent: 3 answered 2xx.\n")
    assert done.out.splitlines() == [
        "--> session.created session_1 [evt_1] <-- 200",
        "--> session.completed session_2 [evt_2] <-- 200",
        "--> new.word session_3 [evt_3] <-- 200",
    ]
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().splitlines() == bodies


@pytest.mark.parametrize(
    ("answers", "more", "code", "summary"),
    [
        ((OK, OK), (), 0, "2 answered 2xx."),
        ((REFUSED, OK), (), 4, "1 answered 2xx, 1 answered otherwise."),
        ((None, REFUSED), (), 5, "1 answered otherwise, 1 not answered."),
        ((OK, OK), NO_BODIES, 1, "2 answered 2xx. 4 lines passed over."),
        ((OK, None), (b"torn",), 5, ONE_OF_ALL),
    ],
)
async def test_the_exit_code_tells_the_worst(
    answers: tuple[bytes | None, ...],
    more: tuple[bytes, ...],
    code: int,
    summary: str,
    tmp_path: Path,
) -> None:
    """Not answered, refused, no webhook's body; all that is one is sent."""
    file = recording(tmp_path, a_body(1), b"", *more, a_body(2))
    async with Shop(*answers) as shop:
        done = await replay(file, shop.base_url)

    assert done.code == code
    assert shop.bodies == [a_body(1), a_body(2)]
    *passed_over, last = done.err.splitlines()
    assert passed_over == [
        f"line {number}: not a webhook's body" for number, _ in enumerate(more, 3)
    ]
    assert last == f"2 events sent: {summary}"
    assert CANARY not in done.out + done.err
    assert KEY not in done.out + done.err


async def test_an_answer_without_a_status_is_an_answer(tmp_path: Path) -> None:
    """Each line says what the sum counts, also of what no server should say."""
    file = recording(tmp_path, a_body(1))
    async with Shop(b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n") as shop:
        done = await replay(file, shop.base_url)

    assert done.code == 4
    assert done.out.endswith(" <-- 0\n")
    assert done.err == "1 event sent: 1 answered otherwise.\n"


async def test_a_recording_may_have_been_saved_by_an_editor(tmp_path: Path) -> None:
    """With a mark at its beginning; a body may be as long as a receiver takes it."""
    longest = a_body(2, note="x" * (BODY_LIMIT - len(a_body(2, note=""))))
    file = recording(tmp_path, b"\xef\xbb\xbf" + a_body(1), longest + b"\r")
    async with Shop(OK, OK) as shop:
        done = await replay(file, shop.base_url)

    assert (done.code, len(longest)) == (0, BODY_LIMIT)
    assert shop.bodies == [a_body(1), longest]


async def test_a_long_line_takes_no_memory(tmp_path: Path) -> None:
    """One of 200 MB is passed over in a process of half as many."""
    file = recording(tmp_path, a_body(1), b"x" * 200_000_000, a_body(2))
    async with Shop(OK, OK) as shop:
        words = ("webhooks", "replay", file, shop.base_url)
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", 'ulimit -v 500000; exec "$@"', "sh", *PROGRAM, *words),
            env={**os.environ, **ENVIRON},
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        _, err = await process.communicate()

    assert process.returncode == 1, err
    assert shop.bodies == [a_body(1), a_body(2)]


async def test_only_some_events_are_sent_again(tmp_path: Path) -> None:
    """Those of the types that were asked for."""
    file = recording(tmp_path, a_body(1, "session.created"), a_body(2))
    async with Shop(OK) as shop:
        done = await replay(file, shop.base_url, *("--events", "session.completed"))

    assert (done.code, shop.bodies) == (0, [a_body(2)])


async def test_a_replay_into_its_own_recording_ends(tmp_path: Path) -> None:
    """What comes meanwhile is not sent once more."""
    file = tmp_path / "events.jsonl"
    async with listening("--record", str(file)) as listener:
        await deliver(listener.url, a_body(1))
        done = await replay(str(file), listener.url)

    assert (done.code, file.read_bytes()) == (0, (a_body(1) + b"\n") * 2)


@pytest.mark.parametrize(
    ("url", "key", "options", "advice"),
    [
        ("https://shop.invalid/", "sk_test_x", (), "is another machine: add --yes"),
        ("http://shop.invalid/", "sk_live_x", ("--yes",), "by https only"),
        ("ws://127.0.0.1/", "sk_test_x", (), "URL must be a plain http or https URL"),
    ],
)
async def test_a_replay_leaves_this_machine_only_on_purpose(
    url: str, key: str, options: tuple[str, ...], advice: str, tmp_path: Path
) -> None:
    """As with `send`."""
    file = recording(tmp_path, a_body())

    done = await replay(file, url, *options, key=key)

    assert (done.code, done.out) == (2, "")
    assert advice in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waits", ["for the shop", "for a line"])
async def test_a_replay_that_is_interrupted_tells_how_far_it_was(
    waits: str, number: signal.Signals, tmp_path: Path
) -> None:
    """Whoever goes on from there knows what was sent, and what may have been."""
    came = asyncio.Event()

    async def shop(exchange: Exchange) -> None:
        await exchange.read_request()
        if len(server.requests) == 1:
            await exchange.write(OK)
        else:
            came.set()
            await asyncio.Event().wait()

    is_piped = waits == "for a line"
    file = "/dev/stdin" if is_piped else recording(tmp_path, a_body(1), a_body(2))
    async with RawServer(shop) as server, asyncio.timeout(AMPLE):
        process = await asyncio.create_subprocess_exec(
            *(*PROGRAM, "webhooks", "replay", file, server.base_url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **ENVIRON},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(a_body(1) + b"\n")
        line = await process.stdout.readline()
        if not is_piped:
            await came.wait()
        send(process, number)
        code = await process.wait()
        err = await process.stderr.read()

    doubt = "" if is_piped else " Line 2 may have arrived, too."
    assert line == b"--> session.completed session_1 [evt_1] <-- 200\n"
    assert code == 130
    assert err.decode().lstrip() == (
        f"1 event sent: 1 answered 2xx.{doubt}\nInterrupted.\n"
    )


@pytest.mark.parametrize("streams", [*OUT_LOST, *ERR_LOST])
async def test_a_replay_goes_on_without_a_screen(streams: str, tmp_path: Path) -> None:
    """All is sent; the exit code tells of a screen that was lost."""
    file = recording(tmp_path, a_body(1), a_body(2))
    async with Shop(OK, OK) as shop:
        done = await replay(file, shop.base_url, streams=streams)

    assert len(shop.requests) == 2
    assert done.code == int(streams.startswith(">"))
    assert "Traceback" not in done.err
