"""What makes the gateway cause each error class, for each call: one table."""

import json
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, quote, quote_plus

from canaries import CANARIES, ENCODED, KEY, PERSONAL
from matrix import SESSION_ID
from raw import Exchange, Handler, hangs_up, http, says

from convergegate_async import errors
from convergegate_async._core.endpoints import ENDPOINTS

CALLS = [endpoint.name for endpoint in ENDPOINTS]


def quoting(status: str, answer: Mapping[str, object] | None = None) -> Handler:
    """Answer with all that the request said, in every spelling, wherever texts go."""

    async def fault(exchange: Exchange) -> None:
        while True:
            request = await exchange.read_request()
            form = parse_qsl(request.partition(b"\r\n\r\n")[2].decode())
            said = [*(value for _, value in form if len(value) > 5), KEY, ENCODED]
            names = ["message", "type", "param", "charge_id"]
            names += ["decline_code"] if status.startswith("402") else []
            quoted = {
                name: " ".join(map(spell, said))
                for name, spell in zip(names, SPELLINGS, strict=False)
            }
            body = json.dumps({"error": quoted} if answer is None else answer).encode()
            extra = (
                f"Request-Id: {' '.join(map(quote, said))}\r\nLocation: /{said[0]}\r\n"
            )
            await exchange.write(http(body, status, extra.encode()))

    return fault


def _percent(value: str) -> str:
    return "".join(f"%{byte:02x}" for byte in value.encode())


def _escaped(value: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in value)


def _twice(value: str) -> str:
    return quote(quote(value, safe=""))


SPELLINGS: tuple[Callable[[str], str], ...] = (
    _percent,
    quote,
    _escaped,
    _twice,
    quote_plus,
)

CUSTOMER = dict(
    zip(
        ("email", "firstname", "lastname", "phone", "note"),
        PERSONAL,
        strict=True,
    )
)
OPEN = {
    "id": SESSION_ID,
    "status": "open",
    "metadata": {"note": CUSTOMER.pop("note")},
    **{f"customer_{name}": value for name, value in CUSTOMER.items()},
}
STRAY = {"id": "another", "session_id": "another", "customer_email": " ".join(CANARIES)}

REFUSALS = {
    errors.ApiError: "307 Temporary Redirect",
    errors.InvalidRequestError: "422 Unprocessable Content",
    errors.AuthenticationError: "401 Unauthorized",
    errors.DeclinedError: "402 Payment Required",
    errors.PermissionDeniedError: "403 Forbidden",
    errors.NotFoundError: "404 Not Found",
    errors.ConflictError: "409 Conflict",
    errors.RateLimitedError: "429 Too Many Requests",
    errors.ServerError: "501 Not Implemented",
}
GATEWAYS: dict[str, tuple[type[errors.CallError], Handler]] = {
    **{kind.__name__: (kind, quoting(line)) for kind, line in REFUSALS.items()},
    "NotSentError": (errors.NotSentError, hangs_up),
    "OutcomeUnknownError-lost": (errors.OutcomeUnknownError, says(resets=True)),
    "OutcomeUnknownError-5xx": (
        errors.OutcomeUnknownError,
        quoting("500 Internal Server Error"),
    ),
    "OutcomeUnknownError-unreadable": (
        errors.OutcomeUnknownError,
        quoting("200 OK", {"error": PERSONAL}),
    ),
    "OutcomeUnknownError-echo": (errors.OutcomeUnknownError, quoting("200 OK", STRAY)),
    "WaitTimeoutError": (errors.WaitTimeoutError, quoting("200 OK", OPEN)),
}
"""What a gateway does, and the class that it is told by."""

INSTEAD: dict[tuple[str, str], type[errors.CallError] | None] = {
    # A wait looks past what passes, and has then run out of time.
    ("wait", "NotSentError"): errors.WaitTimeoutError,
    ("wait", "ConflictError"): errors.WaitTimeoutError,
    ("wait", "RateLimitedError"): errors.WaitTimeoutError,
    # What only reads is refused where what writes is in doubt.
    ("retrieve", "OutcomeUnknownError-5xx"): errors.ServerError,
    ("retrieve_refund", "OutcomeUnknownError-5xx"): errors.ServerError,
    # Only a wait waits; to the others it is an answer.
    **dict.fromkeys(
        ((name, "WaitTimeoutError") for name in CALLS if name != "wait"), None
    ),
    ("pay", "WaitTimeoutError"): None,
}
"""Where a call ends otherwise; `None` where it does not fail."""
