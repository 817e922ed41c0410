from collections.abc import Collection
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async._core.verdicts import (
    Failure,
    Finding,
    Ground,
    Verdict,
    judge_failure,
    judge_status,
)
from convergegate_async.errors import FailureKind
from convergegate_async.models import CheckoutSession

Judgement: TypeAlias = tuple[Verdict, Ground]

DONE = (Verdict.DONE, Ground.NONE)
REFUSED = (Verdict.REJECTED, Ground.NONE)
UNKNOWN = (Verdict.UNKNOWN, Ground.NONE)
UNKNOWN_REPEATABLE = (Verdict.UNKNOWN, Ground.AMBIGUOUS)
REFUSED_REPEATABLE = (Verdict.REJECTED, Ground.AMBIGUOUS)
CONFLICT = (Verdict.REJECTED, Ground.CONFLICT)
TOO_EARLY = (Verdict.REJECTED, Ground.TOO_EARLY)
THROTTLED = (Verdict.REJECTED, Ground.THROTTLED)

# As in DESIGN.md, *What one attempt proves*: statuses, what they prove of a write, and
# what they prove of a read.
STATUSES: dict[str, tuple[Collection[int], Judgement, Judgement]] = {
    "000-099": (range(100), UNKNOWN_REPEATABLE, UNKNOWN_REPEATABLE),
    "1xx": (range(100, 200), UNKNOWN, UNKNOWN_REPEATABLE),
    "2xx": (range(200, 300), DONE, DONE),
    "300-306": (range(300, 307), UNKNOWN, REFUSED),
    "307-308": ((307, 308), REFUSED, REFUSED),
    "309-399": (range(309, 400), UNKNOWN, REFUSED),
    "400-407": (range(400, 408), REFUSED, REFUSED),
    "408": ((408,), UNKNOWN_REPEATABLE, REFUSED_REPEATABLE),
    "409": ((409,), CONFLICT, CONFLICT),
    "410-422": (range(410, 423), REFUSED, REFUSED),
    "423-424": ((423, 424), REFUSED, REFUSED_REPEATABLE),
    "425": ((425,), TOO_EARLY, TOO_EARLY),
    "426-428": (range(426, 429), REFUSED, REFUSED),
    "429": ((429,), THROTTLED, THROTTLED),
    "430-498": (range(430, 499), REFUSED, REFUSED),
    "499": ((499,), UNKNOWN_REPEATABLE, REFUSED_REPEATABLE),
    "500": ((500,), UNKNOWN_REPEATABLE, REFUSED_REPEATABLE),
    "501": ((501,), REFUSED, REFUSED),
    "502-504": ((502, 503, 504), UNKNOWN_REPEATABLE, REFUSED_REPEATABLE),
    "505-506": ((505, 506), REFUSED, REFUSED),
    "507-509": ((507, 508, 509), UNKNOWN_REPEATABLE, REFUSED_REPEATABLE),
    "510-511": ((510, 511), REFUSED, REFUSED),
    "512-599": (range(512, 600), UNKNOWN_REPEATABLE, REFUSED_REPEATABLE),
    "600-999": (range(600, 1000), UNKNOWN_REPEATABLE, UNKNOWN_REPEATABLE),
}

# As in DESIGN.md, *What one attempt proves*: what breaks before a request can be
# written, and what a repeat cannot mend.
BEFORE_HEAD = {
    FailureKind.CONNECT,
    FailureKind.CONNECT_TIMEOUT,
    FailureKind.POOL_TIMEOUT,
    FailureKind.NO_DESCRIPTOR,
    FailureKind.DNS,
    FailureKind.UNKNOWN_HOST,
    FailureKind.HANDSHAKE,
    FailureKind.CERTIFICATE,
    FailureKind.PROXY,
    FailureKind.PROXY_REFUSAL,
    FailureKind.ADDRESS,
    FailureKind.STRAY,
}
ANY_TIME = {
    FailureKind.CLOSED,
    FailureKind.TIMEOUT,
    FailureKind.DISCONNECTED,
    FailureKind.BROKEN,
    FailureKind.HEAD,
    FailureKind.HEAD_TOO_LARGE,
    FailureKind.BODY,
    FailureKind.ENCODED,
    FailureKind.TOO_LARGE,
    FailureKind.UNEXPECTED,
}
FINAL = {
    FailureKind.POOL_TIMEOUT,
    FailureKind.NO_DESCRIPTOR,
    FailureKind.UNKNOWN_HOST,
    FailureKind.CERTIFICATE,
    FailureKind.PROXY_REFUSAL,
    FailureKind.ADDRESS,
    FailureKind.CLOSED,
}


def judged(finding: Finding) -> Judgement:
    """Return what a finding proves."""
    return finding.verdict, finding.ground


# -- broken connections -------------------------------------------------------------


@given(kind=st.sampled_from(FailureKind), sent=st.sampled_from([True, False, None]))
def test_only_what_provably_was_not_sent_is_called_so(
    kind: FailureKind, sent: bool | None
) -> None:
    """The marker decides; where nobody could set it, only the kind can prove it."""
    finding = judge_failure(Failure(kind=kind, sent=sent))

    proven = sent is False or (sent is None and kind in BEFORE_HEAD)
    assert (finding.verdict is Verdict.NOT_SENT) is proven


