"""Completion in shells: commands, options and choices come, and aiohttp does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import PROGRAM, call, shell_needed

pytestmark = shell_needed

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_CONVERGEGATE_COMPLETE"


def asked(shell: str, line: str) -> dict[str, str]:
    """Return the variables by which a *shell* asks for what may follow a *line*."""
    *before, last = line.split(" ")
    place = last if shell == "fish" else str(len(before))
    return {VARIABLE: f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": place}


def completed(shell: str, line: str) -> str:
    """Return what the program tells a *shell*, and check that it told nothing else."""
    done = call(**asked(shell, line))

    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("convergegate re", {"refund", "refund-status"}),
        ("convergegate bulk re", {"reconcile", "resume", "retry-failed"}),
        ("convergegate create --customer-e", {"--customer-email"}),
        ("convergegate get --c", {"--ca-file", "--curl"}),
        ("convergegate get s1 --output ", {"table", "json", "id"}),
        ("convergegate sandbox se", {"seed"}),
        ("convergegate get ", set()),
        ("convergegate refund s1 --metadata ", set()),
    ],
)
def test_what_may_follow_is_offered(shell: str, line: str, offered: set[str]) -> None:
    """Whatever has a name; ids of sessions have none that a shell could know."""
    offer = completed(shell, line)

    words = {word for line in offer.splitlines() for word in line.split(",")}
    names = {word.partition("\t")[0] for word in words}
    assert offered <= names
    if not offered:
        assert offer.strip() == ""


def test_a_shell_does_not_wait_for_what_a_call_needs() -> None:
    """Neither aiohttp nor asyncio is imported for a completion."""
    program = (
        "import sys; before = set(sys.modules)  # coverage loads some itself\n"
        "from convergegate_async.cli import main\n"
        "try: main()\n"
        "finally: print({'aiohttp', 'asyncio', 'cattrs', 'rich', 'ssl'} "
        "& (set(sys.modules) - before), file=sys.stderr)"
    )

    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", program],
        env={**os.environ, **asked("bash", "convergegate get --pro")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "plain,--proxy\n"
    assert done.stderr == "set()\n"


IN_BASH = f"""
eval "$({VARIABLE}=bash_source convergegate)"
complete -p convergegate
COMP_WORDS=(convergegate get --deb) COMP_CWORD=2
_convergegate_completion convergegate
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_line_of_the_readme_works_in_bash(tmp_path: Path) -> None:
    """What it evaluates completes the command that is on the path."""
    command = tmp_path / "convergegate"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {PROGRAM[2]} "$@"\n')
    command.chmod(0o700)

    done = subprocess.run(  # noqa: S603 -- our own program
        ["bash", "--norc", "-c", IN_BASH],  # noqa: S607 -- wherever it is
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _convergegate_completion convergegate",
        "--debug",
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_calls_the_program_back(shell: str) -> None:
    """By its name, also where it was started as a module."""
    done = call(**{VARIABLE: f"{shell}_source"})

    assert f"{VARIABLE}={shell}_complete" in done.stdout
    assert done.stderr == ""
