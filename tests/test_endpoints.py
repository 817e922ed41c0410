"""An endpoint cannot be half done: each place that was forgotten is named."""

import inspect
import re
from pathlib import Path

import matrix
import pytest

from convergegate_async import CheckoutSessionFactory
from convergegate_async._core.endpoints import ENDPOINTS
from convergegate_async.cli._program import program
from convergegate_async.sandbox._api import ROUTES
from convergegate_async.sandbox._faults import OPERATIONS

TESTS = Path(__file__).parent
LIFECYCLE = {"open", "aclose"}
CALLS = sorted(
    name
    for name, member in vars(CheckoutSessionFactory).items()
    if inspect.iscoroutinefunction(member) and not name.startswith("_")
    if name not in LIFECYCLE
)
"""Every coroutine of the factory that calls the gateway."""

NO_ROUTE = {"wait": "it calls `retrieve` until it has seen enough"}
NO_COMMAND = {"retrieve_refund": "a session shows its refunds"}
OTHER_COMMANDS = {"retrieve": "get"}
NO_MATRIX_ROW = {
    "wait": "tests/factory/test_wait.py breaks its looks",
    "retrieve_refund": "it is read as `retrieve` is, and money depends on neither",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_an_endpoint(name: str) -> None:
    """What it is called, and when it may be repeated, stands in the core."""
    assert name in {endpoint.name for endpoint in ENDPOINTS}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_an_endpoint_has_a_call(endpoint: object) -> None:
    """Nothing is described that nobody can call."""
    assert getattr(endpoint, "name", None) in CALLS


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(NO_ROUTE)))
def test_a_call_has_a_route_of_the_sandbox_and_a_fault_s_name(name: str) -> None:
    """Method and path are the endpoint's, and faults can be aimed at it."""
    (endpoint,) = (one for one in ENDPOINTS if one.name == name)

    found = [(one.method, one.path) for one in ROUTES if one.name == name]

    assert found == [(endpoint.method, endpoint.path)]
    assert name in OPERATIONS


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(NO_COMMAND)))
def test_a_call_has_a_command(name: str) -> None:
    """What a program can do, a person can try."""
    assert OTHER_COMMANDS.get(name, name) in program.commands


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(NO_MATRIX_ROW)))
def test_a_call_meets_every_fault(name: str) -> None:
    """The fault matrix makes it; an unknown name is an error there."""
    assert name in matrix.OPERATIONS


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_a_line_for_type_checkers(name: str) -> None:
    """`tests/typing/api.py` says what it returns."""
    sample = (TESTS / "typing" / "api.py").read_text(encoding="utf-8")

    assert re.search(rf"checkout\.{name}\(", sample)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_an_entry_in_the_manual(name: str) -> None:
    """The README's table of calls says what it is for."""
    manual = (TESTS.parent / "README.md").read_text(encoding="utf-8")

    assert re.search(rf"^\| `{name}\(", manual, re.MULTILINE)


@pytest.mark.parametrize(
    "reasons", [NO_ROUTE, NO_COMMAND, NO_MATRIX_ROW, OTHER_COMMANDS]
)
def test_reasons_are_for_calls_that_there_are(reasons: dict[str, str]) -> None:
    """A reason whose call has gone goes, too."""
    assert set(reasons) <= set(CALLS)


def test_an_operation_that_the_matrix_does_not_know_is_an_error() -> None:
    """It is not tested as another one by mistake."""
    source = inspect.getsource(matrix.call)

    assert "case _:\n            raise AssertionError(operation)" in source
