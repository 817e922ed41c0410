"""What the sandbox describes of itself is what it does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from types import NoneType
from typing import Any, Union, get_args, get_origin

import aiohttp
import attrs
import pytest
from programs import PATIENCE

from convergegate_async import (
    CheckoutSessionRequest,
    EventType,
    RefundReason,
    RefundRequest,
    RefundStatus,
    SessionStatus,
)
from convergegate_async.sandbox import (
    BookedEvent,
    BookedRefund,
    BookedSession,
    Fault,
    FaultKind,
    Sandbox,
    _control_api,
    _control_orders,
    _control_values,
)
from convergegate_async.sandbox._api import ROUTES
from convergegate_async.sandbox._faults import OPERATIONS
from convergegate_async.testing import ThreadedSandbox

DESCRIPTION = Path(_control_api.__file__).with_name("openapi.json")
DOCUMENT: dict[str, Any] = json.loads(DESCRIPTION.read_bytes())
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]

STATES = {
    "SessionState": _control_values.SessionState,
    "RefundState": _control_values.RefundState,
    "RequestState": _control_values.RequestState,
    "DeliveryState": _control_values.DeliveryState,
    "SessionStory": _control_values.SessionStory,
    "ClockState": _control_values.ClockState,
    "Fault": Fault,
}
"""What the control API says."""

ORDERS = {
    "PayOrder": _control_orders.PayOrder,
    "ClockOrder": _control_orders.ClockOrder,
    "FaultOrder": Fault,
}
"""What the control API takes."""

FORMS = {"CreateSessionForm": CheckoutSessionRequest, "RefundForm": RefundRequest}
NO_FIELD = {"full", "extra"}  # of the requests, and not on the wire

WORDS: dict[str, type[StrEnum]] = {
    "SessionStatus": SessionStatus,
    "RefundStatus": RefundStatus,
    "FaultKind": FaultKind,
}
JSON_TYPES = {bool: "boolean", str: "string", int: "integer", float: "number"}


def operations() -> Iterator[tuple[str, str]]:
    """Yield method and path of every operation that is described."""
    for path, methods in DOCUMENT["paths"].items():
        yield from ((method.upper(), path) for method in methods)


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference leads to."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return SCHEMAS[name] if name else schema


def kinds_of(schema: Mapping[str, Any]) -> set[str]:
    """Return the types that JSON has for it."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return set().union(*map(kinds_of, schema["anyOf"]))
    kinds = schema["type"]
    return {kinds} if isinstance(kinds, str) else set(kinds)


def kinds_for(annotation: Any) -> set[str]:  # noqa: ANN401 -- a type, as the typing module has it
    """Return the types that JSON has for what is annotated so."""
    if get_origin(annotation) is tuple:
        return {"array"}
    if get_origin(annotation) in (Union, type(int | None)):
        return set().union(*map(kinds_for, get_args(annotation)))
    if annotation is NoneType:
        return {"null"}
    if attrs.has(annotation):
        return {"object"}
    return {
        next(name for kind, name in JSON_TYPES.items() if issubclass(annotation, kind))
    }


# -- the description and the code -----------------------------------------------------


def test_every_route_is_described_and_every_operation_exists() -> None:
    """The gateway's API, the control API, and what needs no key."""
    routes = {
        (route.method, route.path) for route in (*ROUTES, *_control_api.CONTROL_ROUTES)
    }
    known = {(method, path) for method, path in routes if method != "*"}

    assert sorted(operations()) == sorted(
        {*known, ("GET", "/health"), ("GET", "/openapi.json")}
    )


def test_operations_have_names_of_their_own() -> None:
    """Generated clients call their methods so."""
    names = [
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    ]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", [*STATES, *ORDERS])
def test_the_control_api_is_described_as_its_values_are(name: str) -> None:
    """Fields and types are those of the classes; what is said is always all there."""
    schema = SCHEMAS[name]
    kind = attrs.resolve_types((STATES | ORDERS)[name])
    fields = attrs.fields(kind)

    assert [*schema["properties"]] == [field.name for field in fields]
    for field in fields:
        assert kinds_of(schema["properties"][field.name]) == kinds_for(field.type), (
            field
        )
    needed = [one.name for one in fields if one.default is attrs.NOTHING]
    assert schema["required"] == ([*schema["properties"]] if name in STATES else needed)


@pytest.mark.parametrize("name", ORDERS)
def test_what_can_be_left_out_is_described(name: str) -> None:
    """In words: generators take what has a *default* for what is always sent."""
    schema = SCHEMAS[name]

    assert schema["additionalProperties"] is False
    assert "default" not in str(schema)
    for field in attrs.fields(ORDERS[name]):
        if field.default not in (attrs.NOTHING, None):
            described = schema["properties"][field.name]["description"]
            assert f"{str(field.default).lower()} if left out" in described


