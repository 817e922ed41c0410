"""Group B: what is asked for, refused before the wire or spelled safely on it."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
from canaries import BLIK_CODE, channels, leaked
from matrix import SESSION_ID, call
from orders import ORDER_FIELDS
from scripted import (
    DONE,
    REFUSED,
    ScriptedTransport,
    StillRuntime,
    answered,
    scripted_factory,
)

from convergegate_async import (
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    InvalidFieldError,
    InvalidRequestError,
    RefundRequest,
)
from convergegate_async._core.messages import HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async.sandbox import Sandbox

NOT_RUN = {
    "B26": "DESIGN asks for no look at metadata for card numbers.",
}


class Index:
    """What numpy's integers are: not an `int`, but usable as one."""

    def __index__(self) -> int:
        """Return 1."""
        return 1


def order_with(**fields: object) -> CheckoutSessionRequest:
    """Return a request in which *fields* are as given."""
    return CheckoutSessionRequest(**{**ORDER_FIELDS, **fields})


async def form_of(request: CheckoutSessionRequest | RefundRequest) -> bytes:
    """Return the body that *request* is sent in."""
    transport = ScriptedTransport(DONE)
    async with scripted_factory(transport) as checkout:
        if isinstance(request, RefundRequest):
            await checkout.refund(request)
        else:
            await checkout.create(request)
    body = transport.sent[0].body
    assert body is not None
    return body


# -- requests that are refused when they are built ------------------------------------

LIMIT = "at most 9,007,199,254,740,992 minor units"
POSITIVE = "above zero"
NO_INT = "must be an int"

FIELDS: dict[str, tuple[str, object, str]] = {
    "B1-zero": ("amount", 0, POSITIVE),
    "B1-negative": ("amount", -1, POSITIVE),
    "B1-beyond-64-bits": ("amount", 2**63, LIMIT),
    "B1-beyond-sense": ("amount", 10**18, LIMIT),
    "B2-float": ("amount", 100.0, NO_INT),
    "B2-text": ("amount", "100", NO_INT),
    "B2-decimal": ("amount", Decimal("1.005"), NO_INT),
    "B2-true": ("amount", True, NO_INT),
    "B2-like-numpy": ("amount", Index(), NO_INT),
    "B3-space": ("currency", "PLN ", "ISO 4217"),
    "B3-two-letters": ("currency", "PL", "ISO 4217"),
    "B3-two-letters-one-polish": ("currency", "ZŁ", "ISO 4217"),
    "B3-polish": ("currency", "ZŁO", "ISO 4217"),
    "B5-metadata": ("metadata", {"gift": True}, "str to str"),
    "B6-nested": ("metadata", {"order": {"id": "7"}}, "str to str"),
    "B7-key-closes": ("metadata", {"a]": "b"}, r"no \[ or \]"),
    "B7-key-opens": ("metadata", {"a[": "b"}, r"no \[ or \]"),
    "B7-key-nul": ("metadata", {"a\0": "b"}, "control"),
    "B7-key-empty": ("metadata", {"": "b"}, "empty"),
    "B7-key-long": ("metadata", {"a" * 51: "b"}, "50 characters"),
    "B7-value-long": ("metadata", {"a": "b" * 501}, "500 characters"),
    "B7-many": ("metadata", {f"k{n}": "b" for n in range(51)}, "50 keys"),
    "B9-first-name": ("customer_firstname", "\ud800", "surrogates"),
    "B9-last-name": ("customer_lastname", "Doe\udfff", "surrogates"),
    "B9-metadata-key": ("metadata", {"\ud800": "b"}, "surrogates"),
    "B9-metadata-value": ("metadata", {"a": "\ud800"}, "surrogates"),
    "B9-url": ("success_url", "https://shop.example/\ud800", "surrogates"),
    "B10-name": ("customer_firstname", b"John", "must be a str"),
    "B10-metadata": ("metadata", {"a": b"b"}, "str to str"),
    "B10-payment-method": ("payment_method", b"blik", "tuple or list"),
    "B11-name": ("customer_firstname", ["John", "Jack"], "must be a str"),
    "B11-metadata": ("metadata", {"a": ["b", "c"]}, "str to str"),
    "B11-url": ("success_url", ["https://shop.example"], "must be a str"),
    "B12-long": ("customer_firstname", "a" * 1_000_000, "2,048 characters"),
    "B12-long-value": ("metadata", {"a": "b" * 1_000_000}, "500 characters"),
    "B12-many": ("metadata", dict.fromkeys(map(str, range(100_000)), ""), "50 keys"),
    "B13-line": ("customer_email", "john@example.com\r\nBcc: eve@x.example", "control"),
    "B13-space": ("customer_email", "john doe@example.com", "e-mail"),
    "B13-override-in-an-e-mail": ("customer_email", "j\u202e@example.com", "seen"),
    "B13-space-behind": ("customer_email", "john@example.com ", "e-mail"),
    "B14-script": ("success_url", "javascript:alert(1)", "absolute"),
    "B14-no-host": ("success_url", "http:", "absolute"),
    "B14-relative": ("success_url", "/thanks", "absolute"),
    "B14-no-scheme": ("success_url", "//shop.example/thanks", "absolute"),
    "B14-long": ("success_url", "https://shop.example/" + "a" * 3_000, "2,048"),
}


