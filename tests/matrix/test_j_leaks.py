"""Group J: no secret and no personal data, on any channel."""

import asyncio
import copy
import json
import logging
import os
import pickle
import re
import subprocess
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from urllib.parse import parse_qs

import attrs
import click
import pytest
from canaries import (
    BLIK_CODE,
    CANARIES,
    ENCODED,
    KEY,
    PERSONAL,
    canary_order,
    channels,
    leaked,
)
from click.testing import CliRunner
from matrix import (
    OPERATIONS,
    SESSION,
    SESSION_ANSWER,
    SESSION_ID,
    Observed,
    call,
    captured_logs,
    observe,
    observe_stall,
)
from programs import PROGRAM
from raw import Exchange, Handler, RawServer, hangs_up, http, says

from convergegate_async import (
    CallError,
    CheckoutSession,
    CheckoutSessionFactory,
    ConfigurationError,
    InvalidFieldError,
    NotSentError,
    PoolLimits,
    RefundRequest,
    RetryPolicy,
    Timeouts,
)
from convergegate_async._core.messages import HttpRequest, build_request
from convergegate_async._core.operations import (
    create_checkout_session,
    pay_checkout_session,
)
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import Settings, read_settings
from convergegate_async.cli._program import program
from convergegate_async.sandbox import Fault, FaultKind, Sandbox

NOT_RUN = {
    "J5": "There is no journal, export or temporary file yet: bulk jobs are to come.",
    "J10": "What a core dump shows is the operating system's: nothing is promised.",
}

AWAY = "https://gateway.example"


# -- every error and every log line --------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, id=f"J1-sandbox-{kind}")
        for kind in FaultKind
        if not kind.concerns_webhooks
    ],
)
async def test_a_fault_of_the_sandbox_tells_nothing(
    kind: FaultKind, operation: str
) -> None:
    """Message, repr, chain, locals, pickle and all DEBUG logs hold no canary."""
    asyncio.get_running_loop().set_debug(True)
    policy = RetryPolicy(base_delay=0.001, max_attempts=2)
    text = ""
    fault = Fault(kind, status=400) if kind is FaultKind.STATUS else Fault(kind)
    with captured_logs() as log:
        async with (
            Sandbox(api_key=KEY, faults=[fault]) as sandbox,
            sandbox.factory(retry=policy) as checkout,
        ):
            try:
                text = repr(await call(checkout, operation, timeout=0.2))
            except CallError as error:
                text = channels(error)
        text += log.getvalue()

    assert f"{operation}, attempt 1: " in text
    assert leaked(text) == []


def quoting(status: str, *, everywhere: bool = False) -> Handler:
    """Refuse by *status*, with all that the request said in the answer's texts."""

    async def fault(exchange: Exchange) -> None:
        head, _, body = (await exchange.read_request()).partition(b"\r\n\r\n")
        form = parse_qs(body.decode())
        secrets = [KEY, ENCODED, *chain.from_iterable(form.values())]
        quoted = " ".join(secrets)
        error = {
            "type": "invalid_request_error",
            "message": f"cannot do {quoted}",
            "param": quoted,
        }
        if everywhere:
            error |= {"type": quoted, "decline_code": quoted, "charge_id": quoted}
            error["message"] = f"{body.decode()} {head.decode()}"
        extra = f"Request-Id: {quoted}\r\nLocation: /{quoted}\r\n".encode()
        await exchange.write(http(json.dumps({"error": error}).encode(), status, extra))

    return fault


ALL = " ".join(CANARIES).encode()
SWAPPED = {"id": "other", "session_id": "other", "customer_email": ALL.decode()}


