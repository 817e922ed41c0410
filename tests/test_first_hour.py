"""The first hour of the README, as a newcomer goes through it."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from programs import PATIENCE, shell_needed
from readme import NAMED, README
from user_project import ENVIRON, PYTEST

CHAPTER = README.partition("## Your first hour\n")[2].partition("\n## ")[0]
TERMINALS: list[tuple[str, str]] = re.findall(
    r"^```console\n\$ ([^\n]*)\n(.*?)^```", CHAPTER, re.MULTILINE | re.DOTALL
)
PYPROJECT = re.findall(r"^```toml\n(.*?)^```", CHAPTER, re.MULTILINE | re.DOTALL)[0]
APP = NAMED["app.py"]
BIN = str(Path(sys.executable).parent)


class Hour:
    """What a newcomer has in front of him: terminals, and a folder of his own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {"8080": free_port(), "8000": free_port()}
        self.environ = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "SHOP_URL": self.here("http://127.0.0.1:8000"),
        }

    def here(self, text: str) -> str:
        """Return a text of the README with the ports that are free on this machine."""
        for port, free in self._ports.items():
            text = text.replace(port, str(free))
        return text

    @asynccontextmanager
    async def typed(self, command: str) -> AsyncIterator["Terminal"]:
        """Run a command until the block is left."""
        process = await asyncio.create_subprocess_shell(
            f"exec {self.here(command)}",
            cwd=self._folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Terminal(process)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


class Terminal:
    """One of them, with the command that runs there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._shown = ""

    async def shows(self, expected: str) -> str:
        """Wait for what is expected, where … is anything; return what was shown."""
        parts = [re.escape(part).replace("…", r"\S+") for part in expected.split("…\n")]
        pattern = "(?:.*\n)*".join(parts)
        assert self._process.stdout is not None
        while not re.fullmatch(pattern, self._shown):
            try:
                line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
            except TimeoutError:
                line = b""
            assert line, f"{self._shown!r} instead of {expected!r}"
            self._shown += line.decode()
        return self._shown


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def pay(page: str) -> None:
    """Pay as the browser does."""
    async with aiohttp.ClientSession(raise_for_status=True) as browser:
        await browser.post(page, data={"blik_code": "123456"})


@shell_needed
async def test_each_terminal_shows_what_its_command_prints(tmp_path: Path) -> None:
    """Up to ports and ids; and what was paid for on the page is shipped."""
    (tmp_path / "app.py").write_text(APP)
    hour = Hour(tmp_path)
    sandbox, uvicorn, order, look = TERMINALS
    async with AsyncExitStack() as open_terminals:

        async def typed(block: tuple[str, str]) -> tuple[Terminal, str]:
            terminal = await open_terminals.enter_async_context(hour.typed(block[0]))
            return terminal, await terminal.shows(hour.here(block[1]))

        _, printed = await typed(sandbox)
        hour.environ.update(re.findall(r"^export (\w+)=(.*)$", printed, re.MULTILINE))
        shop, _ = await typed(uvicorn)
        _, page = await typed(order)
        await pay(page.strip())
        await shop.shows("…\nshipped A-17\n")
        await typed(look)


def test_its_tests_need_nothing_of_the_shell(tmp_path: Path) -> None:
    """An editor runs them as well, and so does one that knows another key."""
    for name in ("app.py", "conftest.py", "test_app.py"):
        (tmp_path / name).write_text(NAMED[name])
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    environ = {k: v for k, v in ENVIRON.items() if not k.startswith("CONVERGEGATE")}
    for theirs in ({}, {"CONVERGEGATE_API_KEY": "sk_test_of_another"}):
        done = subprocess.run(  # noqa: S603 -- a test's own project
            [*PYTEST, "-n0", "-Werror"],
            cwd=tmp_path,
            env=environ | theirs,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "3 passed in" in done.stdout, done.stdout


@pytest.mark.parametrize("checker", ["mypy --strict", "pyright"])
def test_the_shop_is_typed(checker: str, tmp_path: Path) -> None:
    """Whoever goes on from it has no type to mend first."""
    (tmp_path / "app.py").write_text(APP)

    done = subprocess.run(  # noqa: S603 -- our own development tools
        [sys.executable, "-m", *checker.split(), "app.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shop_is_short() -> None:
    """It is read in a minute."""
    assert len(APP.splitlines()) < 80