@pytest.mark.parametrize("fault", FIELDS)
def test_a_field_that_breaks_its_rule_is_refused(fault: str) -> None:
    """The refusal names the field and its rule, and is no encoding error."""
    field, value, reason = FIELDS[fault]

    with pytest.raises(InvalidFieldError, match=reason) as caught:
        order_with(**{field: value})

    assert caught.value.field == field


REFUNDS: dict[str, tuple[Mapping[str, object], str]] = {
    "B1-zero": ({"amount": 0}, POSITIVE),
    "B1-beyond-64-bits": ({"amount": 2**63}, LIMIT),
    "B2-true": ({"amount": True}, NO_INT),
    "B2-float": ({"amount": 100.0}, NO_INT),
    "B6-nested": ({"amount": 1, "metadata": {"a": {"b": "c"}}}, "str to str"),
    "B19-nothing-said": ({}, "full=True"),
    "B19-not-full": ({"full": False}, "full=True"),
    "B19-both": ({"amount": 1, "full": True}, "full=True"),
    "B21-unknown-word": ({"amount": 1, "reason": "changed_mind"}, "one of"),
    "B21-upper-case": ({"amount": 1, "reason": "FRAUDULENT"}, "one of"),
    "B21-space": ({"amount": 1, "reason": "fraudulent "}, "one of"),
}


@pytest.mark.parametrize("fault", REFUNDS)
def test_a_refund_that_breaks_a_rule_is_refused(fault: str) -> None:
    """Nothing moves money that was not said plainly."""
    fields, reason = REFUNDS[fault]

    with pytest.raises(InvalidFieldError, match=reason):
        RefundRequest(session_id=SESSION_ID, **fields)  # type: ignore[arg-type]  # wrong on purpose


# -- arguments that are refused when the call is made ---------------------------------

IDS: dict[str, object] = {
    "B15-up": "../../refunds",
    "B15-up-within": "a/../../x",
    "B15-up-encoded": "%2e%2e/refunds",
    "B15-dots": "..",
    "B16-query": "a?b=c",
    "B16-fragment": "a#b",
    "B16-slash": "a/b",
    "B16-space": "a b",
    "B16-line": "a\r\nb",
    "B16-newline-behind": "a\n",
    "B16-nul": "a\0",
    "B16-empty": "",
    "B16-long": "a" * 10_000,
    "B16-none": None,
    "B16-bytes": b"a",
    "B16-accent": "é",
}


@pytest.mark.parametrize("operation", ["retrieve", "pay", "refund", "retrieve_refund"])
@pytest.mark.parametrize("fault", IDS)
async def test_an_id_that_could_lead_elsewhere_is_refused(
    fault: str, operation: str
) -> None:
    """No id leaves its place in the path, whatever it is called with."""
    value: Any = IDS[fault]
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="_id must be"):
            await call_about(checkout, operation, value)

    assert transport.sent == []


