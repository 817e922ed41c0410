"""Delivers events as signed webhooks, again and again until somebody answers 2xx.

The provider promises four retries and then exponential pauses for up to three days;
how long the pauses are is assumed. All of it runs on the sandbox's
clock, but for the signature's time: a shop's clock is not moved along.
"""

import asyncio
import heapq
import itertools
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import aiohttp
import attrs

from convergegate_async.webhooks import WebhookReply, sign

from ._book import BookedEvent
from ._faults import WEBHOOK, Fault, FaultKind, FaultPlan
from ._hosts import Hosts

QUICK_RETRIES = 4
QUICK_PAUSE = 1.0  # seconds
SLOW_PAUSE = 60.0  # seconds; doubles
GIVES_UP_AFTER = 3 * 24 * 3600.0  # seconds
ANSWER_TIMEOUT = 10.0  # seconds
JOURNAL_SIZE = 10_000  # deliveries; older ones are counted and forgotten
_ELSEWHERE = (
    "not sent: the URL is on another machine (see --webhooks-to; in code webhooks_to=, "
    "in a test webhooks_into(app))"
)
_LEFT = "not sent: the app that took it has left, and may come back"


PostWebhook: TypeAlias = Callable[
    [str, bytes, Mapping[str, str]], Awaitable[WebhookReply]
]
"""Takes a webhook's URL, body and headers to a shop, and returns what it answered.

The answer's *text* is why it was not taken, as far as that is known.
"""


def retry_pause(attempt: int) -> float:
    """Return the seconds after the *attempt*-th try of a delivery."""
    if attempt <= QUICK_RETRIES:
        return QUICK_PAUSE
    return SLOW_PAUSE * 2.0 ** (attempt - QUICK_RETRIES - 1)


@attrs.define(kw_only=True)
class Delivery:
    """One event on its way to the shop.

    Attributes:
        attempt: How often it was tried.
        status: What the shop answered last; `None` if it did not.
        note: Why it was not tried, not answered or, if that is known, not taken.
        fault: What goes wrong with it on purpose.
        next_try: When it is tried next by the gateway's clock, in epoch seconds; `None`
            while it is tried, and once nothing more is to come.
    """

    event: BookedEvent
    born: float
    attempt: int = 0
    status: int | None = None
    note: str = ""
    fault: FaultKind | None = None
    next_try: float | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether the shop has acknowledged it."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 -- 2xx


