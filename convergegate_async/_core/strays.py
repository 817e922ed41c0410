"""Whether an answer to `create` is another call's, though it repeats nothing wrong.

A gateway, or a proxy on the way, that answers a request twice leaves the second answer
to whoever is next on that connection. The echo check sees it where a field differs:
not where the answer repeats none, and not where the same thing was bought twice. What
a connection has answered before, and what answers have looked like, tell more
(DESIGN.md, *Stray answers*).
"""

from collections.abc import Collection
from weakref import WeakKeyDictionary

from convergegate_async.models import Answer, CheckoutSession

from .echo import differing_fields, repeats_a_field
from .operations import Operation
from .verdicts import Finding, Ground, Verdict

REMEMBERED = 16
"""So many ids are remembered of each connection."""

ROW = 20
"""After so many bare answers in a row that proved right they are no longer doubted."""


class StrayCheck:
    """What a factory has learnt of answers to `create`.

    Args:
        echo_fields: What of an answer is compared; ids only if ``id`` is among them.
    """

    def __init__(self, echo_fields: Collection[str]) -> None:
        self._fields = echo_fields
        self._knows_ids = "id" in echo_fields
        self._keys: WeakKeyDictionary[object, dict[str, str | None]] = (
            WeakKeyDictionary()
        )
        self._doubts_bare = False
        self._row = 0

    def judge(
        self,
        operation: Operation[Answer],
        answer: CheckoutSession,
        connection: object,
    ) -> Finding | None:
        """Return what is wrong with an *answer* that differs in no field.

        Args:
            operation: The `create` that it is taken for an answer to.
            answer: What it was read as.
            connection: What it came over; `None` if nobody knows.
        """
        if self._knows_ids and connection is not None:
            # Under its own key an id may come back: that is what keys are for.
            ids = self._keys.get(connection)
            if ids is None:
                ids = self._keys[connection] = {}
            key = operation.idempotency_key
            if ids.pop(answer.id, key) != key:
                return _stray(answer, "its id was an answer to another request before")
            ids[answer.id] = key
            if len(ids) > REMEMBERED:
                del ids[next(iter(ids))]
        if repeats_a_field(operation.expected, answer, self._fields):
            self._doubts_bare = True
            self._row = 0
        elif self._doubts_bare:
            return _stray(answer, "it repeats nothing of the request", is_bare=True)
        return None

    def compare(
        self, operation: Operation[Answer], seen: CheckoutSession
    ) -> str | None:
        """Tell why *seen*, the session that a bare answer named, is not the one opened.

        Returns:
            `None` if it repeats what was sent, and nothing else.
        """
        names = differing_fields(operation.expected, seen, self._fields)
        if names:
            return f"in its session {', '.join(names)} differ"
        if not repeats_a_field(operation.expected, seen, self._fields):
            return "neither does its session"
        return None

    def learn(self, *, is_right: bool) -> bool:
        """Count a bare answer that was looked into.

        Returns:
            Bare answers are no longer doubted from now on, until one repeats something.
        """
        self._row = self._row + 1 if is_right else 0
        if self._row < ROW or not self._doubts_bare:
            return False
        self._doubts_bare = False
        return True


def _stray(answer: CheckoutSession, why: str, *, is_bare: bool = False) -> Finding:
    return Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.NONE,
        reason=f"HTTP {answer.call.http_status}, but the answer may be to another "
        f"request: {why}",
        phase="echo",
        http_status=answer.call.http_status,
        request_id=answer.call.request_id,
        mistrusted=1,
        is_bare=is_bare,
    )