async def call_about(
    checkout: CheckoutSessionFactory, operation: str, identifier: str
) -> None:
    """Make the call that *operation* names, about *identifier*."""
    match operation:
        case "retrieve":
            await checkout.retrieve(identifier)
        case "pay":
            await checkout.pay(identifier, BLIK_CODE)
        case "refund":
            await checkout.refund(RefundRequest(session_id=identifier, full=True))
        case "retrieve_refund":
            await checkout.retrieve_refund(identifier)
        case _:
            raise AssertionError(operation)


@pytest.mark.parametrize("operation", ["retrieve", "pay"])
@pytest.mark.parametrize("fault", ["B16-legal"])
async def test_a_legal_id_is_kept_in_its_place(fault: str, operation: str) -> None:
    """A hyphen, an underscore and an equals sign are legal; the last is encoded."""
    del fault
    answer = attrs.evolve(DONE, body=b'{"id": "a-b_c="}')
    transport = ScriptedTransport(answer)
    async with scripted_factory(transport) as checkout:
        await call_about(checkout, operation, "a-b_c=")

    path = transport.sent[0].url.removeprefix("https://gateway.example/v1")
    assert path.removesuffix("/pay") == "/checkout/sessions/a-b_c%3D"


CODES: dict[str, object] = {
    "B17-five": "90735",
    "B17-seven": "9073561",
    "B17-letter": "90735a",
    "B17-space": " 907356",
    "B17-newline": "907356\n",
    "B17-full-width": "９０７３５６",  # noqa: RUF001 -- the point of the row
    "B17-arabic": "٩٠٧٣٥٦",
    "B17-hyphen": "907-356",
    "B17-int": 90735,
    "B17-bytes": b"907356",
    "B17-none": None,
    "B17-empty": "",
}


@pytest.mark.parametrize("fault", CODES)
async def test_a_code_that_is_not_six_digits_is_refused(fault: str) -> None:
    """The refusal tells the rule and not the code."""
    code: Any = CODES[fault]
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="six digits") as caught:
            await checkout.pay(SESSION_ID, code)

    assert transport.sent == []
    assert not code or str(code) not in str(caught.value)


TRACES: dict[str, tuple[str, Sequence[HttpResponse | Failure]]] = {
    "B18-refused-code": (BLIK_CODE + "1", []),
    "B18-refused-by-gateway": (BLIK_CODE, [answered(402)]),
    "B18-not-sent": (BLIK_CODE, [REFUSED] * 3),
}


@pytest.mark.parametrize("fault", TRACES)
async def test_a_code_is_in_no_traceback(fault: str) -> None:
    """Given by position, the code still is no local variable of ours."""
    code, script = TRACES[fault]
    async with scripted_factory(ScriptedTransport(*script)) as checkout:
        error = await failure_of(checkout, code)

    assert leaked(channels(error)) == []


async def failure_of(checkout: CheckoutSessionFactory, code: str) -> Exception:
    """Return what paying with *code* raises, without this frame, which holds it."""
    try:
        await checkout.pay(SESSION_ID, code)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it must not tell
        ours = error.__traceback__
        return error.with_traceback(ours.tb_next if ours else None)
    raise AssertionError


KEYS: dict[str, object] = {
    "B22-line": "a\r\nX-Injected: 1",
    "B22-newline-behind": "a\n",
    "B22-nul": "a\0b",
    "B22-accent": "zamówienie",
    "B22-long": "a" * 256,
    "B22-empty": "",
    "B22-space": "a b",
    "B22-bytes": b"a",
}


@pytest.mark.parametrize("operation", ["create", "refund"])
@pytest.mark.parametrize("fault", KEYS)
async def test_a_key_that_could_break_its_header_is_refused(
    fault: str, operation: str
) -> None:
    """An idempotency key is refused before anything is sent."""
    key: Any = KEYS[fault]
    transport = ScriptedTransport()
    async with scripted_factory(transport) as checkout:
        with pytest.raises(InvalidFieldError, match="idempotency_key"):
            await call_under(checkout, operation, key)

    assert transport.sent == []


