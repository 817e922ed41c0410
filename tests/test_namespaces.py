"""The README's compose file as network namespaces: shop, sandbox and customer apart."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from programs import PATIENCE
from readme import NAMED, README

COMPOSE = README.partition("# compose.yaml\n")[2].partition("```")[0]
COMMANDS = {
    name: " ".join(command.split())
    for name, command in re.findall(
        r"^  (\w+):\n(?:    .*\n)*?    command: >\n.*&&\n((?:      .*\n)*)",
        COMPOSE,
        re.MULTILINE,
    )
}
ENVIRONMENT = dict(re.findall(r"^      ([A-Z_]+): (\S+)$", COMPOSE, re.MULTILINE))
ADDRESSES = {"sandbox": "10.213.7.1", "shop": "10.213.7.2", "customer": "10.213.7.3"}
BIN = Path(sys.executable).parent

CUSTOMER = Path(__file__).parent / "support" / "browsing_customer.py"


def ip(*words: str) -> None:
    """Run a command of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S603, S607 -- root's own


@contextmanager
def namespaces() -> Iterator[dict[str, str]]:
    """Make three machines that see each other by name, on a switch of their own."""
    prefix = f"cg{os.getpid()}"
    names = {name: f"{prefix}-{name}" for name in (*ADDRESSES, "switch")}
    hosts = "\n".join(f"{address} {name}" for name, address in ADDRESSES.items())
    with ExitStack() as mess:
        for full in names.values():
            ip("netns", "add", full)
            mess.callback(ip, "netns", "delete", full)
            ip("-n", full, "link", "set", "lo", "up")
        switch = names["switch"]
        ip("-n", switch, "link", "add", "bridge0", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge0", "up")
        for name, address in ADDRESSES.items():
            own = Path("/etc/netns", names[name])  # what it has in the place of /etc
            own.mkdir(parents=True)
            mess.callback(shutil.rmtree, own)
            (own / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}\n")
            here, peer = ("-n", names[name]), ("peer", name, "netns", switch)
            ip(*here, "link", "add", "eth0", "type", "veth", *peer)
            ip("-n", switch, "link", "set", name, "master", "bridge0", "up")
            ip(*here, "address", "add", f"{address}/24", "dev", "eth0")
            ip(*here, "link", "set", "eth0", "up")
        yield names


@contextmanager
def running(
    namespace: str, command: str, folder: Path, environ: Mapping[str, str]
) -> Iterator[list[str]]:
    """Run a command there until the block is left, and then return what it printed."""
    words = ["ip", "netns", "exec", namespace, *command.split()]
    printed: list[str] = []
    log = folder / f"{namespace}.log"
    with (
        log.open("w") as file,
        subprocess.Popen(  # noqa: S603 -- the README's own
            words,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield printed
        finally:
            process.terminate()
            process.wait()
            printed += log.read_text().splitlines()


def test_the_readme_has_both_commands() -> None:
    """What is tried below is what stands there."""
    assert COMMANDS["sandbox"].startswith("exec convergegate sandbox --port 8080")
    assert COMMANDS["shop"].startswith("exec uvicorn app:app --host 0.0.0.0")
    assert len(ENVIRONMENT) == 4


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None,
    reason="needs Linux, root and iproute2",
)
def test_a_shop_a_sandbox_and_a_customer_live_apart(tmp_path: Path) -> None:
    """The customer pays, the webhook is delivered, and the order is shipped."""
    (tmp_path / "app.py").write_text(NAMED["app.py"])
    commands = {
        name: f"{BIN}/" + command.removeprefix("exec ").rstrip('"')
        for name, command in COMMANDS.items()
    }
    # The customer's browser is no longer on the machine whose ports are published.
    commands["sandbox"] = commands["sandbox"].replace("localhost", "sandbox")
    with ExitStack() as machines:
        try:
            names = machines.enter_context(namespaces())
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr!r}")
        with (
            running(names["sandbox"], commands["sandbox"], tmp_path, {}) as log,
            running(names["shop"], commands["shop"], tmp_path, ENVIRONMENT) as sold,
        ):
            customer = (sys.executable, str(CUSTOMER), ADDRESSES["sandbox"])
            done = subprocess.run(  # noqa: S603 -- our own
                ["ip", "netns", "exec", names["customer"], *customer],  # noqa: S607 -- root's
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )

    assert done.returncode == 0, (done.stderr, log, sold)
    seen = json.loads(done.stdout)
    assert seen.pop("page").startswith("http://sandbox:8080/pay/")
    assert seen == {
        "shown": 200,
        "paid": 303,
        "by address": 421,
        "without key": 401,
        "by another page": 403,
    }
    assert "shipped A-17" in sold
    assert any("200  > session.completed" in line for line in log)
