"""The gateway's endpoints, one constant each, and what a lost call to one leaves."""

from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote

from convergegate_async.models import Answer, CheckoutSession, Refund

from .echo import Echo

A_co = TypeVar("A_co", bound=Answer, covariant=True)


class Repeat(Enum):
    """When a call may be sent again after an attempt of unknown outcome."""

    FREELY = auto()  # to do it twice is to do it once
    UNDER_KEY = auto()  # at worst an orphan that nobody has the link to
    UNDER_HONOURED_KEY = auto()  # money would move twice
    NEVER = auto()  # a code is used once


class Look(Enum):
    """How the session is looked at after a call of unknown outcome."""

    NONE = auto()
    BARE = auto()  # once, if all that the answer told was its id
    ONCE = auto()  # it shows how things stand, and is handed to the caller
    UNTIL_FINAL = auto()  # a final session is the answer


class Endpoint(NamedTuple, Generic[A_co]):
    """What all calls of one kind have in common.

    Attributes:
        name: That of the factory's method.
        path: Below the base URL, with ``{id}`` where an id goes.
        answer: What a 2xx is read into.
        writes: It changes something at the gateway.
        repeat: When it may be sent again.
        look: What shows more, should the outcome be unknown.
        echo: What an answer may repeat; only the id that was asked for if `None`.
    """

    name: str
    method: str
    path: str
    answer: type[A_co]
    writes: bool
    repeat: Repeat
    look: Look = Look.NONE
    echo: Echo | None = None

    def path_of(self, identifier: str) -> str:
        """Return the path to one session or refund, its id percent-encoded."""
        return self.path.replace("{id}", quote(identifier, safe=""))


_SESSIONS = "/v1/checkout/sessions"
_REFUNDS = "/v1/refunds"

CREATE_ECHO = Echo(
    {
        "customer_email": "customer_email",
        "currency": "currency",
        "amount_subtotal": "amount",
        "success_url": "success_url",
        "cancel_url": "cancel_url",
        "notification_url": "notification_url",
        "metadata": "metadata",
    }
)
CREATE = Endpoint(
    name="create",
    method="POST",
    path=_SESSIONS,
    answer=CheckoutSession,
    writes=True,
    repeat=Repeat.UNDER_KEY,
    look=Look.BARE,
    echo=CREATE_ECHO,
)
RETRIEVE = Endpoint(
    name="retrieve",
    method="GET",
    path=f"{_SESSIONS}/{{id}}",
    answer=CheckoutSession,
    writes=False,
    repeat=Repeat.FREELY,
)
WAIT = RETRIEVE._replace(name="wait")
PAY = Endpoint(
    name="pay",
    method="POST",  # the provider's page says GET, its sample posts a form
    path=f"{_SESSIONS}/{{id}}/pay",
    answer=CheckoutSession,
    writes=True,
    repeat=Repeat.NEVER,
    look=Look.UNTIL_FINAL,
)
REFUND = Endpoint(
    name="refund",
    method="POST",
    path=_REFUNDS,
    answer=Refund,
    writes=True,
    repeat=Repeat.UNDER_HONOURED_KEY,
    look=Look.ONCE,
    echo=Echo(
        {
            "session_id": "session_id",
            "amount": "amount",
            "reason": "reason",
            "metadata": "metadata",
        }
    ),
)
RETRIEVE_REFUND = Endpoint(
    name="retrieve_refund",
    method="GET",
    path=f"{_REFUNDS}/{{id}}",
    answer=Refund,
    writes=False,
    repeat=Repeat.FREELY,
)

ENDPOINTS = (CREATE, RETRIEVE, WAIT, PAY, REFUND, RETRIEVE_REFUND)
"""All of them, by which tests find what was forgotten."""
