"""What follows from what happened to a delivery: pure, and all of it.

200 is said of what is done, denied or acted upon, and ends the deliveries; 500 and 503
bring another one. What was acted upon is never released.
"""

from collections.abc import Mapping
from enum import Enum, auto

import attrs

from ._claims import Claim
from ._lambda_events import answer

_HOUR = 3_600.0


@attrs.frozen
class WebhookReply:
    """What to answer to a delivery.

    A route of your own, such as one of Quart, gives it::

        reply = await receiver.receive(body, headers, checkout)
        if reply.error is not None:
            raise reply.error
        return reply.text, reply.status

    Attributes:
        error: Why it is a 500: what the handler, the claims or the gateway raised. The
            routes of `contrib` raise it, for the framework to report. It may hold
            personal data.
    """

    status: int
    text: str
    error: Exception | None = attrs.field(default=None, repr=False)

    def to_lambda(self, event: Mapping[str, object]) -> dict[str, object]:
        """Return the answer as AWS Lambda takes it from a function.

        Args:
            event: What the function was invoked with; the answer has its shape.
        """
        return answer(self.status, self.text, event)


@attrs.frozen
class Patience:
    """Seconds that a delivery has, in proportion to what its handler may take.

    Attributes:
        handler: From when the claim is asked for to the handler's end.
    """

    handler: float = 10.0

    @property
    def lease(self) -> float:
        """How long nobody else gets the event: the handler's time, and half of it."""
        return self.handler * 1.5

    @property
    def claim(self) -> float:
        """How long the claim may take: it must leave the handler half of its time."""
        return self.handler / 2

    @property
    def complete(self) -> float:
        """How long each of three tries may take: all fit between handler and lease."""
        return self.handler / 10


class Act(Enum):
    """What to do about the claim."""

    NOTHING = auto()
    WORK = auto()
    COMPLETE = auto()
    RELEASE = auto()


class Work(Enum):
    """How the work on a claimed event ended."""

    CONFIRMED = auto()
    """It was stale, and the gateway says that it is true."""
    DENIED = auto()
    """It was stale, and the gateway knows nothing of it."""
    HANDLED = auto()
    FAILED = auto()


@attrs.frozen
class End:
    """How work ended, and for what error if it failed."""

    work: Work
    error: Exception | None = None


@attrs.frozen
class Decision:
    """What to do about the claim, and then to answer; nothing yet if there is work."""

    act: Act
    reply: WebhookReply | None = None


def after_claim(claim: Claim | None, elapsed: float, patience: Patience) -> Decision:
    """Decide what a claim leads to.

    Args:
        claim: What the store said; `None` if it did not say anything in time.
        elapsed: Seconds since it was asked.
        patience: How many there are.
    """
    if claim is Claim.DONE:
        return Decision(Act.NOTHING, WebhookReply(200, "already handled"))
    if claim is None or elapsed > patience.claim:
        # Whoever worked now could still be at it when the lease has run out.
        return Decision(
            Act.RELEASE, WebhookReply(503, "no claim in time: deliver again")
        )
    if claim is Claim.BUSY:
        return Decision(Act.NOTHING, WebhookReply(503, "being handled: deliver again"))
    return Decision(Act.WORK)


def after_work(end: End) -> Decision:
    """Decide what the end of confirming or handling leads to."""
    match end.work:
        case Work.CONFIRMED:
            return Decision(Act.WORK)
        case Work.HANDLED:
            return Decision(Act.COMPLETE, WebhookReply(200, "done"))
        case Work.DENIED:
            text = "not confirmed by the gateway: ignored"
            return Decision(Act.RELEASE, WebhookReply(200, text))
        case Work.FAILED:
            return Decision(Act.RELEASE, failed(end.error))


def failed(error: Exception | None) -> WebhookReply:
    """Return the answer to a delivery that *error* came in the way of."""
    return WebhookReply(500, "deliver again", error)


def keep_seconds(oldest: float, tolerance: float | None) -> float:
    """Return how long an event that is done is kept as such.

    A delivery that was signed *oldest* ahead of our clock is taken now, and until
    *oldest* has passed after that; the rest is for clocks that are set.
    """
    return 2 * oldest + (tolerance or 0) + _HOUR