RAW_FAULTS: dict[str, Handler] = {
    "J1-not-read": hangs_up,
    "J1-reset": says(resets=True),
    "J1-silence": says(stays=True),
    "J1-head-garbage": says(b"HTTP/1.1 \x00" + ALL + b"\r\n\r\n"),
    "J1-head-two-lengths": says(
        SESSION_ANSWER.replace(b"\r\n", b"\r\nContent-Length: 1\r\n")
    ),
    "J1-body-cut": says(SESSION_ANSWER[:-9]),
    "J1-body-html": says(http(b"<p>" + ALL)),
    "J1-body-broken-chunk": says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + ALL
    ),
    "J1-body-compressed": says(http(ALL, extra=b"Content-Encoding: gzip\r\n")),
    "J1-echo": says(http(json.dumps(SWAPPED).encode())),
    "J1-quoted-302": quoting("302 Found"),
    "J1-quoted-400": quoting("400 Bad Request"),
    "J1-quoted-401": quoting("401 Unauthorized"),
    "J1-quoted-402": quoting("402 Payment Required"),
    "J1-quoted-409": quoting("409 Conflict"),
    "J1-quoted-500": quoting("500 Internal Server Error"),
    "J1-quoted-everywhere": quoting("402 Payment Required", everywhere=True),
}
# A pay of unknown outcome is looked at until its deadline: for these faults only.
LOOKED_AT = {"J1-reset", "J1-echo", "J1-quoted-500"}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", RAW_FAULTS)
async def test_a_fault_on_the_wire_tells_nothing(fault: str, operation: str) -> None:
    """Finding 11: no canary on any channel; `observe` looks at all of them."""
    asyncio.get_running_loop().set_debug(True)

    attempts = 1 if operation == "pay" and fault not in LOOKED_AT else 2
    policy = RetryPolicy(max_attempts=attempts, base_delay=0.001)

    watch = observe_stall if fault == "J1-silence" else observe
    observed = await watch(RAW_FAULTS[fault], operation, retry=policy)

    assert observed.requests or fault == "J1-not-read"
    assert leaked(repr(observed.result)) == []


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["J1-refused-port"])
async def test_a_call_that_is_not_sent_tells_nothing(
    fault: str, operation: str
) -> None:
    """Nor does an error whose request never left."""
    del fault
    asyncio.get_running_loop().set_debug(True)
    async with RawServer(hangs_up) as server:
        nobody = server.base_url
    with captured_logs() as log:
        policy = RetryPolicy(max_attempts=1)
        async with CheckoutSessionFactory(KEY, nobody, retry=policy) as checkout:
            with pytest.raises(NotSentError) as caught:
                await call(checkout, operation)
        text = log.getvalue() + channels(caught.value)

    assert leaked(text) == []


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["J2-cancelled"])
async def test_a_cancellation_tells_nothing(fault: str, operation: str) -> None:
    """The traceback of a cancelled call holds none of aiohttp's frames."""
    del fault
    asyncio.get_running_loop().set_debug(True)
    with captured_logs() as log:
        async with (
            Sandbox(api_key=KEY, faults=[Fault(FaultKind.STALL)]) as sandbox,
            sandbox.factory() as checkout,
        ):
            task = asyncio.create_task(call(checkout, operation))
            while not sandbox.count(operation):  # noqa: ASYNC110 -- it has no event
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
        shown = traceback.TracebackException.from_exception(
            caught.value, capture_locals=True
        )
        text = "\n".join(shown.format())

    assert f"checkout.{operation}(" in text
    assert "aiohttp/client.py" not in text
    assert leaked(text + log.getvalue()) == []


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["J1-wrong-key"])
async def test_a_gateway_that_quotes_the_key_is_not_quoted(
    fault: str, operation: str
) -> None:
    """Values of the request in the gateway's message become their field's name."""
    del fault
    async with Sandbox(api_key=KEY) as sandbox:
        wrong = CheckoutSessionFactory(f"{KEY}x", sandbox.base_url)
        async with wrong as checkout:
            with pytest.raises(CallError) as caught:
                await call(checkout, operation)

    assert leaked(channels(caught.value)) == []


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["J3-every-step"])
async def test_the_loggers_are_heard_and_tell_nothing(
    fault: str, operation: str
) -> None:
    """Nor does asyncio, made to log each step it takes: done, refused or timed out."""
    del fault
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    policy = RetryPolicy(base_delay=0.001)
    text = ""
    with captured_logs() as log:
        faults = [Fault(FaultKind.STALL, times=1), Fault(FaultKind.STATUS, times=3)]
        async with Sandbox(api_key=KEY, faults=faults) as sandbox:
            async with sandbox.factory(
                retry=policy, timeouts=Timeouts(attempt=0.05)
            ) as checkout:
                for _ in range(3):
                    with suppress(CallError):
                        text += repr(await call(checkout, operation, timeout=0.3))
            logging.getLogger("aiohttp.client").debug("aiohttp is heard")
        text += log.getvalue()
    loop.set_debug(False)  # or closing the loop would be logged as well

    assert f"{operation}, attempt 1: " in text
    assert "Executing <" in text
    assert "aiohttp is heard" in text
    assert leaked(text) == []


