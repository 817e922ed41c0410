"""Whether an answer is another call's.

A gateway, or a proxy on the way, that answers a request twice leaves the second answer
to whoever is next on that connection. The echo check sees it where a field differs: not
where the answer repeats none, and not where the same thing was bought twice. What a
connection has answered before, and what answers have looked like, tell more
(DESIGN.md, *Stray answers*).
"""

from collections.abc import Collection

from convergegate_async.models import Answer, CheckoutSession

from .echo import ECHO_FIELDS, compare
from .endpoints import Look
from .messages import Connection
from .operations import Operation
from .verdicts import Finding, Ground, Verdict

_BARE = Look.BARE  # Python 3.11 takes long to find a member by its name

TRUSTED_AFTER = 20
"""After so many bare answers in a row that proved right they are no longer doubted."""


class StrayCheck:
    """What a factory has learnt of answers.

    Args:
        echo_fields: What of an answer is compared; ids only if ``id`` is among them.
    """

    def __init__(self, echo_fields: Collection[str]) -> None:
        self._fields = echo_fields
        self._knows_ids = "id" in echo_fields
        self._compares_all = len(echo_fields) == len(ECHO_FIELDS)
        self._doubts_bare = False
        self._row = 0

    def judge(
        self,
        operation: Operation[Answer],
        answer: Answer,
        connection: Connection | None,
    ) -> Finding | None:
        """Return what shows that an *answer* is not to *operation*, if anything does.

        Args:
            operation: The call that it is taken for an answer to.
            answer: What it was read as.
            connection: What it came over; `None` if nobody knows.
        """
        names, repeats = self._compare(operation, answer)
        if names:
            why = f"the answer is not to this request: {', '.join(names)} differ"
            return _stray(answer, why, mistrusted=len(names))
        if connection is not None and not self._is_new(operation, answer, connection):
            why = f"{_DOUBT}: its id was an answer to another request before"
            return _stray(answer, why)
        if operation.endpoint.look is not _BARE:
            return None
        if repeats:
            self._doubts_bare = True
            self._row = 0
        elif self._doubts_bare and isinstance(answer, CheckoutSession):
            why = f"{_DOUBT}: it repeats nothing of the request"
            return _stray(answer, why, named=answer)
        return None

    def _compare(
        self, operation: Operation[Answer], answer: Answer
    ) -> tuple[tuple[str, ...], bool]:
        echo = operation.endpoint.echo
        if self._compares_all and echo and echo.is_whole(operation.noun, answer):
            return (), True  # most answers: no field has to be looked at
        return compare(operation.expected, answer, self._fields)

    def _is_new(
        self, operation: Operation[Answer], answer: Answer, connection: Connection
    ) -> bool:
        key = operation.idempotency_key
        if key is None:
            connection.note(answer.id)
            return True
        is_claimed = connection.claim(answer.id, key, own_key=operation.own_key)
        return is_claimed or not self._knows_ids

    def why_not(
        self, operation: Operation[Answer], seen: CheckoutSession
    ) -> str | None:
        """Tell why *seen*, the session that a bare answer named, is not the one opened.

        Returns:
            `None` if it repeats what was sent, and nothing else.
        """
        names, repeats = self._compare(operation, seen)
        if names:
            return f"in its session {', '.join(names)} differ"
        return None if repeats else "neither does its session"

    def learn(self, *, is_right: bool) -> bool:
        """Count a bare answer that was looked into.

        Returns:
            Bare answers are no longer doubted from now on, until one repeats something.
        """
        self._row = self._row + 1 if is_right else 0
        if self._row < TRUSTED_AFTER or not self._doubts_bare:
            return False
        self._doubts_bare = False
        return True


_DOUBT = "the answer may be to another request"


def _stray(
    answer: Answer,
    why: str,
    *,
    mistrusted: int = 1,
    named: CheckoutSession | None = None,
) -> Finding:
    return Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.NONE,
        reason=f"HTTP {answer.call.http_status}, but {why}",
        phase="echo",
        http_status=answer.call.http_status,
        request_id=answer.call.request_id,
        mistrusted=mistrusted,
        named=named,
    )
