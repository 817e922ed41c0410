"""What goes wrong, and when: a seeded plan."""

import math
import random
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypedDict

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.models import EventType

from ._api import ROUTES

OPERATIONS = tuple(route.name for route in ROUTES)
"""What requests are told apart by."""

WEBHOOK = "webhook"
"""The *operation* that faults of webhooks are drawn for."""


class FaultKind(StrEnum):
    """What can go wrong in the sandbox.

    - ``status``: answers *status* instead, with ``Retry-After`` if *retry_after* is
      given; before the work, or after it with *work_done*.
    - ``latency``: answers *seconds* later.
    - ``stall``: takes the request, does nothing, and never answers.
    - ``reset``: breaks the connection before the work.
    - ``lost``: does the work, then breaks the connection instead of answering.
    - ``truncate``, ``stall_body``: breaks it, or stops, in the middle of the answer.
    - ``drip``: answers a byte every *seconds*.
    - ``garbage``: answers 200 with something that is not JSON.
    - ``webhook_lost``, ``webhook_late`` (by *seconds*), ``webhook_swapped`` (with the
      next one), ``webhook_duplicate``, ``webhook_forged`` (at its first try): what an
      event can meet on its way; the next one whatever it tells, or the next *event*.
    """

    STATUS = "status"
    """Answer *status* instead, with ``Retry-After`` if *retry_after* is given."""
    LATENCY = "latency"
    """Answer *seconds* later."""
    STALL = "stall"
    """Take the request, do nothing, never answer."""
    RESET = "reset"
    """Break the connection before the work."""
    LOST = "lost"
    """Do the work, then break the connection instead of answering."""
    TRUNCATE = "truncate"
    """Do the work, then break the connection in the middle of the answer."""
    STALL_BODY = "stall_body"
    """Do the work, then stop in the middle of the answer."""
    DRIP = "drip"
    """Do the work, then answer a byte every *seconds*."""
    GARBAGE = "garbage"
    """Do the work, then answer 200 with something that is not JSON."""
    WEBHOOK_LOST = "webhook_lost"
    """Never deliver an event."""
    WEBHOOK_LATE = "webhook_late"
    """Deliver an event *seconds* later."""
    WEBHOOK_SWAPPED = "webhook_swapped"
    """Deliver an event after the next one."""
    WEBHOOK_DUPLICATE = "webhook_duplicate"
    """Deliver an event twice."""
    WEBHOOK_FORGED = "webhook_forged"
    """Deliver an event with a wrong signature, at its first try."""

    @property
    def concerns_webhooks(self) -> bool:
        """Tell whether it happens to what the gateway sends, not to what it gets."""
        return self.startswith("webhook_")


_USUAL_STATUS = 503
_USUAL_ANSWER = (_USUAL_STATUS, None, False)
_USUAL_SECONDS = 0.05
_TIMED = frozenset({FaultKind.LATENCY, FaultKind.DRIP, FaultKind.WEBHOOK_LATE})


def _is_whole(number: object, least: int, most: float) -> bool:
    return type(number) is int and least <= number <= most


def _is_header(text: str | None) -> bool:
    return text is None or (text.isascii() and text.isprintable())


def _kind(value: FaultKind | str) -> FaultKind:
    try:
        return FaultKind(value)
    except ValueError:
        message = f"a fault's kind must be one of {', '.join(FaultKind)}, not {value!r}"
        raise ValueError(message) from None


@attrs.frozen
class Fault:
    """One thing that goes wrong, for some of the requests.

    Lose the answer of the first session::

        lost = Fault(FaultKind.LOST, operation="create", times=1)
        async with Sandbox(faults=[lost]) as sandbox, sandbox.factory() as checkout:
            session = await checkout.create(request)

    Attributes:
        kind: What goes wrong.
        status: The status to answer (of `STATUS`).
        retry_after: The ``Retry-After`` header to answer with (of `STATUS`).
        work_done: Do the work before answering the status (of `STATUS`).
        seconds: How long (of `LATENCY`, `DRIP` and `WEBHOOK_LATE`); real ones but for
            `WEBHOOK_LATE`, whatever the sandbox's clock does.
        operation: Only for this one, such as ``create``; for any if `None`.
        probability: How likely, above 0 and up to 1.
        times: How often at most, once or more; without end if `None`.
        event: Only for this one, such as ``session.completed``; for any if `None`. It
            is to webhooks what *operation* is to requests.

    Raises:
        ConfigurationError: A number is out of its range, there is no such operation or
            event, or its kind does not go by what was given: it would never happen, or
            not so.
        ValueError: There is no such kind.
    """

    kind: FaultKind = attrs.field(converter=_kind)
    status: int = _USUAL_STATUS
    retry_after: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(str)
    )
    work_done: bool = False
    seconds: float = _USUAL_SECONDS
    operation: str | None = None
    probability: float = 1.0
    times: int | None = None
    event: EventType | str | None = None

    def __attrs_post_init__(self) -> None:
        hooks = self.kind.concerns_webhooks
        answer = (self.status, self.retry_after, self.work_done)
        problems = {
            f"event is what {self.kind} goes by, not an operation": hooks
            and self.operation is not None,
            f"operation is what {self.kind} goes by, not an event": not hooks
            and self.event is not None,
            f"kind {self.kind} goes by no status, retry_after or work_done": (
                self.kind is not FaultKind.STATUS and answer != _USUAL_ANSWER
            ),
            f"kind {self.kind} goes by no seconds": self.kind not in _TIMED
            and self.seconds != _USUAL_SECONDS,
            "status must be from 200 to 599": not _is_whole(self.status, 200, 599),
            "seconds must be 0 or more": not 0 <= self.seconds < math.inf,
            "probability must be above 0, and at most 1": not 0 < self.probability <= 1,
            f"operation must be one of {', '.join(OPERATIONS)}": self.operation
            not in (None, *OPERATIONS),
            f"event must be one of {', '.join(EventType)}": self.event
            not in (None, *EventType),
            "times must be a whole number from 1": self.times is not None
            and not _is_whole(self.times, 1, math.inf),
            "retry_after must be of printable ASCII": not _is_header(self.retry_after),
        }
        for rule, broken in problems.items():
            if broken:
                message = f"a fault's {rule}"
                raise ConfigurationError(message)

    def lets_work(self) -> bool:
        """Tell whether the gateway does its work before things go wrong."""
        if self.kind is FaultKind.STATUS:
            return self.work_done
        return self.kind not in (FaultKind.STALL, FaultKind.RESET)


