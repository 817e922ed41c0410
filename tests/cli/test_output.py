"""What `--output json` tells programs: of answers, and of errors of every kind."""

import json
from typing import Any

import pytest
from canaries import BLIK_CODE, KEY, canary_order, leaked
from orders import an_order
from programs import run, shell_needed

from convergegate_async.cli._errors import as_json
from convergegate_async.cli._invocation import output_among
from convergegate_async.errors import ConvergeGateError
from convergegate_async.sandbox import Fault, Sandbox

pytestmark = shell_needed

NEW = (
    *("create", "--amount", "4999", "--currency", "pln"),
    *("--customer-email", "john@example.com", "--customer-phone", "+48123456789"),
    *("--customer-firstname", "John", "--customer-lastname", "Doe"),
    *("--success-url", "https://shop.example/thanks", "--idempotency-key", "order-17"),
)
JSON = ("--output", "json")
NAMES = as_json(ConvergeGateError()).keys()


async def a_session(sandbox: Sandbox) -> str:
    """Open a session, and return its id."""
    async with sandbox.factory() as checkout:
        return (await checkout.create(canary_order())).id


def error_in(out: str) -> dict[str, Any]:
    """Return what stdout tells of an error: one object, whose names are the same."""
    [(name, error)] = json.loads(out).items()
    assert name == "error"
    assert error.keys() == NAMES
    return dict(error)


async def test_an_answer_tells_how_it_came_about() -> None:
    """The gateway's own fields as they came, and under `_call` key and attempts."""
    lost = Fault("lost", operation="create", times=1)
    async with Sandbox(faults=[lost]) as sandbox:
        done = await run(sandbox, *NEW, *JSON)
        [session] = sandbox.book.sessions.values()

    answer = json.loads(done.out)
    call = answer.pop("_call")
    assert done.code == 0
    assert answer["id"] == session.id
    assert "call" not in answer
    assert call.pop("elapsed") > 0
    assert call == {
        "idempotency_key": "order-17",
        "attempts": 2,
        "unknown_attempts": 1,
        "request_id": "req_2",
        "http_status": 200,
        "misread": [],
    }


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("get", "nobody"), 4, {"class": "NotFoundError", "outcome": "rejected"}),
        (("refund-status", "nobody"), 4, {"http_status": 404, "attempts": 1}),
        (("get", "a/b"), 2, {"class": "InvalidFieldError", "attempts": None}),
        (("get",), 2, {"class": "UsageError", "operation": None}),
        (("get", "x", "--timeout", "soon"), 2, {"class": "UsageError"}),
        (("bulk", "status", "none"), 3, {"class": "JournalError"}),
        (("refund", "x"), 2, {"message": "give either --amount or --full"}),
        (("get", "x", "--proxy", "x"), 3, {"class": "ConfigurationError"}),
        (
            ("get", "x", "--base-url", "http://127.0.0.1:1", "--timeout", "2"),
            5,
            {"outcome": "not_sent", "failure": "connect"},
        ),
    ],
    ids=str,
)
async def test_an_error_is_one_object(
    words: tuple[str, ...], code: int, expected: dict[str, object], sandbox: Sandbox
) -> None:
    """On stdout, with its exit code in it; stderr keeps the sentence."""
    done = await run(sandbox, *words, *JSON)

    error = error_in(done.out)
    assert done.code == error["exit_code"] == code
    assert {name: error[name] for name in expected} == expected
    assert error["message"].splitlines()[0] in done.err
    assert "Traceback" not in done.err


async def test_output_is_read_before_what_is_wrong(sandbox: Sandbox) -> None:
    """Wherever it stands among the arguments."""
    done = await run(sandbox, "get", "x", "--timeout", "soon", *JSON)

    assert error_in(done.out)["class"] == "UsageError"


@pytest.mark.parametrize(
    "words",
    [
        ("get", "x", *JSON, "--nosuch"),
        ("get", "x", "--nosuch", "--output=json"),
        ("get", "x", *JSON, "--timeout"),
        ("bulk", "status", *JSON, "--nosuch"),
        ("nosuch", *JSON),
    ],
    ids=" ".join,
)
async def test_arguments_that_cannot_be_read_are_one_object(
    words: tuple[str, ...], sandbox: Sandbox
) -> None:
    """A script that has a typo in it reads the same as of any other mistake."""
    done = await run(sandbox, *words)

    error = error_in(done.out)
    assert done.code == error["exit_code"] == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ("get x --output json", "json"),
        ("get --output=json --output id", "id"),
        ("get x --output", ""),
        ("get -- --output json", "table"),
        ("", "table"),
    ],
)
def test_output_is_found_among_arguments(words: str, output: str) -> None:
    """The last one counts, as for click."""
    assert output_among(words.split()) == output


