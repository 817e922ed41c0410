"""Every Python block of the README runs, against the sandbox."""

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import attrs
import pytest
from orders import an_order
from programs import shell_needed, variables_of
from readme import BLOCKS, NAMED, README, block
from user_project import AUTO, ENVIRON, PYTEST, config

from convergegate_async import CheckoutSessionRequest, SessionStatus
from convergegate_async.sandbox import Sandbox, SeenRequest

ROOT = Path(__file__).parent.parent
NOT_IN_DEV = {"sanic": "sanic 25 is not for the multidict 7 that aiohttp comes with"}


async def run_block(source: str, sandbox: Sandbox, folder: Path) -> tuple[int, str]:
    """Run a block as a program that calls *sandbox*; return its code and output."""
    for name, text in NAMED.items():
        (folder / name).write_text(text)
    program = folder / "block.py"
    program.write_text(source)
    command = [sys.executable, "-X", "dev", "-W", "error", str(program)]
    if source.startswith("# test_"):
        (folder / "pytest.ini").write_text(config(AUTO))
        command = [*PYTEST, str(program)]

    done = await asyncio.create_subprocess_exec(
        *command,
        env={**ENVIRON, **variables_of(sandbox)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await done.communicate()

    assert done.returncode is not None
    return done.returncode, output.decode()


@pytest.mark.parametrize("source", BLOCKS, ids=range(len(BLOCKS)))
async def test_a_block_runs(source: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """A reader who pastes it gets what it says."""
    for name, reason in NOT_IN_DEV.items():
        if f"from {name} import" in source and find_spec(name) is None:
            pytest.skip(reason)

    code, output = await run_block(source, sandbox, tmp_path)

    assert code == 0, output


async def test_the_block_of_jobs_pays_back(tmp_path: Path) -> None:
    """Its customers have all paid by the time that it looks."""

    def pay(_: SeenRequest) -> None:
        for session in sandbox.book.sessions.values():
            if session.status == SessionStatus.OPEN:
                sandbox.book.pay(session, "123456")

    async with Sandbox(on_request=pay) as sandbox:
        code, output = await run_block(block('plan_refunds("may"'), sandbox, tmp_path)
        (session,) = sandbox.book.sessions.values()

    assert (code, session.amount_refunded) == (0, 4999), output
    assert "A-1 created" in output


async def test_blocks_can_be_followed_one_after_another(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """On one gateway, no block has the key that another one's order was made by."""
    for source in BLOCKS:
        if 'derive_key("' in source:
            code, output = await run_block(source, sandbox, tmp_path)

            assert code == 0, output


@shell_needed
@pytest.mark.skipif(which("curl") is None, reason="no curl")
async def test_the_block_for_other_languages_can_be_pasted(sandbox: Sandbox) -> None:
    """With a session and a webhook there, no line of it is refused."""
    (block,) = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    order = an_order(notification_url="http://127.0.0.1:1/webhooks")
    session = sandbox.book.open_session(order, sandbox.base_url)
    await sandbox.elapse(0)

    shell = await asyncio.create_subprocess_exec(
        *("sh", "-euc", block.replace("http://localhost:8080", sandbox.base_url)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await shell.communicate()

    answers = [json.loads(line) for line in output.decode().splitlines() if line]
    assert shell.returncode == 0
    assert len(answers) == 8, output
    assert [answer["error"] for answer in answers if "error" in answer] == []
    assert answers[1]["id"] == session.id
    assert answers[1]["status"] == "completed"
    assert not sandbox.book.sessions


def test_no_block_has_the_key_of_an_order_of_the_first_hour() -> None:
    """Whose sandbox still runs, and refuses another request under that key."""
    bought = re.findall(r"^\$ .*/orders/(A-\d+)", README, re.MULTILINE)
    keys = re.findall(r'derive_key\("order", "(A-\d+)"\)', README)

    assert bought
    assert keys
    assert not {*bought} & {*keys}


def test_the_table_has_every_field_and_its_examples_pass() -> None:
    """Whoever fills in a request finds each field's rule, and an example that holds."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `([^|]+)` \|$", README, re.MULTILINE)
    names = {"datetime": datetime, "UTC": UTC}
    examples = {name: eval(text, names) for name, text in rows}  # noqa: S307 -- our own README

    assert [*examples] == [field.name for field in attrs.fields(CheckoutSessionRequest)]
    CheckoutSessionRequest(**examples)


def test_the_table_has_every_extra() -> None:
    """It stands there with what it brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]*) \| [^|]* \| \d+ \|$", README, re.MULTILINE
    )

    extras = project["optional-dependencies"]
    assert {name for name, _ in rows} == set(extras) - {"dev"}
    for name, brings in rows:
        for requirement in extras[name] if name != "all" else ():
            assert re.split(r"[><=; ]", requirement)[0] in brings


def test_the_readme_has_blocks() -> None:
    """The parametrization above is not empty by accident."""
    assert len(BLOCKS) >= 4


def test_the_readme_shows_the_two_commands() -> None:
    """Both commands stand on the first screen, as they have to be typed."""
    screen = "\n".join(README.splitlines()[:24])

    assert 'python -m pip install ".[cli]" && convergegate demo' in screen
    assert 'python -m pip install -e ".[dev]" && python -m pytest' in screen


def test_links_lead_somewhere() -> None:
    """Every heading that is linked is there, and the contents name every chapter."""
    contents = README.partition("\n## ")[0]
    headings = re.findall("^(##+) (.+)$", README, re.MULTILINE)
    anchors = {anchor_of(text) for _, text in headings}
    chapters = {anchor_of(text) for depth, text in headings if depth == "##"}

    assert {*re.findall(r"\(#([^)]+)\)", README)} <= anchors
    assert chapters <= {*re.findall(r"\(#([^)]+)\)", contents)}


def anchor_of(heading: str) -> str:
    """Return the name by which GitHub links *heading*."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
