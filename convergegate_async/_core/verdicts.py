"""What one attempt proves: one table for broken connections, one for statuses.

The one question is: can we prove that the gateway did not start to work on it? What is
not listed here is Unknown, so that a new proxy or a new aiohttp cannot make a silent
duplicate or a silent loss (DESIGN.md, *What one attempt proves*).
"""

from enum import Enum, auto
from typing import NamedTuple

from convergegate_async.errors import FailureKind
from convergegate_async.models import CheckoutSession


class Verdict(Enum):
    """What is proven of one attempt."""

    DONE = auto()
    REJECTED = auto()
    NOT_SENT = auto()
    UNKNOWN = auto()


class Ground(Enum):
    """On what ground an attempt may be sent again."""

    NONE = auto()  # nothing would change, or it is too dangerous
    UNSENT = auto()  # the gateway has not seen it
    THROTTLED = auto()  # 429: refused before any work
    TOO_EARLY = auto()  # 425: likewise
    CONFLICT = auto()  # 409: perhaps another attempt under the same key is at work
    AMBIGUOUS = auto()  # it may have been done: only where a repeat does no harm


class _Break(NamedTuple):
    """What a broken connection means.

    Attributes:
        reason: What broke, in plain words.
        before_head: The kind alone proves that no request was written.
        final: A repeat cannot help.
    """

    reason: str
    before_head: bool = False
    final: bool = False


_BROKEN = {
    FailureKind.CONNECT: _Break("the gateway could not be reached", before_head=True),
    FailureKind.CONNECT_TIMEOUT: _Break(
        "no connection was opened in time", before_head=True
    ),
    FailureKind.POOL_TIMEOUT: _Break(
        "all connections stayed busy: raise PoolLimits.limit (and the limits of a "
        "connector of your own) or call less",
        before_head=True,
        final=True,
    ),
    FailureKind.NO_DESCRIPTOR: _Break(
        "this process has no file descriptor left: raise its limit (ulimit -n) "
        "or lower PoolLimits.limit",
        before_head=True,
        final=True,
    ),
    FailureKind.DNS: _Break(
        "the gateway's name could not be looked up", before_head=True
    ),
    FailureKind.UNKNOWN_HOST: _Break(
        "the gateway's host name does not exist", before_head=True, final=True
    ),
    FailureKind.HANDSHAKE: _Break("the TLS handshake failed", before_head=True),
    FailureKind.CERTIFICATE: _Break(
        "the gateway's certificate is not trusted", before_head=True, final=True
    ),
    FailureKind.PROXY: _Break("the proxy could not be reached", before_head=True),
    FailureKind.PROXY_REFUSAL: _Break(
        "the proxy refused to connect", before_head=True, final=True
    ),
    FailureKind.ADDRESS: _Break(
        "the base URL or proxy URL cannot be used", before_head=True, final=True
    ),
    FailureKind.STRAY: _Break(
        "the connection held bytes that nobody asked for", before_head=True
    ),
    FailureKind.CLOSED: _Break("the connection pool was closed", final=True),
    FailureKind.TIMEOUT: _Break("time ran out"),
    FailureKind.DISCONNECTED: _Break("the connection was closed without an answer"),
    FailureKind.BROKEN: _Break("the connection broke"),
    FailureKind.HEAD: _Break("the head of the answer could not be read"),
    FailureKind.HEAD_TOO_LARGE: _Break(
        "the head of the answer was too large: over 256 lines, or 16 KiB in one"
    ),
    FailureKind.BODY: _Break("the body of the answer was truncated or broken"),
    FailureKind.ENCODED: _Break(
        "the answer was compressed although that was not asked for"
    ),
    FailureKind.TOO_LARGE: _Break("the answer was larger than 1 MiB"),
    FailureKind.UNEXPECTED: _Break("the connection failed in an unforeseen way"),
}


class Failure(NamedTuple):
    """An attempt that brought no whole answer.

    Attributes:
        kind: What broke.
        sent: `True` once the request's head was about to be written, `False` if it
            provably was not, `None` if nobody could tell.
        phase: How far the answer had come: ``sent``, ``head`` or ``body``.
        unforeseen: The class of what was raised, if nobody had foreseen it.
    """

    kind: FailureKind
    sent: bool | None
    phase: str = "sent"
    unforeseen: str | None = None