async def test_a_code_given_as_an_argument_is_not_repeated(sandbox: Sandbox) -> None:
    """It stands in no log that keeps what a command says."""
    done = await run(sandbox, "pay", "x", BLIK_CODE, *JSON)

    assert (done.code, error_in(done.out)["class"]) == (2, "UsageError")
    assert leaked(done.out + done.err) == []
    assert "stdin" in done.err
    assert not sandbox.seen


async def test_a_key_given_for_its_file_is_not_repeated(sandbox: Sandbox) -> None:
    """There is no such file, and what it was called is in no log."""
    done = await run(sandbox, "get", "x", "--api-key-file", KEY, *JSON)

    assert (done.code, error_in(done.out)["class"]) == (3, "ConfigurationError")
    assert leaked(done.out + done.err) == []


async def test_a_refused_payment_tells_why(sandbox: Sandbox) -> None:
    """The issuer's word is a field of its own, and no code is anywhere."""
    session_id = await a_session(sandbox)

    done = await run(sandbox, "pay", session_id, *JSON, stdin="200000")

    error = error_in(done.out)
    assert (done.code, error["class"]) == (4, "DeclinedError")
    assert error["decline_code"] is not None
    assert error["gateway_message"] in error["message"]
    assert "200000" not in done.out + done.err


async def test_a_doubt_tells_the_key_and_the_advice() -> None:
    """What a script needs to repeat it, in fields; once only, also without stderr."""
    for streams in ("", "2>&-"):
        async with Sandbox(faults=[Fault("lost", operation="create")]) as sandbox:
            done = await run(sandbox, *NEW, *JSON, streams=streams)

        error = error_in(done.out)
        assert (done.code, error["outcome"]) == (5, "unknown")
        assert (error["idempotency_key"], error["attempts"]) == ("order-17", 3)
        assert error["advice"].startswith("Repeat it only with --idempotency-key")


async def test_a_refusal_after_the_code_was_taken_stands_beside_the_session() -> None:
    """One document: the session as last seen, and what went wrong, under `_error`."""
    fault = Fault("status", operation="retrieve", status=401)
    async with Sandbox(faults=[fault]) as sandbox:
        async with sandbox.factory() as checkout:
            session_id = (await checkout.create(an_order())).id
        done = await run(sandbox, "pay", session_id, *JSON, stdin="012345")

    session = json.loads(done.out)
    assert (done.code, session["status"]) == (5, "pending")
    assert session["_error"]["class"] == "AuthenticationError"
    assert session["_error"].keys() == NAMES


async def test_an_error_tells_no_more_than_its_sentence() -> None:
    """A wait that ran out knows its session, and tells no customer of it."""
    async with Sandbox() as sandbox:
        session_id = await a_session(sandbox)
        done = await run(
            sandbox, "pay", session_id, *JSON, "--timeout", "1", stdin="300000"
        )
        waited = await run(sandbox, "wait", session_id, *JSON, "--timeout", "1")

    error = error_in(waited.out)
    assert error["session"] == {
        "id": session_id,
        "status": "pending",
        "amount_refunded": 0,
    }
    assert leaked(json.dumps(error) + waited.err + done.err) == []
    assert BLIK_CODE not in waited.out


@pytest.mark.parametrize("output", ["table", "id"])
async def test_other_outputs_tell_errors_on_stderr_alone(
    output: str, sandbox: Sandbox
) -> None:
    """Their stdout stays empty."""
    done = await run(sandbox, "get", "nobody", "--output", output)

    assert (done.code, done.out) == (4, "")


@pytest.mark.parametrize("streams", [">/dev/full", ">&-", "unread"])
async def test_an_object_that_nobody_reads_changes_no_exit_code(
    streams: str, sandbox: Sandbox
) -> None:
    """The sentence is on stderr in any case."""
    done = await run(sandbox, "get", "nobody", *JSON, streams=streams)

    assert done.code == 4
    assert "no such checkout session" in done.err
    assert "Traceback" not in done.err
