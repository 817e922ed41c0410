"""The command line as a user meets it: real processes, their output and exit codes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import PATIENCE, PROGRAM, call, running_sandbox, started

from convergegate_async import (
    AuthenticationError,
    CheckoutSession,
    ConfigurationError,
    ConvergeGateError,
    DeclinedError,
    InvalidFieldError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
)
from convergegate_async.cli._errors import advice_on, exit_code_of
from convergegate_async.cli._show import spell_amount

COMMANDS = (
    *("demo", "doctor", "create", "get", "pay", "wait", "refund", "refund-status"),
    *("sandbox", "webhooks", "webhooks listen", "webhooks verify", "webhooks send"),
    "webhooks replay",
)
ORDER = (
    *("--amount", "4999", "--currency", "pln"),
    *("--customer-email", "john@example.com", "--customer-phone", "+48123456789"),
    *("--customer-firstname", "John", "--customer-lastname", "Doe"),
    *("--success-url", "https://shop.example/thanks"),
)


@pytest.fixture(scope="module")
def gateway() -> Iterator[dict[str, str]]:
    """The environment of a running `convergegate sandbox`."""
    with running_sandbox() as (process, environ):
        yield environ
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Stopped after" in stderr


@pytest.mark.parametrize(
    "command", [(), *[tuple(name.split()) for name in COMMANDS]], ids=str
)
def test_help_loads_little(command: tuple[str, ...]) -> None:
    """Help comes at once: what a command runs is imported when it runs."""
    program = (
        "import sys; before = set(sys.modules)  # coverage loads sqlite3 itself\n"
        "from convergegate_async.cli import main\n"
        f"sys.argv = ['convergegate', *{command!r}, '--help']\n"
        "try: main()\n"
        "finally: print({'aiohttp', 'asyncio', 'cattrs', 'rich', 'sqlite3'} "
        "& (set(sys.modules) - before), file=sys.stderr)"
    )

    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert done.stderr == "set()\n"


def test_the_demo_shows_the_promise() -> None:
    """`demo` walks a whole payment, and moves money once."""
    done = call("demo")

    assert done.returncode == 0, done.stderr
    for shown in (
        "2 requests, 1 key, 1 session",
        "session.completed, signed and verified, answered 200",
        "the gateway says completed",
        "the refund is succeeded",
        "1 payment, 1 refund",
        "10.00 PLN",
    ):
        assert shown in done.stdout
    for stale in ("expires", "attempts", "pay page"):
        assert stale not in done.stdout


def test_create_and_get_show_the_same_session(gateway: dict[str, str]) -> None:
    """`create --output id` feeds `get`."""
    created = call("create", *ORDER, "--output", "id", **gateway)
    found = call("get", created.stdout.strip(), "--output", "json", **gateway)

    assert (created.returncode, found.returncode) == (0, 0)
    assert json.loads(found.stdout)["id"] == created.stdout.strip()


def test_create_takes_every_field(gateway: dict[str, str]) -> None:
    """All fields of the API have an option, and the card shows what matters."""
    done = call(
        "create",
        *ORDER,
        *("--cancel-url", "https://shop.example/", "--customer-ip", "192.0.2.1"),
        *("--notification-url", "https://shop.example/hooks"),
        *("--customer-country", "PL", "--payment-method", "blik", "--locale", "pl"),
        *("--expires-at", "2038-01-19T03:14:08+00:00", "--metadata", "order=A=17"),
        *("--idempotency-key", "order-17"),
        **gateway,
    )

    assert done.returncode == 0, done.stderr
    for shown in ("open", "49.99 PLN", "2038-01-19 03:14 UTC", "order-17", "/pay/"):
        assert shown in done.stdout


def test_the_key_may_come_from_a_file(gateway: dict[str, str], tmp_path: Path) -> None:
    """A file's key wins over the environment's, and its newline does no harm."""
    file = tmp_path / "key"
    file.write_text(gateway["CONVERGEGATE_API_KEY"] + "\n")
    environ = gateway | {"CONVERGEGATE_API_KEY": "sk_test_wrong"}

    wrong = call("get", "nobody", **environ)
    right = call("get", "nobody", "--api-key-file", str(file), **environ)

    assert (wrong.returncode, right.returncode) == (3, 4)


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (("get", "nobody"), 4, "no such checkout session"),
        (("get", "a/b"), 2, "SESSION_ID must be"),
        (("get",), 2, "SESSION_ID"),
        (("get", "x", "--timeout", "-1"), 2, "timeout"),
        (("get", "x", "--base-url", "http://127.0.0.1:1"), 5, "convergegate doctor"),
        (("get", "x", "--base-url", "http://example.com"), 3, "https"),
        (("create", *ORDER, "--amount", "0"), 2, "amount"),
        (("create", *ORDER, "--amount", "49.99"), 2, "amount"),
        (("create", *ORDER, "--metadata", "order"), 2, "KEY=VALUE"),
        (("create", *ORDER, "--expires-at", "soon"), 2, "ISO 8601"),
        (("create", *ORDER, "--expires-at", "2038-01-19T03:14"), 2, "time zone"),
        (("create", *ORDER, "--expires-at", "1"), 2, "2.5 hours"),
        (("sandbox", "--fault", "fire"), 2, "is not a fault"),
        (("sandbox", "--allow-host", "*"), 2, "for '--allow-host': must be host names"),
        (
            ("sandbox", "--webhooks-to", "shop:80"),
            2,
            "for '--webhooks-to': must be host names, without scheme and port",
        ),
        (
            ("sandbox", "--db", "none/book.db"),
            3,
            "cannot keep its book in none/book.db: No such file or directory\n",
        ),
        (("sandbox", "--public-url", "pay.example"), 2, "the public URL must be"),
        (("create", *ORDER, "--metadata", "a=1", "--metadata", "a=2"), 2, "twice"),
        (("sandbox", "--fault", "lost:operation=creat"), 2, "operation must be one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_bad_input_is_reported(
    arguments: tuple[str, ...], code: int, advice: str, gateway: dict[str, str]
) -> None:
    """A mistake is one clear error on stderr and its exit code; stdout stays empty."""
    done = call(*arguments, **gateway)

    assert done.returncode == code, done.stderr
    assert advice in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("base_url", "asked"),
    [
        ("https://a.b", "variable CONVERGEGATE_API_KEY"),
        ("", "variables CONVERGEGATE_API_KEY and CONVERGEGATE_BASE_URL"),
    ],
)
def test_what_is_missing_is_named(base_url: str, asked: str) -> None:
    """Without key or address the variables to set are named."""
    done = call("get", "x", CONVERGEGATE_API_KEY="", CONVERGEGATE_BASE_URL=base_url)

    assert done.returncode == 3
    assert done.stderr == f"Error: set the environment {asked}\n"


def test_an_unreadable_key_file_is_reported(tmp_path: Path) -> None:
    """A key file of bytes that are no text is a configuration error."""
    file = tmp_path / "key"
    file.write_bytes(b"\xff\xfe")

    done = call("get", "x", "--api-key-file", str(file))

    assert done.returncode == 3
    assert "no API key that can be read" in done.stderr


def test_a_lost_answer_is_noted() -> None:
    """A repeat after a loss is noted on stderr, with its key."""
    with running_sandbox("--fault", "lost:times=1") as (process, environ):
        done = call("create", *ORDER, "--idempotency-key", "order-17", **environ)
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)

    assert done.returncode == 0
    assert "1 of 2 attempts" in done.stderr
    assert "fault: lost" in stderr
    assert "from memory, key order-17" in stderr


def test_a_payment_walks_through_the_commands(gateway: dict[str, str]) -> None:
    """Open, pay, wait and refund: each prints its card, each exits with 0."""
    session_id = call("create", *ORDER, "--output", "id", **gateway).stdout.strip()

    paid = call("pay", session_id, stdin=" 012\N{NO-BREAK SPACE}345\n", **gateway)
    waited = call("wait", session_id, "--timeout", "10", **gateway)
    part = call(
        *("refund", session_id, "--amount", "1000", "--idempotency-key", "refund-1"),
        *("--reason", "requested_by_customer", "--metadata", "a=b"),
        **gateway,
    )
    rest = call("refund", session_id, "--full", "--output", "json", **gateway)
    look = call("refund-status", json.loads(rest.stdout)["id"], **gateway)

    assert [done.returncode for done in (paid, waited, part, rest, look)] == [0] * 5
    assert "completed" in paid.stdout
    assert paid.stderr == ""
    assert "completed" in waited.stdout
    assert "1000 minor units" in part.stdout
    assert json.loads(rest.stdout)["amount"] == 3999
    assert "3999 minor units" in look.stdout


def test_a_code_that_was_taken_need_not_be_waited_for(gateway: dict[str, str]) -> None:
    """`pay --no-wait` ends with 0 before the customer has confirmed, and says so."""
    session_id = call("create", *ORDER, "--output", "id", **gateway).stdout.strip()

    taken = call("pay", session_id, "--no-wait", stdin="012345\n", **gateway)

    assert (taken.returncode, "pending" in taken.stdout) == (0, True)
    assert f"Not paid yet: run `convergegate wait {session_id}`" in taken.stderr


def test_an_open_payment_is_shown_as_last_seen(gateway: dict[str, str]) -> None:
    """`pay` that ran out of time exits with 5, and warns of a second payment."""
    session_id = call("create", *ORDER, "--output", "id", **gateway).stdout.strip()

    done = call("pay", session_id, "--timeout", "1.5", stdin="300000\n", **gateway)

    assert (done.returncode, "pending" in done.stdout) == (5, True)
    assert "Do not pay again" in done.stderr
    assert f"`convergegate wait {session_id}`" in done.stderr


def test_a_wait_that_is_refused_does_not_invite_to_pay_again() -> None:
    """Once the code was taken a refused look is no refused payment: exit code 5."""
    fault = "status:operation=retrieve,status=401"
    with running_sandbox("--fault", fault) as (process, environ):
        created = call("create", *ORDER, "--output", "id", **environ)
        done = call("pay", created.stdout.strip(), stdin="012345\n", **environ)
        process.terminate()
        process.communicate(timeout=10)

    assert (done.returncode, "pending" in done.stdout) == (5, True)
    assert "Do not pay again" in done.stderr
    assert "run this again" not in done.stderr


def test_bytes_that_are_no_text_are_no_code(gateway: dict[str, str]) -> None:
    """What stdin holds is refused, and shown in no traceback."""
    done = subprocess.run(  # noqa: S603 -- our own program
        [*PROGRAM, "pay", "nobody"],
        env={**os.environ, **gateway, "PYTHONIOENCODING": "utf-8"},
        input=b"\xff23456\n",
        capture_output=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 2
    assert b"six digits" in done.stderr
    assert b"23456" not in done.stderr


@pytest.mark.parametrize("code", ["", "\n", "12345\n", "1234567\n"])
def test_a_code_that_is_none_is_refused_in_the_words_of_who_typed_it(
    code: str, gateway: dict[str, str]
) -> None:
    """No Python, and no name of a field that nobody has typed."""
    done = call("pay", "nobody", stdin=code, **gateway)

    assert done.returncode == 2
    assert "the BLIK code must be six digits" in done.stderr
    assert "str" not in done.stderr
    assert "blik_code" not in done.stderr


@pytest.mark.parametrize(
    ("words", "shown"), [(("pay",), 0), (("pay", "--no-wait"), 1), (("wait",), 0)]
)
def test_looks_are_not_told_as_attempts(
    words: tuple[str, ...], shown: int, gateway: dict[str, str]
) -> None:
    """A card that says "attempts 5" of one payment would frighten."""
    session_id = call("create", *ORDER, "--output", "id", **gateway).stdout.strip()
    if words == ("wait",):
        call("pay", session_id, "--no-wait", stdin="012345\n", **gateway)

    done = call(*words, session_id, stdin="012345\n", **gateway)

    assert done.returncode == 0
    assert done.stdout.count("attempts") == shown


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "advice"),
    [
        (("pay", "{id}"), "12345\n", 2, "six digits"),
        (("pay", "{id}"), "200000\n", 4, "the payment was refused"),
        (("wait", "{id}", "--timeout", "0.3"), "", 5, "time ran out"),
        (("wait", "nobody"), "", 4, "no such checkout session"),
        (("refund-status", "nobody"), "", 4, "no such refund"),
        (("refund-status", "a/b"), "", 2, "REFUND_ID must be"),
        (("refund", "{id}"), "", 2, "either --amount or --full"),
        (("refund", "{id}", "--full", "--amount", "1"), "", 2, "either --amount or"),
        (("refund", "{id}", "--full"), "", 4, "not paid"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_payment_that_fails_is_reported(
    arguments: tuple[str, ...],
    stdin: str,
    code: int,
    advice: str,
    gateway: dict[str, str],
) -> None:
    """A refused, unpaid or hasty command says so, and never the code."""
    session_id = call("create", *ORDER, "--output", "id", **gateway).stdout.strip()

    words = [word.format(id=session_id) for word in arguments]
    done = call(*words, stdin=stdin, **gateway)

    assert done.returncode == code, done.stderr
    assert advice in done.stderr
    assert not stdin or stdin.strip() not in done.stderr
    assert "Traceback" not in done.stderr


def test_webhooks_go_from_command_to_command() -> None:
    """`send` is heard by `listen`, and what is signed can be verified."""
    key = {"CONVERGEGATE_API_KEY": "sk_test_x"}
    with started(
        *(*PROGRAM, "webhooks", "listen"),
        env={**os.environ, **key},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        if process.stdout is None:
            raise AssertionError
        url = process.stdout.readline().strip()
        sent = call("webhooks", "send", url, "--type", "refund.failed", **key)
        forged = call("webhooks", "send", url, CONVERGEGATE_API_KEY="sk_test_other")
        process.terminate()
        heard, _ = process.communicate(timeout=PATIENCE)

    assert (sent.returncode, sent.stdout.strip()) == (0, "200")
    assert (forged.returncode, forged.stdout.strip()) == (4, "400")
    assert "--> refund.failed" in heard
    assert "<-- 200" in heard
    assert "--> refused: the signature does not match" in heard


def test_a_delivery_can_be_verified_by_hand(tmp_path: Path) -> None:
    """`verify` prints the event of a good delivery, and refuses an old one."""
    body = tmp_path / "body"
    body.write_bytes(b'{"id":"evt_1","type":"checkout.session.completed"}')
    vector = "37107eb9a99ce26b4a4722e89e81b9d968cc6069916feddf0ecf88c286b95c8b"
    headers = ("--timestamp", "1700000000", "--signature", vector)
    secret = {"CONVERGEGATE_API_KEY": "sk_test_vector_0000000000000001"}

    good = call("webhooks", "verify", str(body), *headers, "--any-age", **secret)
    old = call("webhooks", "verify", str(body), *headers, **secret)

    assert (good.returncode, json.loads(good.stdout)["id"]) == (0, "evt_1")
    assert (old.returncode, "more than 302400 seconds from now" in old.stderr) == (
        4,
        True,
    )


ELSEWHERE = "shop.invalid is another machine"
IN_PLAIN = "leaves this machine by https only"
NO_URL = "must be a plain http or https URL"


@pytest.mark.parametrize(
    ("url", "key", "options", "advice"),
    [
        ("https://shop.invalid/hook", "sk_test_x", (), ELSEWHERE),
        ("http://shop.invalid/hook", "sk_test_x", (), ELSEWHERE),
        ("https://shop.invalid/hook", "sk_live_x", (), ELSEWHERE),
        ("http://shop.invalid/hook", "sk_live_x", (), IN_PLAIN),
        ("http://shop.invalid/hook", "sk_live_x", ("--yes",), IN_PLAIN),
        ("http://127.0.0.1@shop.invalid/hook", "sk_test_x", (), ELSEWHERE),
        ("http://127.0.0.1\\@shop.invalid/hook", "sk_test_x", ("--yes",), NO_URL),
        ("ws://127.0.0.1:1/hook", "sk_test_x", ("--yes",), NO_URL),
        ("127.0.0.1:1/hook", "sk_test_x", ("--yes",), NO_URL),
    ],
)
def test_a_signed_event_leaves_this_machine_only_on_purpose(
    url: str, key: str, options: tuple[str, ...], advice: str
) -> None:
    """Nothing is sent elsewhere without `--yes`, nor in plain what a live key signs."""
    done = call("webhooks", "send", url, *options, CONVERGEGATE_API_KEY=key)

    assert (done.returncode, done.stdout) == (2, "")
    assert advice in done.stderr


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://shop.invalid/hook", "sk_live_x"),
        ("http://shop.invalid/hook", "sk_test_x"),
        ("http://127.0.0.1:1/hook", "sk_live_x"),
        ("http://[::1]:1/hook", "sk_live_x"),
        ("http://LOCALHOST:1/hook", "sk_live_x"),
    ],
)
def test_a_signed_event_goes_where_it_is_sent_on_purpose(url: str, key: str) -> None:
    """Another machine is asked with `--yes`, this one in any case."""
    options = () if ":1/" in url else ("--yes",)

    done = call("webhooks", "send", url, *options, CONVERGEGATE_API_KEY=key)

    assert (done.returncode, done.stdout.strip()) == (5, "no answer")


def test_a_webhook_to_nowhere_is_reported() -> None:
    """`send` tells an address that does not answer by its exit code."""
    done = call(
        *("webhooks", "send", "http://127.0.0.1:1/"), CONVERGEGATE_API_KEY="sk_test_x"
    )

    assert (done.returncode, done.stdout.strip()) == (5, "no answer")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidFieldError("amount", "must be more"), 2),
        (ConfigurationError(), 3),
        (AuthenticationError(operation="create"), 3),
        (PermissionDeniedError(operation="create"), 3),
        (DeclinedError(operation="pay"), 4),
        (NotSentError(operation="create"), 5),
        (OutcomeUnknownError(operation="create"), 5),
        (ConvergeGateError(), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes_tell_what_to_do(error: ConvergeGateError, code: int) -> None:
    """Every error has the exit code that the README gives it."""
    assert exit_code_of(error) == code


@pytest.mark.parametrize(
    ("operation", "advice"),
    [
        ("create", "only with --idempotency-key order-17"),
        ("pay", "Do not pay again: the session is open"),
        ("refund", "Check before you repeat it: of the session, 5"),
    ],
)
def test_the_advice_on_an_unknown_outcome_fits_the_call(
    operation: str, advice: str
) -> None:
    """Only a `create` may be repeated under its key; money is looked after first."""
    error = OutcomeUnknownError(
        operation=operation,
        idempotency_key="order-17",
        session=CheckoutSession(id="s1", status="open", amount_refunded=5),
    )

    assert advice in str(advice_on(error))


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (4999, "pln", "49.99 PLN (4999 minor units)"),
        (5, "pln", "0.05 PLN (5 minor units)"),
        (4999, "jpy", "4\u202f999 JPY (4999 minor units)"),
        (1234567, "kwd", "1\u202f234.567 KWD (1234567 minor units)"),
        (100, None, "1.00 (100 minor units)"),
        (None, "pln", "unknown"),
    ],
)
def test_an_amount_is_spelled_both_ways(
    amount: int | None, currency: str | None, shown: str
) -> None:
    """People read units, programs minor units; ISO 4217 tells how many digits."""
    assert spell_amount(amount, currency) == shown


def test_a_session_of_nothing_but_an_id_has_a_card(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Missing fields leave gaps, not errors."""
    from convergegate_async.cli._show import show  # noqa: PLC0415 -- imports rich

    show(CheckoutSession(id="abc", amount_refunded=100), "table")

    assert "abc" in capsys.readouterr().out


