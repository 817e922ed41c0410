"""A transport without a wire: what is left is all our own work."""

from convergegate_async._core.messages import HttpRequest, HttpResponse
from convergegate_async._transport import Marks
from harness.stub import BODY


class InstantTransport:
    """Answers every request at once, as the stub does."""

    def __init__(self) -> None:
        self._answer = HttpResponse(status=200, body=BODY)

    async def open(self) -> None:
        """Do nothing."""

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks | None = None
    ) -> HttpResponse:
        """Answer."""
        del request, patience, marks
        return self._answer

    def load(self) -> tuple[int, int, int]:
        """Be idle."""
        return 0, 0, 0

    def distrust(self, response: HttpResponse, *, everything: bool) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""