@pytest.mark.parametrize("name", FORMS)
def test_the_gateway_takes_the_fields_of_the_requests(name: str) -> None:
    """Names, and which of them a call must have."""
    fields = [
        field for field in attrs.fields(FORMS[name]) if field.name not in NO_FIELD
    ]

    assert [*SCHEMAS[name]["properties"]] == [field.name for field in fields]
    assert SCHEMAS[name]["required"] == [
        field.name for field in fields if field.default is attrs.NOTHING
    ]


def test_the_gateway_answers_the_fields_that_are_described(
    order: CheckoutSessionRequest,
) -> None:
    """A session in both spellings, a refund and an event."""
    refund = BookedRefund(
        id="r",
        session_id="s",
        amount=1,
        reason=None,
        metadata=None,
        created_at=0,
        ends_at=0,
    )
    session = BookedSession(id="s", request=order, url="u", created_at=0, expires_at=0)
    event = BookedEvent(
        id="e",
        type=EventType.REFUND_FAILED,
        created_at=0,
        url="u",
        session_id="s",
        status=SessionStatus.OPEN,
        refund_id="r",
    )

    for name, answer in {
        "SessionAsCreated": session.as_created(),
        "SessionAsRetrieved": session.as_retrieved(),
        "Refund": refund.as_json(),
        "Event": event.as_json(),
        "Event.data": event.as_json()["data"],
    }.items():
        schema = SCHEMAS[name.partition(".")[0]]
        if "." in name:
            schema = schema["properties"]["data"]
        assert isinstance(answer, dict)
        assert sorted(schema["properties"]) == sorted(answer), name


def test_words_are_those_of_the_code() -> None:
    """Enumerations have the words of the classes, in their order."""
    for name, words in WORDS.items():
        assert SCHEMAS[name]["enum"] == [str(word) for word in words]
    assert SCHEMAS["Operation"]["enum"] == [*OPERATIONS]
    assert SCHEMAS["FaultOrder"]["properties"]["operation"]["enum"] == [
        *OPERATIONS,
        None,
    ]
    assert SCHEMAS["Event"]["properties"]["type"]["enum"] == [*EventType]
    assert SCHEMAS["RefundForm"]["properties"]["reason"]["enum"] == [*RefundReason]


def test_every_schema_is_used() -> None:
    """Nothing is described that nothing leads to, and no reference leads nowhere."""
    text = DESCRIPTION.read_text(encoding="utf-8")
    for room, entries in DOCUMENT["components"].items():
        for name in entries:
            assert room == "securitySchemes" or f'"#/components/{room}/{name}"' in text

    def references(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in references(DOCUMENT):
        _, _, room, name = reference.split("/")
        assert name in DOCUMENT["components"][room]


async def test_it_is_served_without_a_key(sandbox: Sandbox) -> None:
    """As it lies in the package, byte for byte."""
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{sandbox.base_url}/openapi.json") as answer,
    ):
        assert await answer.read() == DESCRIPTION.read_bytes()


# -- the description and the answers --------------------------------------------------

CONFIGURATION = """
[[operations]]
include-path-regex = "^/v1|^/health|^/openapi"
[operations.checks]
# Some rules have no words in a schema, such as a time that is 2.5 hours ahead.
positive_data_acceptance.enabled = false
# How the gateway answers to another method is not known.
unsupported_method.enabled = false
"""


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="without schemathesis")
@pytest.mark.parametrize(
    "choice",
    [
        # A fault that was added would make other answers than the described ones.
        ("--exclude-operation-id", "addFault"),
        ("--include-operation-id", "addFault", "--phases", "coverage,fuzzing"),
    ],
    ids=["all-but-faults", "faults"],
)
def test_it_answers_as_it_is_described(choice: tuple[str, ...], tmp_path: Path) -> None:
    """Schemathesis asks what is allowed and what is not: no 5xx, nothing unforeseen."""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with ThreadedSandbox(seed=0) as sandbox:
        done = subprocess.run(  # noqa: S603 -- the same on every run
            [
                *(sys.executable, "-c"),
                "from schemathesis.cli import schemathesis; schemathesis()",
                *("run", f"{sandbox.base_url}/openapi.json", *choice),
                *("--header", f"Authorization: Bearer {sandbox.api_key}"),
                *("--max-examples", "10", "--request-timeout", "20"),
                *("--generation-deterministic", "--no-color", "--warnings", "off"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )

    assert done.returncode == 0, done.stdout
