"""Group E: the gateway answers with a status that is not 2xx."""

import asyncio
import itertools
import json

import pytest
from matrix import (
    OPERATIONS,
    SESSION,
    SESSION_ANSWER,
    SESSION_ID,
    Observed,
    call,
    observe,
)
from raw import Exchange, Handler, RawServer, http
from scripted import ScriptedTransport, StillRuntime, scripted_factory

from convergegate_async import (
    ApiError,
    AuthenticationError,
    CallError,
    CheckoutSession,
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    ConflictError,
    DeclinedError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    PermissionDeniedError,
    PoolLimits,
    RateLimitedError,
    Refund,
    RefundRequest,
    RetryPolicy,
    ServerError,
)
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._transport import Marks
from convergegate_async.factory import Runtime

STATUSES = (
    *range(300, 309),
    *range(400, 407),
    *range(408, 412),
    *range(413, 419),
    *range(421, 427),
    *(428, 429, 431, 451, 499),
    *range(500, 509),
    *(510, 511),
    *range(520, 528),
    530,
)
NUMBERED = [
    pytest.param(status, id=f"E{number}-{status}")
    for number, status in enumerate(STATUSES, start=1)
]
MAX_ATTEMPTS = 3

# What DESIGN.md decides (*What one attempt proves*), one letter each for create,
# retrieve, pay and refund:
#   F  refused, and sent once
#   R  refused, and sent again
#   U  unknown, and sent once
#   K  unknown, and sent again under the same key
#   H  unknown, and sent again only if keys are known to be honoured
CELLS = {
    "UFUU": (300, 301, 302, 303, 304, 305, 306),
    "FFFF": (
        *(307, 308, 400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 416),
        *(417, 418, 421, 422, 426, 428, 431, 451, 501, 505, 506, 510, 511),
    ),
    "FRFF": (423, 424),
    "RRFR": (409, 425),  # a pay is sent again on 429 and on nothing else
    "RRRR": (429,),
    "KRUH": (
        *(408, 499, 500, 502, 503, 504, 507, 508),
        *(520, 521, 522, 523, 524, 525, 526, 527, 530),
    ),
}
REFUSALS: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    402: DeclinedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitedError,
}
REFUSALS_BY_CLASS = {3: ApiError, 4: InvalidRequestError, 5: ServerError}

HEADERS: dict[str, tuple[dict[str, str], float | None]] = {
    "no header": ({}, None),
    "seconds": ({"retry-after": "2"}, 2.0),
    "a date": (
        {
            "retry-after": "Tue, 14 Nov 2023 22:30:07 GMT",
            "date": "Tue, 14 Nov 2023 22:30:05 GMT",
        },
        2.0,
    ),
    # DESIGN names no such header, and so it decides nothing.
    "should-retry": ({"x-should-retry": "false", "stripe-should-retry": "true"}, None),
}


def cell(status: int, operation: str) -> str:
    """Return the letter of *status* for *operation*."""
    letters = next(row for row, statuses in CELLS.items() if status in statuses)
    return letters[OPERATIONS.index(operation)]