@given(
    kind=st.sampled_from(FailureKind),
    sent=st.sampled_from([True, False, None]),
    phase=st.sampled_from(["sent", "head", "body"]),
)
def test_only_an_unknown_outcome_has_a_phase(
    kind: FailureKind, sent: bool | None, phase: str
) -> None:
    """How far an attempt came matters where it may have been done, and nowhere else."""
    finding = judge_failure(Failure(kind=kind, sent=sent, phase=phase))

    assert finding.phase == (phase if finding.verdict is Verdict.UNKNOWN else None)


@pytest.mark.parametrize("sent", [True, False])
def test_what_nobody_foresaw_is_named(sent: bool) -> None:
    """By its class: a mock's `TypeError` is no connection that failed."""
    kind = FailureKind.UNEXPECTED

    finding = judge_failure(Failure(kind=kind, sent=sent, unforeseen="TypeError"))

    assert finding.reason == (
        "the connection failed in an unforeseen way: TypeError was raised"
    )


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("sent", [True, False, None], ids=["sent", "unsent", "untold"])
def test_every_broken_connection_has_its_judgement(
    kind: FailureKind, *, sent: bool | None
) -> None:
    """Each kind, with each state of the marker, proves what the table says."""
    finding = judge_failure(Failure(kind=kind, sent=sent))

    if sent is False or (sent is None and kind in BEFORE_HEAD):
        repeatable = (Verdict.NOT_SENT, Ground.UNSENT)
    else:
        repeatable = UNKNOWN_REPEATABLE
    assert judged(finding) == (
        (repeatable[0], Ground.NONE) if kind in FINAL else repeatable
    )


@pytest.mark.parametrize("kind", FailureKind)
def test_every_broken_connection_is_described_in_plain_words(kind: FailureKind) -> None:
    """The reason is part of a sentence: words, no code, no full stop."""
    finding = judge_failure(Failure(kind=kind, sent=True))

    assert " " in finding.reason
    assert not finding.reason.endswith(".")


def test_a_broken_connection_is_no_answer() -> None:
    """Where nothing came back there is nothing to quote."""
    finding = judge_failure(Failure(kind=FailureKind.BROKEN, sent=True))

    assert finding == Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.AMBIGUOUS,
        reason="the connection broke",
        failure=FailureKind.BROKEN,
        phase="sent",
    )


def test_the_tables_leave_no_kind_out() -> None:
    """Every kind either happens before the head is written or may happen later."""
    listed = BEFORE_HEAD | ANY_TIME

    assert listed == set(FailureKind)
    assert not BEFORE_HEAD & ANY_TIME


# -- statuses -----------------------------------------------------------------------


@given(status=st.integers(), writes=st.booleans())
def test_every_status_has_a_judgement(status: int, writes: bool) -> None:
    """Whatever number a server sends, it is judged, and never as unsent."""
    verdict, ground = judge_status(status, writes=writes)

    assert verdict in {Verdict.DONE, Verdict.REJECTED, Verdict.UNKNOWN}
    assert ground in Ground


@given(status=st.integers().filter(lambda status: not 100 <= status < 600))
def test_a_status_that_http_does_not_know_proves_nothing(status: int) -> None:
    """What is not listed is unknown, on a read as on a write."""
    judgements = {judge_status(status, writes=writes) for writes in (True, False)}

    assert judgements == {UNKNOWN_REPEATABLE}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [(row[0], row[1]) for row in STATUSES.values()],
    ids=STATUSES.keys(),
)
def test_every_status_of_a_write_has_its_judgement(
    statuses: Collection[int], expected: Judgement
) -> None:
    """A write is refused only where the work provably was not begun."""
    judgements = {status: judge_status(status, writes=True) for status in statuses}

    assert judgements == dict.fromkeys(statuses, expected)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [(row[0], row[2]) for row in STATUSES.values()],
    ids=STATUSES.keys(),
)
def test_every_status_of_a_read_has_its_judgement(
    statuses: Collection[int], expected: Judgement
) -> None:
    """A read changes nothing, so an answer that is none is a refusal."""
    judgements = {status: judge_status(status, writes=False) for status in statuses}

    assert judgements == dict.fromkeys(statuses, expected)


def test_the_table_holds_every_status_once() -> None:
    """The ranges of the table cover 0 to 999 without gap or overlap."""
    listed = sorted(status for row in STATUSES.values() for status in row[0])

    assert listed == list(range(1000))


def test_the_repr_of_a_finding_shows_no_session() -> None:
    """Tracebacks show locals, and a stray answer names somebody else's session."""
    finding = Finding(
        verdict=Verdict.UNKNOWN,
        ground=Ground.NONE,
        reason="HTTP 200, but why",
        named=CheckoutSession(id="AW-1"),
    )

    assert repr(finding) == "<Finding: UNKNOWN, HTTP 200, but why>"