# -- what is refused before the wire -------------------------------------------------


def _without_this_frame(error: BaseException) -> str:
    """Return the traceback with locals, below the frame of the test."""
    inner = error.__traceback__.tb_next if error.__traceback__ else None
    shown = traceback.TracebackException(type(error), error, inner, capture_locals=True)
    return "\n".join(shown.format())


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(f"{KEY}\n", id="J2-key-newline"),
        pytest.param(f"{KEY}:x", id="J2-key-colon"),
        pytest.param(f"{KEY}ż", id="J2-key-letter"),
        pytest.param(f" {KEY}", id="J2-key-space"),
    ],
)
@pytest.mark.parametrize("way", ["constructor", "environment"])
def test_a_refused_key_is_not_shown(key: str, way: str) -> None:
    """The error about a malformed key does not hold it, not even in its locals."""
    environ = {"CONVERGEGATE_API_KEY": key, "CONVERGEGATE_BASE_URL": AWAY}
    seen = ""
    try:
        if way == "constructor":
            CheckoutSessionFactory(key, AWAY)
        else:
            CheckoutSessionFactory.from_env(environ)
    except ConfigurationError as error:
        seen = _without_this_frame(error)

    assert "API key" in seen
    assert leaked(seen) == []


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(f"{BLIK_CODE} ", id="J2-code-space"),
        pytest.param(int(BLIK_CODE), id="J2-code-int"),
    ],
)
async def test_a_refused_code_is_not_shown(code: str) -> None:
    """Nor does the error about a malformed BLIK code, whose locals are ours alone."""
    seen = ""
    async with CheckoutSessionFactory(KEY, AWAY) as checkout:
        try:
            await checkout.pay(SESSION_ID, code)
        except InvalidFieldError as error:
            seen = _without_this_frame(error)

    assert "blik_code" in seen
    assert leaked(seen) == []


# -- repr, pickle, copy --------------------------------------------------------------


def a_factory() -> CheckoutSessionFactory:
    """Return a factory that holds the key."""
    return CheckoutSessionFactory(KEY, AWAY)


def some_settings() -> Settings:
    """Return what the factory keeps the key in."""
    return read_settings(Secret(KEY), AWAY)


def a_message() -> HttpRequest:
    """Return a request as it goes onto the wire."""
    order = create_checkout_session(canary_order(), key="k", own_key=True, now=0.0)
    return build_request(order, some_settings())


def an_answer() -> CheckoutSession:
    """Return an answer that repeats the customer."""
    email, first, last, phone, note = PERSONAL
    return CheckoutSession(
        id=SESSION_ID,
        customer_email=email,
        customer_firstname=first,
        customer_lastname=last,
        customer_phone=phone,
        metadata={"note": note},
        raw={"customer_email": email},
    )


