"""Whose word is taken for a host's address: the system's, whatever is installed."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

AIODNS = """
class DNSResolver:
    '''Stands for c-ares where the system's own resolver works: it finds nobody.'''

    def __init__(self, *args, **options): pass
    async def getaddrinfo(self, *args, **options): raise OSError('c-ares was asked')
    async def close(self): pass
    def cancel(self): pass
"""
CALL = """
import asyncio
import sys

import aiohttp
from aiohttp.resolver import AsyncResolver, DefaultResolver

from convergegate_async import CheckoutSessionRequest
from convergegate_async.sandbox import Sandbox

assert DefaultResolver is AsyncResolver  # aiodns is what aiohttp would take

async def main():
    async with Sandbox() as sandbox:
        port = sandbox.base_url.rpartition(":")[2]
        own = aiohttp.TCPConnector() if "own" in sys.argv else None
        factory = type(sandbox.factory())
        checkout = factory("sk_test_sandbox", f"http://localhost:{port}", connector=own)
        async with checkout:
            try:
                await checkout.retrieve("AW1")
            except Exception as error:
                print(type(error).__name__)
        if own is not None:
            await own.close()

asyncio.run(main())
"""


def found(tmp_path: Path, *arguments: str) -> str:
    """Ask for a session at ``localhost`` beside aiodns; return the error's name."""
    (tmp_path / "aiodns.py").write_text(dedent(AIODNS))
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", CALL, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_system_s_resolver_is_asked_though_aiodns_is_installed(
    tmp_path: Path,
) -> None:
    """An address is found, or is unknown, as it is for every other program."""
    assert found(tmp_path) == "NotFoundError"  # the gateway has answered


def test_an_own_connector_asks_whom_its_owner_chose(tmp_path: Path) -> None:
    """How a connector of the caller's resolves names is the caller's."""
    assert found(tmp_path, "own") == "NotSentError"
