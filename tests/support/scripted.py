"""A transport with a script and a memory, in a runtime without time and chance."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Unpack

from convergegate_async import CheckoutSessionFactory
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import Marks
from convergegate_async.errors import FailureKind
from convergegate_async.factory import FactoryOptions, Runtime

SESSION = {"id": "AW-kLcRRC5P8U68CYe0kVA", "status": "open"}

DONE = HttpResponse(status=200, body=json.dumps(SESSION).encode())
REFUSED = Failure(kind=FailureKind.CONNECT, sent=False)
LOST = Failure(kind=FailureKind.DISCONNECTED, sent=True)


def answered(status: int, **headers: str) -> HttpResponse:
    """Return an answer that refuses, with headers spelled like ``retry_after``."""
    return HttpResponse(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=b'{"error": {"type": "api_error", "message": "no"}}',
    )


def shows(status: str | None, session_id: str = SESSION["id"]) -> HttpResponse:
    """Return an answer with a session that stands at *status*."""
    document = {"id": session_id, "status": status}
    return HttpResponse(status=200, body=json.dumps(document).encode())


class ScriptedTransport:
    """Answers from a list, and remembers what it was asked."""

    def __init__(self, *script: HttpResponse | Failure) -> None:
        self.script = list(script)
        self.sent: list[HttpRequest] = []
        self.patience: list[float] = []
        self.distrusted: list[bool] = []
        self.closed = False

    async def open(self) -> None:
        """Do nothing."""

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer the next line of the script."""
        del marks
        self.sent.append(request)
        self.patience.append(patience)
        return self.script.pop(0)

    def distrust(self, response: HttpResponse, *, everything: bool) -> None:
        """Remember."""
        del response
        self.distrusted.append(everything)

    def load(self) -> tuple[int, int, int]:
        """Be idle."""
        return 0, 0, 0

    async def aclose(self) -> None:
        """Remember."""
        self.closed = True


class LastingTransport(ScriptedTransport):
    """Answers the last line of its script for ever."""

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer the next line, and keep the last one."""
        line = await super().send(request, patience, marks)
        if not self.script:
            self.script.append(line)
        return line


class StillRuntime:
    """A clock that only sleeping moves; every die shows one half."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float, _: asyncio.Event) -> None:
        """Move the clock instead of waiting."""
        self.slept.append(seconds)
        self.time += seconds

    def runtime(
        self, sleep: Callable[[float, asyncio.Event], Awaitable[None]] | None = None
    ) -> Runtime:
        """Return what the factory takes."""
        return Runtime(
            clock=lambda: self.time,
            now=lambda: 1_700_000_000.0 + self.time,
            sleep=sleep or self.sleep,
            spread=lambda: 0.5,
            dice=lambda: bytes(16),
        )


def scripted_factory(
    script: ScriptedTransport,
    still: StillRuntime | None = None,
    **options: Unpack[FactoryOptions],
) -> CheckoutSessionFactory:
    """Return an unopened factory that sends over *script*."""
    options.setdefault("runtime", (still or StillRuntime()).runtime())
    options["transport"] = script
    return CheckoutSessionFactory("sk_test_x", "https://gateway.example", **options)
