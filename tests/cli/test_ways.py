"""By which way the command line reaches the gateway, and whom it trusts there.

Real processes, over TLS and through a proxy that tells whom it let through.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from canaries import KEY, PROXY_PASSWORD, PROXY_WORD, SESSION_ID, leaked
from matrix import gateway
from orders import ORDER_ROW
from programs import Done, run, shell_needed
from raw import RawServer, tunnels

from convergegate_async.sandbox import Sandbox

pytestmark = shell_needed

AUTHORITY = trustme.CA()
ROWS = f"{','.join(ORDER_ROW)}\n{','.join(map(str, ORDER_ROW.values()))}\n"
LOOK = ("get", SESSION_ID, "--output", "id")


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    """What the gateway speaks TLS with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """The certificate of whoever vouches for the gateway."""
    path = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


def files_in(folder: Path) -> list[Path]:
    """Return what lies in *folder*."""
    return [*folder.iterdir()]


def calling(base_url: str) -> dict[str, str]:
    """Return the environment of a program that calls it."""
    return {"CONVERGEGATE_API_KEY": KEY, "CONVERGEGATE_BASE_URL": base_url}


async def look(base_url: str, *options: str, **environ: str) -> Done:
    """Look at a session."""
    return await run(None, *LOOK, *options, environ={**calling(base_url), **environ})


async def test_a_gateway_is_trusted_by_the_file_that_vouches_for_it(
    tls: ssl.SSLContext, ca_file: Path
) -> None:
    """With `--ca-file` it is called, without it is sent nothing."""
    async with RawServer(gateway, tls) as server:
        trusted = await look(server.base_url, "--ca-file", str(ca_file))
        untrusted = await look(server.base_url)

    assert (trusted.code, trusted.out, trusted.err) == (0, f"{SESSION_ID}\n", "")
    assert (untrusted.code, untrusted.out) == (5, "")
    assert "certificate" in untrusted.err
    assert len(server.requests) == 1


def spoilt() -> Iterator[tuple[str, bytes]]:
    """Yield what a file may hold that holds no certificate."""
    key = AUTHORITY.private_key_pem.bytes()
    whole = AUTHORITY.cert_pem.bytes()
    yield from {
        "nothing": b"",
        "prose": b"no certificate\n",
        "bytes": b"\xff\xfe\x00",
        "a private key": key,
        "half a certificate": whole[: len(whole) // 2],
    }.items()


@pytest.mark.parametrize("content", [pytest.param(c, id=n) for n, c in spoilt()])
async def test_a_file_without_a_certificate_is_a_configuration_error(
    content: bytes, tmp_path: Path, sandbox: Sandbox
) -> None:
    """Its name is told, nothing is sent, exit code 3."""
    path = tmp_path / "spoilt.pem"
    path.write_bytes(content)

    done = await run(sandbox, *LOOK, "--ca-file", str(path))

    assert (done.code, done.out) == (3, "")
    assert done.err == f"Error: {path} holds no PEM certificate that can be read\n"
    assert not sandbox.seen


async def test_a_file_that_is_not_there_is_wrong_usage(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """It is told by the option's name, exit code 2; so is a folder."""
    missing = await run(sandbox, *LOOK, "--ca-file", str(tmp_path / "none.pem"))
    folder = await run(sandbox, *LOOK, "--ca-file", str(tmp_path))

    assert (missing.code, folder.code) == (2, 2)
    assert "'--ca-file'" in missing.err
    assert "is a directory" in folder.err


@pytest.mark.parametrize("by_variable", [True, False])
async def test_a_proxy_is_called_through(
    by_variable: bool, tls: ssl.SSLContext, ca_file: Path
) -> None:
    """It alone is told its password, be it an argument or of the environment."""
    async with RawServer(gateway, tls) as server, RawServer(tunnels) as proxy:
        address = proxy.base_url.replace("://", f"://canary:{PROXY_PASSWORD}@")
        options = ["--ca-file", str(ca_file)]
        if not by_variable:
            options += ["--proxy", address]
        environ = {"CONVERGEGATE_PROXY": address} if by_variable else {}
        done = await look(server.base_url, *options, **environ)

    assert (done.code, done.out, done.err) == (0, f"{SESSION_ID}\n", "")
    assert PROXY_WORD.encode() in proxy.requests[0]
    assert b"Proxy-Authorization" not in b"".join(server.requests)


@pytest.mark.parametrize(
    ("address", "code", "advice"),
    [
        (f"http://canary:{PROXY_PASSWORD}@127.0.0.1:1", 5, "the proxy"),
        (f"ftp://canary:{PROXY_PASSWORD}@127.0.0.1", 3, "http or https URL"),
        (f"canary:{PROXY_PASSWORD}@127.0.0.1:1", 3, "http or https URL"),
        ("", 3, "http or https URL"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
    address: str, code: int, advice: str
) -> None:
    """One sentence says what is wrong; no password, on neither stream."""
    done = await look("https://gateway.invalid", "--proxy", address)

    assert (done.code, done.out) == (code, "")
    assert advice in done.err
    assert leaked(done.err) == []
    assert "Traceback" not in done.err


async def test_a_job_goes_by_the_same_ways(
    tls: ssl.SSLContext, ca_file: Path, tmp_path: Path
) -> None:
    """`bulk run` calls through the proxy, and trusts the file."""
    job = ("bulk", "run", "-", "--job", "april", "--directory", str(tmp_path))
    async with RawServer(gateway, tls) as server, RawServer(tunnels) as proxy:
        done = await run(
            None,
            *(*job, "--ca-file", str(ca_file), "--proxy", proxy.base_url),
            stdin=ROWS,
            environ=calling(server.base_url),
        )

    assert proxy.requests
    assert server.requests, done.err


async def test_dask_workers_are_not_left_without_the_proxy_in_silence(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """They read their own environment: a way that they cannot go is refused."""
    job = ("bulk", "run", "-", "--job", "april", "--directory", str(tmp_path))

    done = await run(
        sandbox,
        *(*job, "--dask", "local:1", "--keys-honoured"),
        stdin=ROWS,
        environ={"CONVERGEGATE_PROXY": "http://127.0.0.1:1"},
    )

    assert done.code == 3
    assert "Dask workers" in done.err
    assert not sandbox.seen
    assert files_in(tmp_path) == []
