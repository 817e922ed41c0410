"""Every numbered fault has its test, or the reason why it has none.

A1 to J10 are names of faults, a letter for each group, kept so that each can be found:
a test has the number in its id, and a fault that is not run is in a module's `NOT_RUN`.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MATRIX = Path(__file__).parent
GROUPS = {  # how many faults each has
    "A": 20,
    "B": 27,
    "C": 13,
    "D": 25,
    "E": 57,
    "F": 16,
    "G": 12,
    "J": 10,
}
_PARAMETERS = re.compile(r"\[(.*)\]$")
_NUMBER = re.compile(r"[A-J][0-9]+")


@pytest.fixture(scope="session")
def tested() -> set[str]:
    """The numbers that the ids of the collected tests hold."""
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", str(MATRIX))
    # What measures the suite's coverage must not begin anew in the middle of it.
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(  # noqa: S603 -- our own tests
        command,
        cwd=MATRIX.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:]
    ids = (_PARAMETERS.search(line) for line in done.stdout.splitlines())
    words = {word for one in ids if one is not None for word in one[1].split("-")}
    return {word for word in words if _NUMBER.fullmatch(word)}


@pytest.fixture(scope="session")
def not_run() -> dict[str, str]:
    """What the modules say they do not run, and why."""
    reasons: dict[str, str] = {}
    for path in sorted(MATRIX.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not node.value:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if ast.unparse(targets[0]) == "NOT_RUN":
                found = ast.literal_eval(node.value)
                assert not reasons.keys() & found.keys(), path.name
                reasons |= found
    return reasons


def numbers(group: str) -> set[str]:
    """Return the numbers of *group*."""
    return {f"{group}{number}" for number in range(1, GROUPS[group] + 1)}


@pytest.mark.parametrize("group", GROUPS)
def test_every_fault_is_run_or_explained(
    group: str, tested: set[str], not_run: dict[str, str]
) -> None:
    """A number is in the id of a test, or has a reason in NOT_RUN, never both."""
    expected = numbers(group)

    assert sorted(expected - tested - not_run.keys()) == []
    assert sorted(expected & tested & not_run.keys()) == []


def test_every_reason_is_given(not_run: dict[str, str]) -> None:
    """NOT_RUN holds known numbers only, each with a sentence."""
    known = set().union(*map(numbers, GROUPS))

    assert not_run.keys() - known == set()
    assert [number for number, why in not_run.items() if not why.strip()] == []