class FaultOptions(TypedDict, total=False):
    """What a `Fault` can be given beside its kind."""

    status: int
    retry_after: str | None
    work_done: bool
    seconds: float
    operation: str | None
    probability: float
    times: int | None
    event: EventType | str | None


class FaultPlan:
    """Decides which request meets which fault; repeatable by its seed.

    Change that of a sandbox while it runs::

        async with Sandbox() as sandbox:
            sandbox.faults.add(Fault(FaultKind.STATUS, status=429, times=3))
            sandbox.faults.clear()
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._seed = seed
        self._dice = random.Random(seed)  # noqa: S311 -- faults have to be repeatable
        self._left: list[tuple[Fault, int | None]] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Let *fault* happen from now on."""
        self._left.append((fault, fault.times))

    def clear(self) -> None:
        """Let nothing go wrong any more; the dice are thrown from the start again."""
        self._left.clear()
        self._dice.seed(self._seed)

    def remove(self, fault: Fault) -> bool:
        """Let a fault happen no more; tell whether one like it was planned.

        How often either can happen makes no difference.
        """
        for position, (planned, times) in enumerate(self._left):
            if times != 0 and attrs.evolve(planned, times=fault.times) == fault:
                del self._left[position]
                return True
        return False

    def left(self) -> list[Fault]:
        """Return every fault that can still happen, and how often."""
        return [
            attrs.evolve(fault, times=times)
            for fault, times in self._left
            if times != 0
        ]

    def describe(self) -> list[str]:
        """Return every fault that can still happen, as `read_fault` reads it."""
        return list(map(spell_fault, self.left()))

    def draw(
        self, operation: str, event: EventType | str | None = None
    ) -> Fault | None:
        """Return the first fault that the next request for *operation* meets.

        Args:
            operation: What is asked for; ``webhook`` if it is the gateway who asks.
            event: What that webhook tells.
        """
        for position, (fault, left) in enumerate(self._left):
            if left == 0 or fault.operation not in (None, operation):
                continue
            if fault.event not in (None, event):
                continue
            if fault.kind.concerns_webhooks is not (operation == WEBHOOK):
                continue
            if self._dice.random() >= fault.probability:
                continue
            self._left[position] = (fault, None if left is None else left - 1)
            return fault
        return None


def spell_fault(fault: Fault) -> str:
    """Spell *fault* as `read_fault` reads it; what is usual is left out."""
    usual = Fault(fault.kind)
    options = [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in attrs.asdict(fault).items()
        if value != getattr(usual, name)
    ]
    return f"{fault.kind}:{','.join(options)}" if options else str(fault.kind)


def read_fault(text: str) -> Fault:
    """Read a fault from ``kind[:name=value,…]``, such as ``status:status=429,times=1``.

    Raises:
        ConfigurationError: *text* does not describe a fault.
    """
    kind, _, rest = text.partition(":")
    options = dict(part.partition("=")[::2] for part in rest.split(",") if part)
    readers: dict[str, Callable[[str], Any]] = {
        "status": int,
        "retry_after": str,
        "work_done": {"true": True, "false": False}.__getitem__,
        "seconds": float,
        "operation": str,
        "probability": float,
        "times": int,
        "event": str,
    }
    try:
        values = {name: readers[name](value) for name, value in options.items()}
        return Fault(FaultKind(kind), **values)
    except (KeyError, ValueError):
        message = (
            f"{text!r} is not a fault: use KIND or KIND:NAME=VALUE,…; "
            f"kinds are {', '.join(FaultKind)}; names are {', '.join(readers)}"
        )
        raise ConfigurationError(message) from None