async def call_under(
    checkout: CheckoutSessionFactory, operation: str, key: str
) -> None:
    """Make the write that *operation* names, under *key*."""
    if operation == "create":
        await checkout.create(order_with(), idempotency_key=key)
    else:
        refund = RefundRequest(session_id=SESSION_ID, full=True)
        await checkout.refund(refund, idempotency_key=key)


# -- what is sent, byte for byte ------------------------------------------------------

OPTIONAL = (
    *("cancel_url", "notification_url", "customer_ip", "customer_country"),
    *("payment_method", "expires_at", "locale", "metadata"),
)
PLAIN = {name: str(value) for name, value in ORDER_FIELDS.items()}

SPELLED: dict[str, tuple[Mapping[str, object], Mapping[str, str]]] = {
    "B3-lower": ({"currency": "pln"}, {"currency": "pln"}),
    "B3-upper": ({"currency": "PLN"}, {"currency": "pln"}),
    "B3-euro": ({"currency": "EUR"}, {"currency": "eur"}),
    "B4-none": (dict.fromkeys(OPTIONAL), {}),
    "B4-empty": (dict.fromkeys(OPTIONAL, ""), {}),
    "B6-hash": ({"metadata": {"order": "7"}}, {"metadata[order]": "7"}),
    "B7-at-the-limits": (
        {"metadata": {f"{n:050}": "b" * 500 for n in range(50)}},
        {f"metadata[{n:050}]": "b" * 500 for n in range(50)},
    ),
    "B13-override": (
        {"customer_lastname": "Doe\u202e"},
        {"customer_lastname": "Doe\u202e"},
    ),
    **{
        f"B8-{name}": (
            {"customer_firstname": text, "metadata": {"a": text}},
            {"customer_firstname": text, "metadata[a]": text},
        )
        for name, text in {
            "injection": "100&currency=EUR",
            "percent": "%00",
            "plus": "a+b c",
            "equals": "a=b;c",
            "polish": "Żółć",
            "emoji": "👍🏽",
        }.items()
    },
}


@pytest.mark.parametrize("fault", SPELLED)
async def test_a_request_is_spelled_as_the_gateway_reads_it(fault: str) -> None:
    """A form's reader gets every text back, under its own name, and nothing else."""
    fields, expected = SPELLED[fault]

    body = await form_of(order_with(**fields))

    assert body.isascii()
    assert parse_qsl(body.decode(), strict_parsing=True, keep_blank_values=True) == [
        *{**PLAIN, **expected}.items()
    ]


@pytest.mark.parametrize("fault", ["B5-full"])
async def test_a_bool_is_never_sent(fault: str) -> None:
    """The gateway reads a missing amount as everything: *full* is for people."""
    del fault

    body = await form_of(RefundRequest(session_id=SESSION_ID, full=True))

    assert body == f"session_id={SESSION_ID}".encode()


@pytest.mark.parametrize("fault", ["B13-no-header"])
async def test_no_field_gets_into_a_header(fault: str) -> None:
    """What the customer typed is in the body alone."""
    del fault
    transport = ScriptedTransport(DONE)
    async with scripted_factory(transport) as checkout:
        await call(checkout, "create")

    assert leaked(repr((transport.sent[0].url, dict(transport.sent[0].headers)))) == []


@pytest.mark.parametrize("fault", ["B25-order-of-arguments"])
async def test_equal_requests_are_equal_bytes(fault: str) -> None:
    """However it is written down, a request has one body; only lists repeat a name."""
    del fault
    more = {"payment_method": ["blik", "card"], "metadata": {"b": "1", "a": "2"}}
    written = {**ORDER_FIELDS, **more}
    backwards = dict(reversed(written.items()))

    body = await form_of(CheckoutSessionRequest(**written))

    assert body == await form_of(CheckoutSessionRequest(**backwards))
    names = [name for name, _ in parse_qsl(body.decode())]
    assert {name for name in names if names.count(name) > 1} == {"payment_method"}


@pytest.mark.parametrize("fault", ["B27-frozen"])
def test_a_request_does_not_change(fault: str) -> None:
    """No field of a request can be set once it was checked."""
    del fault
    request = order_with()

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.amount = 1  # type: ignore[misc]  # wrong on purpose

    assert request == order_with()


