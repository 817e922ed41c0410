"""What the README shows of a terminal is what the command prints there."""

import re
from pathlib import Path

import authority
import pytest
import trustme
from canaries import KEY
from orders import ORDER_FIELDS
from programs import run, shell_needed, variables_of
from raw import RawServer, http, says
from readme import README

from convergegate_async.sandbox import Fault, Sandbox

pytestmark = shell_needed

TERMINALS = dict(
    re.findall(r"^```console\n\$ (.*)\n((?:.*\n)*?)```", README, re.MULTILINE)
)
"""What each command prints, by its own words."""

LOAD, DOCTOR, DEBUG = [*TERMINALS][-3:]

VARYING = {
    r"\d[\d,.]* (ms|µs|s)\b": "(time)",
    r"\d[\d,.]*%": "(share)",
    r"(sent|planned|ok) [\d,]+": r"\1 (number)",
    r"[\d.]+/s": "(rate)",
    r"; garbage collections .*": "",  # there may have been none
    r"\w+\.\w*Loop": "(loop)",
    r"cg1-[0-9a-f]+": "(key)",
    r"req_\w+": "(id)",
    r"https?://[\w.:]+": "(origin)",
    r"TLSv1.3, .* by .*, for \d+ days": "(certificate)",
    r"[\w.]+ port \d+": "(address)",
    r"[\w.]+ is [\d.]+": "(name) is (address)",
    r"(unknown, )(disconnected|broken)": r"\1(failure)",
    r" +": " ",
}


def masked(text: str) -> list[str]:
    """Return the lines of *text* without what another run would print otherwise."""
    for pattern, mark in VARYING.items():
        text = re.sub(pattern, mark, text)
    return [line.strip() for line in text.strip().splitlines()]


def assert_shows(shown: str, printed: str) -> None:
    """Compare a block of the README with what was printed; a line of … is any lines."""
    lines, expected = (
        "".join(f"{line}\n" for line in masked(text)) for text in (printed, shown)
    )
    pattern = "(?:.*\n)*".join(map(re.escape, expected.split("…\n")))
    assert re.fullmatch(pattern, lines), f"{lines}\n\ninstead of\n\n{shown}"


def test_every_block_is_compared() -> None:
    """Here, or by whoever goes through the first hour."""
    later = README.partition("\n## Open a session\n")[2]

    assert [line for line in later.splitlines() if line.startswith("$ ")] == [
        f"$ {command}" for command in (LOAD, DOCTOR, DEBUG)
    ]


async def test_the_doctor(tmp_path: Path) -> None:
    """It looks at the lane, the address, the certificate and the key in those words."""
    ours = trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    tls = authority.presenting(ours.issue_cert("127.0.0.1"))
    refuses = says(http(b'{"error": {"message": "no"}}', "401 Unauthorized"))
    async with RawServer(refuses, tls) as server:
        done = await run(
            None,
            "doctor",
            environ={
                "CONVERGEGATE_API_KEY": KEY,
                "CONVERGEGATE_BASE_URL": server.base_url,
                "SSL_CERT_FILE": str(tmp_path / "authority.pem"),
            },
        )

    assert_shows(TERMINALS[DOCTOR], done.out)


async def test_debug() -> None:
    """Each line that goes out, each attempt, the pause, and the call."""
    options = [
        f"--{name.replace('_', '-')}={ORDER_FIELDS[name]}" for name in ORDER_FIELDS
    ]
    async with Sandbox(faults=[Fault("lost", operation="create", times=1)]) as sandbox:
        done = await run(sandbox, "create", *options, "--debug", "--output", "id")

    assert_shows(TERMINALS[DEBUG], done.err)


@pytest.mark.timeout(300)
async def test_a_load_test() -> None:
    """Thresholds kept and broken, counts, both times, and what the generator did."""
    thresholds = re.findall(r"'(.+?)'", LOAD)
    slow = Fault("latency", seconds=0.4)
    async with Sandbox(faults=[slow]) as sandbox:
        done = await run(
            None,
            *("load", "run", "--rate", "20", "--duration", "500ms", "--max-lag", "10m"),
            *(word for one in thresholds for word in ("--threshold", one)),
            *("--base-url", sandbox.base_url),
            environ=variables_of(sandbox),
        )

    assert_shows(TERMINALS[LOAD], done.out)