def expected_class(status: int, letter: str) -> type[CallError]:
    """Return the one class that the caller has to be raised."""
    if letter in "UKH":
        return OutcomeUnknownError
    return REFUSALS.get(status, REFUSALS_BY_CLASS[status // 100])


def expected_attempts(letter: str, *, keys_honoured: bool) -> int:
    """Return how often it has to be sent."""
    again = letter in "RK" or (letter == "H" and keys_honoured)
    return MAX_ATTEMPTS if again else 1


class Stubborn(ScriptedTransport):
    """Answers every attempt alike; whoever looks afterwards sees an open session."""

    def __init__(self, answer: HttpResponse, verb: str) -> None:
        super().__init__()
        self.answer = answer
        self.verb = verb

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse:
        """Answer the call itself, or the look."""
        del patience, marks
        self.sent.append(request)
        if request.method == self.verb:
            return self.answer
        look = {"id": SESSION_ID, "status": "open"}
        return HttpResponse(status=200, body=json.dumps(look).encode())

    def own(self) -> list[HttpRequest]:
        """Return the requests of the call itself."""
        return [request for request in self.sent if request.method == self.verb]


def verb_of(operation: str) -> str:
    """Return the method that *operation* is sent by."""
    return "GET" if operation == "retrieve" else "POST"


async def check_cell(
    status: int, operation: str, headers: str, *, keys_honoured: bool
) -> None:
    """Make one call that is always answered by *status*, and check what came of it."""
    case = f"{status} {operation}, {headers}, keys_honoured={keys_honoured}"
    sent_headers, hint = HEADERS[headers]
    body = b'{"error": {"type": "api_error", "message": "no"}}'
    answer = HttpResponse(status=status, headers=sent_headers, body=body)
    transport = Stubborn(answer, verb_of(operation))
    still = StillRuntime()
    policy = RetryPolicy(max_attempts=MAX_ATTEMPTS, keys_honoured=keys_honoured)
    letter = cell(status, operation)
    attempts = expected_attempts(letter, keys_honoured=keys_honoured)
    error: CallError | None = None
    async with scripted_factory(transport, still, retry=policy) as checkout:
        try:
            await call(checkout, operation, timeout=30)
        except CallError as raised:
            error = raised

    own = transport.own()
    looks = len(transport.sent) - len(own)
    assert type(error) is expected_class(status, letter), case
    assert (error.attempts, len(own)) == (attempts, attempts), case
    assert (error.http_status, error.retry_after) == (status, hint), case
    assert error.phase == ("status" if letter in "UKH" else None), case
    assert all(request is own[0] for request in own), f"{case}: not one message"
    is_looked_after = letter in "UH" and operation in ("pay", "refund")
    assert (looks > 0) is is_looked_after, f"{case}: {looks} looks"
    assert (error.session is not None) is is_looked_after, case
    pauses = still.slept[: attempts - 1]
    least = max(hint or 0.0, 1.0 if status == 409 else 0.0)
    for number, pause in enumerate(pauses):
        jitter = 0.2 * 2**number  # the default policy's, and growing
        assert least <= pause <= least + jitter, f"{case}: pauses {pauses}"


@pytest.mark.parametrize("status", NUMBERED)
def test_a_status_decides(status: int) -> None:
    """Each status, operation, header and trust in keys: one class, so many attempts."""

    async def run() -> None:
        cases = itertools.product(OPERATIONS, HEADERS, (False, True))
        for operation, headers, honoured in cases:
            await check_cell(status, operation, headers, keys_honoured=honoured)

    asyncio.run(run())


def test_the_table_is_whole() -> None:
    """Each of the 57 statuses has one row, and no other status has one."""
    rows = [status for statuses in CELLS.values() for status in statuses]

    assert len(STATUSES) == 57
    assert sorted(rows) == sorted(STATUSES)


@pytest.mark.parametrize("operation", ["create", "refund"])
def test_a_conflict_under_the_callers_key_is_unknown(
    operation: str, order: CheckoutSessionRequest
) -> None:
    """409: an earlier call under the caller's key may be the one that is at work."""
    transport = Stubborn(HttpResponse(status=409, body=b"{}"), "POST")
    key = "order-A-17"

    async def run() -> None:
        async with scripted_factory(transport) as checkout:
            if operation == "create":
                await checkout.create(order, idempotency_key=key)
            else:
                refund = RefundRequest(session_id=SESSION_ID, full=True)
                await checkout.refund(refund, idempotency_key=key)

    with pytest.raises(OutcomeUnknownError) as caught:
        asyncio.run(run())

    assert caught.value.idempotency_key == key
    assert caught.value.attempts == MAX_ATTEMPTS


# -- on the wire ---------------------------------------------------------------------


class AnyStatus:
    """Answers the call under test by *status*, and looks by a finished session."""

    def __init__(self, verb: str) -> None:
        self.verb = verb.encode()
        self.status = 200

    async def __call__(self, exchange: Exchange) -> None:
        """Answer until it has to hang up."""
        while True:
            request = await exchange.read_request()
            if not request.startswith(self.verb):
                await exchange.write(SESSION_ANSWER)
            elif self.status < 200:
                head = f"HTTP/1.1 {self.status} Word\r\nConnection: close\r\n\r\n"
                await exchange.write(head.encode())
                return  # an interim answer, and no other
            elif self.status in (204, 304):
                await exchange.write(http(b"", f"{self.status} Word"))
            else:
                await exchange.write(http(SESSION, f"{self.status} Word"))


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_status_on_the_wire(operation: str) -> None:
    """100 to 599: an answer or one of our errors, and each attempt is accounted for."""

    async def no_pause(seconds: float, waker: asyncio.Event) -> None:
        del seconds, waker

    script = AnyStatus(verb_of(operation))
    policy = RetryPolicy(max_attempts=2, budget=1_000)
    async with (
        RawServer(script) as server,
        CheckoutSessionFactory(
            "sk_test_x",
            server.base_url,
            retry=policy,
            pool=PoolLimits(limit=2),
            runtime=Runtime(sleep=no_pause),
        ) as checkout,
    ):
        for status in range(100, 600):
            script.status = status
            server.requests.clear()
            result: CheckoutSession | Refund | CallError
            try:
                result = await call(checkout, operation)
            except CallError as error:
                result = error
            seen = [one for one in server.requests if one.startswith(script.verb)]
            check_agreement(result, len(seen), f"{status} {operation}")


async def test_a_101_ends_its_connection() -> None:
    """Table 1.3: whoever switches protocols is not asked anything else over it."""

    async def switches(exchange: Exchange) -> None:
        while True:
            await exchange.read_request()
            await exchange.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")

    policy = RetryPolicy(max_attempts=1)
    async with (
        RawServer(switches) as server,
        CheckoutSessionFactory("sk_test_x", server.base_url, retry=policy) as checkout,
    ):
        for operation in OPERATIONS:
            with pytest.raises(OutcomeUnknownError):
                await call(checkout, operation)

    assert server.connections == len(server.requests) == len(OPERATIONS)


def check_agreement(
    result: CheckoutSession | Refund | CallError, seen: int, case: str
) -> None:
    """The class, the outcome and the count of attempts tell one story."""
    if isinstance(result, CallError):
        classes = {
            Outcome.NOT_SENT: isinstance(result, NotSentError),
            Outcome.UNKNOWN: isinstance(result, OutcomeUnknownError),
            Outcome.REJECTED: isinstance(result, ApiError),
        }
        assert [word for word, fits in classes.items() if fits] == [result.outcome], (
            case
        )
        assert result.outcome is not Outcome.NOT_SENT, case
        assert result.attempts == seen, f"{case}: {result!r}"
    else:
        # A pay of unknown outcome was looked after: the looks are not its own.
        assert result.call.attempts == seen, case
        assert result.call.unknown_attempts <= seen, case


# -- redirects -----------------------------------------------------------------------

REDIRECTS = [
    pytest.param(status, id=f"E{number}-{status}-location")
    for number, status in enumerate(STATUSES[:9], start=1)
]


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Finding 10: where a Location points to sees nothing, on any operation."""

    async def listens(exchange: Exchange) -> None:
        await exchange.read_request()
        await exchange.write(SESSION_ANSWER)

    async with RawServer(listens) as target:
        there = target.base_url.encode()
        for operation in OPERATIONS:
            path = b"/v1/checkout/sessions"
            for location in (there + path, there.removeprefix(b"http:") + path, path):
                observed = await observe(redirecting(status, location), operation)
                expect_redirect(observed, status, operation)

    assert (target.connections, target.requests) == (0, [])


def redirecting(status: int, location: bytes) -> Handler:
    """Return the handler that answers by *status*, with *location*."""

    async def fault(exchange: Exchange) -> None:
        await exchange.read_request()
        extra = b"Location: %b\r\n" % location
        await exchange.write(http(b"", f"{status} Word", extra))  # 304 has no body

    return fault


def expect_redirect(observed: Observed, status: int, operation: str) -> None:
    """One request, and the class that the table decides."""
    expected = expected_class(status, cell(status, operation))
    assert type(observed.result) is expected, f"{status} {operation}"
    assert len(observed.requests) == 1