def test_a_sandbox_lives_beside_a_shop_if_it_is_told_so() -> None:
    """It listens, is called, is seen and sends where the options say."""
    with running_sandbox(
        *("--host", "0.0.0.0", "--allow-host", "gateway"),  # noqa: S104 -- the subject
        *("--public-url", "https://pay.example", "--webhooks-to", "shop.invalid"),
    ) as (process, environ):
        done = call("create", *ORDER, "--output", "json", **environ)
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)

    session = json.loads(done.stdout)
    assert environ["CONVERGEGATE_BASE_URL"].startswith("http://127.0.0.1:")
    assert session["url"] == f"https://pay.example/pay/{session['id']}"
    assert "Other machines can reach it" in stderr


def test_a_host_that_nobody_knows_is_told_in_words() -> None:
    """What the resolver says, which has numbers of its own."""
    done = call("sandbox", "--host", "nobody.invalid")

    assert done.returncode == 3
    assert "cannot listen on port 0 of nobody.invalid: " in done.stderr
    assert "Unknown error" not in done.stderr


def test_a_narrow_help_breaks_no_word_of_a_fault(tmp_path: Path) -> None:
    """What one copies from it is whole."""
    done = call("sandbox", "--help", cwd=str(tmp_path), COLUMNS="60")

    words = done.stdout.split()
    assert "status:status=429,times=3" in words
    assert "webhook_late:seconds=9;" in words


def test_a_sandbox_that_is_started_anew_has_other_ids() -> None:
    """A shop that goes on running must not meet one again, unless `--seed` is given."""

    def an_id(*arguments: str) -> str:
        with running_sandbox(*arguments) as (_, environ):
            done = call("create", *ORDER, "--output", "json", **environ)
        return str(json.loads(done.stdout)["id"])

    assert an_id() != an_id()
    assert an_id("--seed", "7") == an_id("--seed", "7")