class Finding(NamedTuple):
    """What a failed attempt showed, and on what ground it may be sent again.

    Attributes:
        reason: What happened, in plain words and without the caller's data.
        failure: What broke, where no whole answer came.
        phase: Where an attempt of unknown outcome ended.
        retry_after: Seconds that the gateway asked to wait.
        mistrusted: How many fields of the answer belong to another request.
        named: The session that an answer named which repeats nothing of the request: a
            look at it shows more.
        type, message, param, decline_code, charge_id: What the gateway said.
    """

    verdict: Verdict
    ground: Ground
    reason: str
    failure: FailureKind | None = None
    phase: str | None = None
    http_status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    mistrusted: int = 0
    named: CheckoutSession | None = None
    type: str | None = None
    message: str | None = None
    param: str | None = None
    decline_code: str | None = None
    charge_id: str | None = None

    def __repr__(self) -> str:
        # The session that was named may be a stranger's.
        return f"<Finding: {self.verdict.name}, {self.reason}>"


ERROR_WORDS = ("type", "message", "param", "decline_code", "charge_id")
"""What the gateway says of an error, in the fields of its envelope."""


def judge_failure(failure: Failure) -> Finding:
    """Return what an attempt without a whole answer proves."""
    row = _BROKEN[failure.kind]
    reason = row.reason
    if failure.unforeseen is not None:
        reason = f"{reason}: {failure.unforeseen} was raised"
    unsent = failure.sent is False or (failure.sent is None and row.before_head)
    if unsent:
        return Finding(
            verdict=Verdict.NOT_SENT,
            ground=Ground.NONE if row.final else Ground.UNSENT,
            reason=reason,
            failure=failure.kind,
        )
    return Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.NONE if row.final else Ground.AMBIGUOUS,
        reason=reason,
        failure=failure.kind,
        phase=failure.phase,
    )


def judge_cancelled(*, unsent: bool) -> Finding:
    """Return what an attempt that was cancelled proves.

    Args:
        unsent: Provably nothing of it had been sent.
    """
    verdict = Verdict.NOT_SENT if unsent else Verdict.UNKNOWN
    return Finding(verdict=verdict, ground=Ground.NONE, reason="it was cancelled")


# Refused before any work, whoever answers: the method or the protocol is wrong, or a
# captive portal is in the way. Every other 5xx may come after the work was done.
_REFUSED_5XX = frozenset({501, 505, 506, 510, 511})
_SAME_METHOD_REDIRECTS = frozenset({307, 308})
_LATE_4XX = frozenset({408, 499})  # a proxy may say it of a request that is at work
_BUSY_4XX = frozenset({423, 424})
_INVITATIONS = {
    409: Ground.CONFLICT,
    425: Ground.TOO_EARLY,
    429: Ground.THROTTLED,
}


def is_success(status: int) -> bool:
    """Tell whether *status* is a 2xx."""
    return status // 100 == 2  # noqa: PLR2004 -- so they are numbered


def judge_status(status: int, *, writes: bool) -> tuple[Verdict, Ground]:
    """Return what a status proves of a call that *writes*, or of one that only reads.

    A 2xx is DONE as far as the status can tell; its body has still to be read.
    """
    if is_success(status):
        return Verdict.DONE, Ground.NONE
    match status // 100:
        case 3:
            # A POST answered by 303 may have been done; a 307 asks to send it again.
            passed_on = not writes or status in _SAME_METHOD_REDIRECTS
            return Verdict.REJECTED if passed_on else Verdict.UNKNOWN, Ground.NONE
        case 4:
            return _judge_4xx(status, writes=writes)
        case 5:
            return _judge_5xx(status, writes=writes)
        case 1 if writes:
            return Verdict.UNKNOWN, Ground.NONE
        case _:
            return Verdict.UNKNOWN, Ground.AMBIGUOUS


def _judge_4xx(status: int, *, writes: bool) -> tuple[Verdict, Ground]:
    if status in _INVITATIONS:
        return Verdict.REJECTED, _INVITATIONS[status]
    if status in _LATE_4XX:
        return Verdict.UNKNOWN if writes else Verdict.REJECTED, Ground.AMBIGUOUS
    if status in _BUSY_4XX and not writes:
        return Verdict.REJECTED, Ground.AMBIGUOUS
    return Verdict.REJECTED, Ground.NONE


def _judge_5xx(status: int, *, writes: bool) -> tuple[Verdict, Ground]:
    if status in _REFUSED_5XX:
        return Verdict.REJECTED, Ground.NONE
    return Verdict.UNKNOWN if writes else Verdict.REJECTED, Ground.AMBIGUOUS
