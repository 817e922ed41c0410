"""A gateway whose weather a test makes: what it answers, by request and by time."""

import asyncio
import json
from collections.abc import Callable

from scripted import ScriptedTransport, StillRuntime, answered

from convergegate_async import FailureKind
from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import Marks

Weather = Callable[[int, float], HttpResponse | Failure | None]
"""What befalls a request, by its number, from 1, and the seconds since the first."""

UNKNOWN_HOST = Failure(kind=FailureKind.UNKNOWN_HOST, sent=False)
UNTRUSTED = Failure(kind=FailureKind.CERTIFICATE, sent=False)
UNREACHABLE = Failure(kind=FailureKind.CONNECT, sent=False)


def busy(retry_after: float | None = None, status: int = 429) -> HttpResponse:
    """Return an answer that asks to come back later."""
    if retry_after is None:
        return answered(status)
    return answered(status, retry_after=str(retry_after))


class WeatheredGateway(ScriptedTransport):
    """Opens a session for each key, unless the weather is against it.

    Attributes:
        keys: Those that it was called with, in order, and when.
        sessions: Those that it opened, by key.
    """

    def __init__(self, weather: Weather, still: StillRuntime) -> None:
        super().__init__()
        self._weather = weather
        self._still = still
        self._began = still.time
        self.keys: list[tuple[str, float]] = []
        self.sessions: dict[str, str] = {}

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Answer as the weather allows it."""
        del patience, marks
        await asyncio.sleep(0)
        moment = self._still.time - self._began
        key = request.headers["Idempotency-Key"]
        self.keys.append((key, moment))
        bad = self._weather(len(self.keys), moment)
        if bad is not None:
            return bad
        session_id = self.sessions.setdefault(key, f"cs_{len(self.sessions)}")
        body = json.dumps({"id": session_id, "status": "open"}).encode()
        return HttpResponse(status=200, body=body)