VALUES: dict[str, Callable[[], object]] = {
    "J4-factory": a_factory,
    "J4-settings": some_settings,
    "J4-secret": lambda: Secret(KEY),
    "J4-order": canary_order,
    "J4-refund": lambda: RefundRequest(
        session_id=SESSION_ID, full=True, metadata={"note": PERSONAL[-1]}
    ),
    "J4-create": lambda: create_checkout_session(
        canary_order(), key="k", own_key=True, now=0.0
    ),
    "J4-pay": lambda: pay_checkout_session(SESSION_ID, Secret(BLIK_CODE)),
    "J4-message": a_message,
    "J4-answer": an_answer,
    "J4-retry": RetryPolicy,
    "J4-timeouts": Timeouts,
    "J4-pool": PoolLimits,
}


@pytest.mark.parametrize("value", VALUES)
def test_a_repr_is_masked(value: str) -> None:
    """What holds a secret or a customer does not show it, nor does a list of it."""
    shown = VALUES[value]()

    assert leaked(f"{shown} {shown!r} {[shown]} {(shown,)!s}") == []


@pytest.mark.parametrize("fault", ["J4-observed"])
async def test_an_answer_on_the_wire_is_masked(fault: str) -> None:
    """An answer that was parsed shows no more than one that was built."""
    del fault
    email = PERSONAL[0].encode()
    body = SESSION[:-1] + b', "customer_email": "%b"}' % email

    observed = await observe(says(http(body)), "create")

    assert isinstance(observed.result, CheckoutSession)
    assert observed.result.customer_email == PERSONAL[0]
    assert leaked(repr(observed.result)) == []