@pytest.mark.parametrize("operation", ["create", "refund"])
@pytest.mark.parametrize("fault", ["B27-between-attempts"])
async def test_the_body_is_built_once(fault: str, operation: str) -> None:
    """What is done to the caller's data between attempts changes no attempt."""
    del fault
    theirs = {"order": "7"}
    still = StillRuntime()
    order = order_with(metadata=theirs)
    refund = RefundRequest(session_id=SESSION_ID, amount=1, metadata=theirs)

    async def meddle(seconds: float, waker: asyncio.Event) -> None:
        await still.sleep(seconds, waker)
        for metadata in (theirs, order.metadata, refund.metadata):
            assert isinstance(metadata, dict)
            metadata["order"] = "8"

    transport = ScriptedTransport(REFUSED, DONE)
    async with scripted_factory(transport, runtime=still.runtime(meddle)) as checkout:
        if operation == "create":
            await checkout.create(order)
        else:
            await checkout.refund(refund)

    first, second = transport.sent
    assert first == second
    assert b"metadata%5Border%5D=7" in (first.body or b"")


# -- what only the gateway can refuse -------------------------------------------------


@pytest.mark.parametrize("fault", ["B20-too-much", "B20-twice", "B20-unpaid"])
async def test_a_refund_that_the_gateway_refuses(fault: str, sandbox: Sandbox) -> None:
    """More than was paid, all of it twice, or an unpaid session: a plain no."""
    async with sandbox.factory() as checkout:
        session = await checkout.create(order_with())
        everything = RefundRequest(session_id=session.id, full=True)
        if fault != "B20-unpaid":
            await checkout.pay(session.id, BLIK_CODE)
            await checkout.wait(session.id)
        if fault == "B20-twice":
            await checkout.refund(everything)
        asked = everything
        if fault == "B20-too-much":
            asked = RefundRequest(session_id=session.id, amount=5000)
        before = sandbox.count("refund")
        with pytest.raises(InvalidRequestError) as caught:
            await checkout.refund(asked)

    assert caught.value.http_status == 400
    assert sandbox.count("refund") == before + 1


@pytest.mark.parametrize("fault", ["B20-at-once"])
async def test_two_refunds_at_once_are_the_gateway_s_to_judge(
    fault: str, sandbox: Sandbox
) -> None:
    """Nothing here makes one wait for the other: one gets a plain no."""
    del fault
    async with sandbox.factory() as checkout:
        session = await checkout.create(order_with())
        await checkout.pay(session.id, BLIK_CODE)
        await checkout.wait(session.id)
        everything = RefundRequest(session_id=session.id, full=True)
        got = await asyncio.gather(
            *(checkout.refund(everything) for _ in range(2)), return_exceptions=True
        )
        seen = await checkout.retrieve(session.id)

    assert sum(isinstance(one, InvalidRequestError) for one in got) == 1
    assert seen.amount_refunded == 4999


@pytest.mark.parametrize("fault", ["B23-other-body"])
async def test_a_key_used_for_another_purchase_is_refused(
    fault: str, sandbox: Sandbox
) -> None:
    """The gateway's 422 is final: one request, one plain error, no second session."""
    del fault
    async with sandbox.factory() as checkout:
        await checkout.create(order_with(), idempotency_key="order-7")
        with pytest.raises(InvalidRequestError) as caught:
            await checkout.create(order_with(amount=1), idempotency_key="order-7")

    assert caught.value.http_status == 422
    assert sandbox.count("create") == 2
    assert len(sandbox.book.sessions) == 1


@pytest.mark.parametrize("fault", ["B24-same-key-at-once"])
async def test_one_key_at_once_is_one_session(fault: str, sandbox: Sandbox) -> None:
    """Both calls go out under the key, and a gateway that honours it makes one."""
    del fault
    async with sandbox.factory() as checkout:
        first, second = await asyncio.gather(
            checkout.create(order_with(), idempotency_key="order-7"),
            checkout.create(order_with(), idempotency_key="order-7"),
        )

    assert first.id == second.id
    assert len(sandbox.book.sessions) == 1
