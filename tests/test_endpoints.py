"""An endpoint cannot be half done: each place that was forgotten is named."""

import inspect
import re
from pathlib import Path

import matrix
import pytest
from canaries import BLIK_CODE, KEY
from matrix import SESSION_ID
from programs import run
from raw import RawServer

from convergegate_async import CheckoutSessionFactory
from convergegate_async._core.endpoints import ENDPOINTS, Endpoint
from convergegate_async.cli._errors import ON_DOUBT
from convergegate_async.cli._program import program
from convergegate_async.models import Answer
from convergegate_async.sandbox._api import ROUTES
from convergegate_async.sandbox._faults import OPERATIONS

TESTS = Path(__file__).parent
README = (TESTS.parent / "README.md").read_text(encoding="utf-8")
LIFECYCLE = {"open", "aclose"}
CALLS = sorted(
    name
    for name, member in vars(CheckoutSessionFactory).items()
    if inspect.iscoroutinefunction(member) and not name.startswith("_")
    if name not in LIFECYCLE
)
"""Every coroutine of the factory that calls the gateway."""

NO_ROUTE = {"wait": "it calls `retrieve` until it has seen enough"}
OTHER_COMMANDS = {"retrieve": "get", "retrieve_refund": "refund-status"}
ARGUMENTS = {
    "create": (
        *("--amount", "4999", "--currency", "pln"),
        *("--customer-email", "john@example.com", "--customer-phone", "+48123456789"),
        *("--customer-firstname", "John", "--customer-lastname", "Doe"),
        *("--success-url", "https://shop.example/thanks"),
    ),
    "refund": (SESSION_ID, "--full"),
}
"""Of each command; the id alone, where there are no others."""

NO_ADVICE = {
    "retrieve": "it changes nothing: whoever doubts looks again",
    "retrieve_refund": "it changes nothing: whoever doubts looks again",
}
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


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_a_command(name: str) -> None:
    """What a program can do, a person can try."""
    assert OTHER_COMMANDS.get(name, name) in program.commands


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_a_command_calls_the_endpoint_of_its_name(
    endpoint: Endpoint[Answer],
) -> None:
    """What it sends goes where the core says, by the method that the core says."""
    command = OTHER_COMMANDS.get(endpoint.name, endpoint.name)
    words = ARGUMENTS.get(command, (SESSION_ID,))

    async with RawServer(matrix.gateway) as server:
        address = {
            "CONVERGEGATE_API_KEY": KEY,
            "CONVERGEGATE_BASE_URL": server.base_url,
        }
        done = await run(None, command, *words, stdin=BLIK_CODE, environ=address)

    assert done.code == 0, done.err
    [request] = server.requests
    sent = request.decode().split(" ")[:2]
    assert sent == [endpoint.method, endpoint.path_of(SESSION_ID)]


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(NO_ADVICE)))
def test_a_call_has_an_advice(name: str) -> None:
    """Whoever does not know what became of it is told what to do."""
    assert name in ON_DOUBT


def test_there_is_no_reason_to_leave_a_write_without_advice() -> None:
    """Only what changes nothing can be made again without a thought."""
    writes = {endpoint.name for endpoint in ENDPOINTS if endpoint.writes}

    assert writes & set(NO_ADVICE) == set()
    assert set(ON_DOUBT) & set(NO_ADVICE) == set()
    assert set(ON_DOUBT) <= set(CALLS)


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
    assert re.search(rf"^\| `{name}\(", README, re.MULTILINE)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_an_endpoint_has_a_column_in_the_table_of_repeats(
    endpoint: Endpoint[Answer],
) -> None:
    """Each write has one of its own, all that is only looked at have one together."""
    head = re.search(r"^\| what happened \| (reads .*) \|$", README, re.MULTILINE)

    assert head is not None
    column = f"`{endpoint.name}`" if endpoint.writes else "reads"
    assert column in head[1].split(" | ")


@pytest.mark.parametrize("command", sorted(program.commands))
def test_a_command_has_a_line_in_the_manual(command: str) -> None:
    """The README's list of commands shows how it is started."""
    section = README.partition("\n## The command line\n")[2].partition("\n\n#")[0]

    assert re.search(rf"^ .*convergegate {command}(?: |$)", section, re.MULTILINE)


@pytest.mark.parametrize(
    "reasons", [NO_ROUTE, NO_ADVICE, NO_MATRIX_ROW, OTHER_COMMANDS]
)
def test_reasons_are_for_calls_that_there_are(reasons: dict[str, str]) -> None:
    """A reason whose call has gone goes, too."""
    assert set(reasons) <= set(CALLS)


def test_an_operation_that_the_matrix_does_not_know_is_an_error() -> None:
    """It is not tested as another one by mistake."""
    source = inspect.getsource(matrix.call)

    assert "case _:\n            raise AssertionError(operation)" in source