class WebhookSender:
    """Carries events out.

    Args:
        api_key: The secret that deliveries are signed with.
        now: The sandbox's clock, in epoch seconds.
        stamp: The shop's clock, in epoch seconds.
        faults: What goes wrong.
        hosts: Where webhooks may be sent.

    Attributes:
        journal: The deliveries, newest last.
        count: How many there were, those that the journal has forgotten included.
        on_try: Called with every delivery that was tried, or that is not sent.
        post: Takes them to an app, wherever that is; sent by http if `None`.
    """

    def __init__(
        self,
        api_key: str,
        now: Callable[[], float],
        stamp: Callable[[], float],
        faults: FaultPlan,
        hosts: Hosts,
    ) -> None:
        self.journal: deque[Delivery] = deque(maxlen=JOURNAL_SIZE)
        self.count: int = 0
        self.on_try: Callable[[Delivery], None] | None = None
        self.post: PostWebhook | None = None
        self._had_app = False
        self._handed: set[str] = set()  # events that an app got: nobody else shall
        self._api_key = api_key
        self._now = now
        self._stamp = stamp
        self._faults = faults
        self._hosts = hosts
        self._due: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()

    def deliver_by(self, post: PostWebhook | None) -> None:
        """Let *post* take webhooks to an app.

        Once there was an app, what reaches nobody is tried again: it may come back.
        """
        self.post = post
        self._had_app = self._had_app or post is not None

    def take(self, event: BookedEvent) -> None:
        """Send *event* as soon as its faults allow."""
        fault = self._faults.draw(WEBHOOK, event.type)
        kind = None if fault is None else fault.kind
        delivery = self._enter(event, kind)
        if self._obstacle(event) and not self._had_app:
            self._give_up(delivery, _ELSEWHERE)
        elif fault is not None and fault.kind is FaultKind.WEBHOOK_LOST:
            self._give_up(delivery, "lost on purpose")
        else:
            self._schedule(delivery, self._now() + _delay(fault))
            if fault is not None and fault.kind is FaultKind.WEBHOOK_DUPLICATE:
                self._schedule(self._enter(event, kind), self._now())

    def resend(self, event_id: str) -> Delivery | None:
        """Deliver an event once more, as it is; `None` if the journal has none such."""
        for sent in self.journal:
            if sent.event.id == event_id:
                delivery = self._enter(sent.event)
                self._schedule(delivery, self._now())
                return delivery
        return None

    def next_due(self) -> float | None:
        """Return when the next delivery is due, in epoch seconds."""
        return self._due[0][0] if self._due else None

    def clear(self) -> None:
        """Forget everything but what is under way, which is to be cancelled."""
        self.journal.clear()
        self.count = 0
        self._due.clear()
        self._handed.clear()
        self._had_app = self.post is not None

    def take_due(self) -> list[Delivery]:
        """Return the deliveries to `deliver` now."""
        due = []
        while self._due and self._due[0][0] <= self._now():
            delivery = heapq.heappop(self._due)[2]
            delivery.next_try = None
            due.append(delivery)
        return due

    async def deliver(self, client: aiohttp.ClientSession, delivery: Delivery) -> None:
        """Try once, and see to the next try if it has to be."""
        obstacle = self._obstacle(delivery.event)
        if obstacle and not self._had_app:
            self._give_up(delivery, obstacle)
            return
        delivery.attempt += 1
        if obstacle:
            delivery.status, delivery.note = None, obstacle
        else:
            await self._try(client, delivery)
        pause = retry_pause(delivery.attempt)
        if delivery.is_done:
            self._tell(delivery)
        elif self._now() + pause - delivery.born <= GIVES_UP_AFTER:
            self._schedule(delivery, self._now() + pause)
            self._tell(delivery)
        else:
            self._give_up(delivery, "given up after three days")

    def _enter(self, event: BookedEvent, fault: FaultKind | None = None) -> Delivery:
        delivery = Delivery(event=event, born=self._now(), fault=fault)
        self.journal.append(delivery)
        self.count += 1
        return delivery

    def _give_up(self, delivery: Delivery, note: str) -> None:
        delivery.note = note
        self._tell(delivery)

    def _tell(self, delivery: Delivery) -> None:
        if self.on_try is not None:
            self.on_try(delivery)

    def _obstacle(self, event: BookedEvent) -> str:
        """Return why *event* reaches nobody now, if it does not."""
        if self.post is not None:
            return ""
        if event.id in self._handed:
            return _LEFT
        return "" if self._hosts.takes_webhooks(event.url) else _ELSEWHERE

    async def _try(self, client: aiohttp.ClientSession, delivery: Delivery) -> None:
        body = json.dumps(delivery.event.as_json()).encode()
        headers = sign(body, secret=self._api_key, timestamp=int(self._stamp()))
        if delivery.fault is FaultKind.WEBHOOK_FORGED and delivery.attempt == 1:
            headers["Sec-Signature"] = "0" * 64
        headers["Content-Type"] = "application/json"
        url = delivery.event.url
        try:
            if self.post is None:
                reply = WebhookReply(await _post(client, url, body, headers), "")
            else:
                self._handed.add(delivery.event.id)
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    reply = await self.post(url, body, headers)
            delivery.status, delivery.note = reply.status, ""
            if not delivery.is_done:
                delivery.note = reply.text
        except BaseException as error:  # pytest.fail() and sys.exit() of a handler, too
            if isinstance(error, KeyboardInterrupt) or _is_cancelled():
                raise
            delivery.status, delivery.note = None, type(error).__name__

    def _schedule(self, delivery: Delivery, when: float) -> None:
        delivery.next_try = when
        heapq.heappush(self._due, (when, next(self._order), delivery))


def _is_cancelled() -> bool:
    """Tell whether it is this task that was cancelled, and not what it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _post(
    client: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]
) -> int:
    async with client.post(
        url,
        data=body,
        headers=headers,
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT),
    ) as response:
        return response.status


def _delay(fault: Fault | None) -> float:
    if fault is None:
        return 0.0
    match fault.kind:
        case FaultKind.WEBHOOK_LATE:
            return fault.seconds
        case FaultKind.WEBHOOK_SWAPPED:
            return QUICK_PAUSE
        case (
            FaultKind.WEBHOOK_LOST
            | FaultKind.WEBHOOK_DUPLICATE
            | FaultKind.WEBHOOK_FORGED
        ):
            return 0.0
        case (
            FaultKind.STATUS
            | FaultKind.LATENCY
            | FaultKind.STALL
            | FaultKind.RESET
            | FaultKind.LOST
            | FaultKind.TRUNCATE
            | FaultKind.STALL_BODY
            | FaultKind.DRIP
            | FaultKind.GARBAGE
        ):
            raise AssertionError(fault.kind)  # drawn for requests only