TRAVELS: dict[str, Callable[[object], object]] = {
    "J6-pickle": pickle.dumps,
    "J6-copy": copy.copy,
    "J6-deepcopy": copy.deepcopy,
}
HOLDERS: dict[str, Callable[[], object]] = {
    "factory": a_factory,
    "settings": some_settings,
    "secret": lambda: Secret(KEY),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("way", TRAVELS)
def test_what_holds_the_key_does_not_travel(way: str, holder: str) -> None:
    """It is refused, or what arrives shows nothing; a pickle holds no byte of it."""
    try:
        arrived = TRAVELS[way](HOLDERS[holder]())
    except TypeError as error:
        assert leaked(repr(error)) == []  # noqa: PT017 -- a refusal is as good
        return
    text = arrived.decode("latin-1") if isinstance(arrived, bytes) else repr(arrived)

    assert way != "J6-pickle"
    assert leaked(text) == []


@pytest.mark.parametrize("way", ["J6-asdict"])
def test_settings_as_a_dict_are_masked(way: str) -> None:
    """`attrs.asdict` hands on the wrapped secrets, not what is in them."""
    del way

    assert leaked(repr(attrs.asdict(some_settings(), recurse=True))) == []
    assert not hasattr(a_factory(), "__attrs_attrs__")


# -- the command line ----------------------------------------------------------------


def commands(
    group: click.Group, names: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return every command with the words that it is called by."""
    found: list[tuple[tuple[str, ...], click.Command]] = [(names, group)]
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, (*names, name))
        else:
            found.append(((*names, name), command))
    return found


COMMANDS = [
    pytest.param(words, id="-".join(("J7", "convergegate", *words)))
    for words, _ in commands(program)
]
SECRET_OPTIONS = {"--key", "--api-key", "--secret", "--password", "--token"}
SECRET_OPTIONS |= {"--blik", "--code", "--blik-code"}


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_takes_a_secret_as_an_argument(words: tuple[str, ...]) -> None:
    """A shell's history and the list of processes show arguments: none is a secret."""
    command = dict(commands(program))[words]
    options = {spelling for param in command.params for spelling in param.opts}

    environ = {"CONVERGEGATE_API_KEY": KEY, "CONVERGEGATE_BASE_URL": AWAY}
    done = CliRunner(env=environ).invoke(program, [*words, "--help"])

    assert done.exit_code == 0
    assert options & SECRET_OPTIONS == set()
    assert leaked(done.output) == []


ORDER = (
    *("create", "--amount", "4999", "--currency", "pln"),
    *("--customer-email", PERSONAL[0], "--customer-firstname", PERSONAL[1]),
    *("--customer-lastname", PERSONAL[2], "--customer-phone", PERSONAL[3]),
    *("--success-url", "https://shop.example/thanks"),
)


@pytest.mark.parametrize(
    ("arguments", "typed", "key", "code"),
    [
        pytest.param(ORDER, "", KEY, 5, id="J7-create-not-sent"),
        pytest.param(("get", SESSION_ID), "", KEY, 5, id="J7-get-not-sent"),
        pytest.param(("pay", SESSION_ID), BLIK_CODE, KEY, 5, id="J7-pay-not-sent"),
        pytest.param(
            ("pay", SESSION_ID), f"{BLIK_CODE}7", KEY, 2, id="J7-pay-refused-code"
        ),
        pytest.param(("get", SESSION_ID), "", f"{KEY}:", 3, id="J7-get-refused-key"),
    ],
)
def test_an_error_of_a_command_tells_nothing(
    arguments: tuple[str, ...], typed: str, key: str, code: int
) -> None:
    """Neither stdout nor stderr echo the key, the code, or the customer."""
    environ = {
        "CONVERGEGATE_API_KEY": key,
        "CONVERGEGATE_BASE_URL": "http://127.0.0.1:9",
    }

    done = subprocess.run(  # noqa: S603 -- our own program
        [*PROGRAM, *arguments],
        check=False,
        capture_output=True,
        env={**os.environ, **environ},
        input=typed,
        text=True,
    )

    assert done.returncode == code
    assert "Error: " in done.stderr
    assert leaked(done.stdout + done.stderr) == []


@pytest.mark.parametrize("option", ["J7-api-key"])
def test_a_key_given_as_an_option_is_not_echoed(option: str) -> None:
    """Whoever tries it is told that there is no such option, without the value."""
    del option

    done = CliRunner().invoke(program, ["get", SESSION_ID, f"--api-key={KEY}"])

    assert done.exit_code == 2
    assert leaked(done.output) == []


# -- redirects -----------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "status",
    [
        pytest.param("302 Found", id="J8-302"),
        pytest.param("303 See Other", id="J8-303"),
        pytest.param("307 Temporary Redirect", id="J8-307"),
        pytest.param("308 Permanent Redirect", id="J8-308"),
    ],
)
async def test_the_target_of_a_redirect_logs_nothing(
    status: str, operation: str
) -> None:
    """Finding 10: another server is not even connected to."""
    async with RawServer(says(SESSION_ANSWER)) as target:
        location = b"Location: %b/v1\r\n" % target.base_url.encode()
        observed: Observed = await observe(says(http(b"", status, location)), operation)

    assert isinstance(observed.result, CallError)
    assert (target.connections, target.requests) == (0, [])


# -- spans and metrics ---------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(says(SESSION_ANSWER), id="J9-done"),
        pytest.param(quoting("400 Bad Request", everywhere=True), id="J9-quoted"),
        pytest.param(hangs_up, id="J9-lost"),
    ],
)
async def test_spans_and_metrics_tell_nothing(fault: Handler, operation: str) -> None:
    """They hold no canary and no id: neither of a session nor of a request."""
    pytest.importorskip("opentelemetry.sdk")
    from telemetry import Telemetry  # noqa: PLC0415 -- it needs that

    telemetry = Telemetry()
    async with (
        RawServer(fault) as server,
        CheckoutSessionFactory(
            KEY,
            server.base_url,
            retry=RetryPolicy(base_delay=0.001),
            observers=[telemetry.observer],
        ) as checkout,
    ):
        with suppress(CallError):
            await call(checkout, operation, timeout=2)

    sent = b"".join(server.requests)
    ids = [SESSION_ID, *re.findall(r"(?i)idempotency-key: (\S+)", sent.decode())]
    text = telemetry.text()
    assert "http.client.request.duration" in text
    assert f'"convergegate.operation": "{operation}"' in text
    assert leaked(text) == []
    assert [one for one in ids if one in text] == []
