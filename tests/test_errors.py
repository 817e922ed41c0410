import pickle
from collections.abc import Iterator
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import (
    ApiError,
    BadPayloadError,
    BadSignatureError,
    CallError,
    CallInfo,
    CheckoutSession,
    ConfigurationError,
    ConvergeGateError,
    FailureKind,
    InvalidFieldError,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    StaleWebhookError,
    WaitTimeoutError,
    WebhookError,
    WebhookEvent,
)


def descendants(kind: type[ConvergeGateError]) -> Iterator[type[ConvergeGateError]]:
    """List a class and all that is made of it."""
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


def state(error: BaseException) -> dict[str, object]:
    """Return all that an error knows, whichever way it holds it."""
    return {**vars(error), "args": error.args, "text": str(error)}


def through_pickle(error: ConvergeGateError) -> object:
    """Send an error to another process and back."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 -- we have just written it


CALL_ERRORS = [
    kind
    for kind in descendants(CallError)
    if kind is not CallError and issubclass(kind, CallError)
]
SESSION = CheckoutSession(id="s1", amount_refunded=7, call=CallInfo(attempts=2))
WHOLE = attrs.evolve(
    SESSION,
    url="https://canary.example/pay",
    customer_email="canary@example.com",
    metadata={"note": "canary"},
    refunds=("canary",),
    raw={"customer_email": "canary@example.com"},
)
EVENT = WebhookEvent(id="e1", type="session.completed", session_id="s1")
TEXTS = st.none() | st.text()
FACTS = {
    "operation": st.text(),
    "reason": st.text(),
    "attempts": st.integers(0, 9),
    "elapsed": st.floats(allow_nan=False),
    "idempotency_key": TEXTS,
    "http_status": st.none() | st.integers(0, 999),
    "request_id": TEXTS,
    "retry_after": st.none() | st.floats(allow_nan=False),
    "type": TEXTS,
    "message": TEXTS,
    "param": TEXTS,
    "session": st.sampled_from([None, SESSION]),
    "phase": TEXTS,
    "failure": st.none() | st.sampled_from(FailureKind),
}


@pytest.mark.parametrize("kind", CALL_ERRORS)
@given(facts=st.fixed_dictionaries(FACTS))
def test_every_call_error_survives_a_pickle(
    kind: type[CallError], facts: dict[str, object]
) -> None:
    """An error of a worker process arrives with all its fields, whatever they hold."""
    error = kind(**facts)  # type: ignore[arg-type]  # the strategies hold the types

    arrived = through_pickle(error)

    assert isinstance(arrived, kind)
    assert state(arrived) == state(error)


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknownError(operation="refund", session=WHOLE),
        StaleWebhookError(
            "the event is old", event=attrs.evolve(EVENT, raw={"note": "canary"})
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_pickle_leaves_the_customer_at_home(
    error: OutcomeUnknownError | StaleWebhookError,
) -> None:
    """What an error carries arrives as its `repr` shows it, and how it came about."""
    arrived = through_pickle(error)

    assert b"canary" not in pickle.dumps(error)
    if isinstance(arrived, StaleWebhookError):
        assert (
            state(arrived)["event"]
            == state(StaleWebhookError("", event=EVENT))["event"]
        )
        return
    assert isinstance(arrived, OutcomeUnknownError)
    assert arrived.session == SESSION
    assert arrived.session.call == SESSION.call


@given(decline_code=TEXTS, charge_id=TEXTS)
def test_a_refusal_survives_a_pickle_with_the_fields_of_its_own(
    decline_code: str | None, charge_id: str | None
) -> None:
    """What only an `ApiError` knows arrives as well."""
    error = ApiError(operation="pay", decline_code=decline_code, charge_id=charge_id)

    arrived = through_pickle(error)

    assert isinstance(arrived, ApiError)
    assert (arrived.decline_code, arrived.charge_id) == (decline_code, charge_id)


@pytest.mark.parametrize(
    "error",
    [
        ConvergeGateError("something"),
        ConfigurationError("the API key must be a non-empty str"),
        InvalidFieldError("amount", "must be 1", ("currency", "must be a str")),
        WebhookError("the body is too large", 413),
        BadSignatureError("the signature is missing"),
        BadPayloadError("the body is too large", 413),
        StaleWebhookError("the event is old", event=EVENT),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_other_error_survives_a_pickle(error: ConvergeGateError) -> None:
    """Errors that are about no call arrive with all their fields too."""
    arrived = through_pickle(error)

    assert type(arrived) is type(error)
    assert isinstance(arrived, ConvergeGateError)
    assert state(arrived) == state(error)


@pytest.mark.parametrize("kind", CALL_ERRORS)
def test_outcome_and_class_go_together(kind: type[CallError]) -> None:
    """Whether one looks at the outcome or at the class, the answer is the same."""
    by_class: dict[Outcome, type[CallError]] = {
        Outcome.NOT_SENT: NotSentError,
        Outcome.UNKNOWN: OutcomeUnknownError,
        Outcome.REJECTED: ApiError,
    }

    matching = {
        outcome for outcome, parent in by_class.items() if issubclass(kind, parent)
    }

    assert matching == {kind.outcome}


@pytest.mark.parametrize(
    ("parent", "children"),
    [
        (
            ConvergeGateError,
            {"ConfigurationError", "InvalidFieldError", "CallError", "WebhookError"},
        ),
        (CallError, {"NotSentError", "OutcomeUnknownError", "ApiError"}),
        (NotSentError, set()),
        (OutcomeUnknownError, {"WaitTimeoutError"}),
        (
            ApiError,
            {
                "InvalidRequestError",
                "AuthenticationError",
                "DeclinedError",
                "PermissionDeniedError",
                "NotFoundError",
                "ConflictError",
                "RateLimitedError",
                "ServerError",
            },
        ),
        (WebhookError, {"BadSignatureError", "StaleWebhookError", "BadPayloadError"}),
    ],
)
def test_the_tree_is_the_one_that_is_drawn(
    parent: type[ConvergeGateError], children: set[str]
) -> None:
    """Every class hangs where the design draws it, and no other is drawn.

    Jobs, journals and runners have finer ones of their own beside them.
    """
    names = {
        child.__name__
        for child in parent.__subclasses__()
        if child.__module__ == "convergegate_async.errors"
    }

    assert names == children


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        pytest.param(
            NotSentError(
                operation="create",
                reason="the gateway could not be reached",
                attempts=3,
                idempotency_key="cg1-1",
            ),
            "create was not sent: the gateway could not be reached "
            "(3 attempts, idempotency key cg1-1)",
            id="not-sent",
        ),
        pytest.param(
            OutcomeUnknownError(
                operation="refund",
                reason="the connection broke",
                attempts=1,
                request_id="req_1",
            ),
            "refund has an unknown outcome: the connection broke "
            "(1 attempt, request id req_1)",
            id="unknown",
        ),
        pytest.param(
            WaitTimeoutError(operation="wait", reason="120 s are over", attempts=7),
            "wait has an unknown outcome: 120 s are over (7 attempts)",
            id="wait",
        ),
        pytest.param(
            ApiError(operation="pay", reason="HTTP 402", attempts=1),
            "pay was rejected: HTTP 402 (1 attempt)",
            id="refused",
        ),
        pytest.param(
            ApiError(operation="pay"),
            "pay was rejected: no reason was given",
            id="bare",
        ),
        pytest.param(
            InvalidFieldError("amount", "must be from 1 to 9"),
            "amount must be from 1 to 9",
            id="field",
        ),
        pytest.param(
            BadPayloadError("the body is too large", 413),
            "the body is too large",
            id="payload",
        ),
        pytest.param(
            StaleWebhookError("the event is old", event=EVENT),
            "the event is old",
            id="stale",
        ),
    ],
)
def test_every_error_prints_one_plain_sentence(
    error: ConvergeGateError, sentence: str
) -> None:
    """An error says what was tried, what became of it, why, and what to quote."""
    printed = str(error)

    assert printed == sentence


@pytest.mark.parametrize("kind", CALL_ERRORS)
def test_the_repr_of_an_error_is_its_class_and_sentence(kind: type[CallError]) -> None:
    """Test reports and logs that print the `repr` read as well as the error itself."""
    error = kind(operation="create", reason="that's it")

    shown = repr(error)

    assert shown == f"{kind.__name__}({str(error)!r})"


@pytest.mark.parametrize("kind", CALL_ERRORS)
def test_an_error_does_not_show_the_session_it_carries(kind: type[CallError]) -> None:
    """The session is there for the program, and stays out of what is printed."""
    error = kind(operation="pay", session=SESSION)

    printed = f"{error} {error!r} {error.args}"

    assert "canary" not in printed


@pytest.mark.parametrize("kind", CALL_ERRORS)
def test_only_a_wait_that_ran_out_is_a_timeout(kind: type[CallError]) -> None:
    """A caller's own ``except TimeoutError`` never swallows a failed payment."""
    is_timeout = issubclass(kind, TimeoutError)

    assert is_timeout is (kind is WaitTimeoutError)


def test_a_refused_field_is_a_value_error() -> None:
    """Frameworks that turn a `ValueError` into a 400 do so here."""
    error = InvalidFieldError("amount", "must be from 1 to 9")

    assert isinstance(error, ValueError)


def test_a_call_error_knows_nothing_that_it_was_not_given() -> None:
    """What does not apply is `None`, not an empty or invented value."""
    error = ApiError(operation="pay")

    given = {name for name, value in vars(error).items() if value is not None}

    assert given == {"operation", "reason", "attempts", "elapsed"}


@pytest.mark.parametrize("status", [400, 413])
def test_a_webhook_error_knows_what_to_answer(status: int) -> None:
    """A route answers a delivery that it refuses with the status of the error."""
    error = BadPayloadError("the body is not an event", status)

    assert error.http_status == status


@pytest.mark.parametrize(
    "kind", [WebhookError, BadSignatureError, BadPayloadError, StaleWebhookError]
)
def test_a_webhook_error_is_answered_with_400_by_default(
    kind: type[WebhookError],
) -> None:
    """A delivery that cannot be trusted is a bad request."""
    error = kind("the signature is missing")

    assert error.http_status == 400


def test_a_stale_event_is_kept_for_confirmation() -> None:
    """An old but validly signed event can be confirmed, so the error carries it."""
    event = WebhookEvent(
        id="e1", type="session.completed", created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )

    error = StaleWebhookError("the event is old", event=event)

    assert error.event is event


@pytest.mark.parametrize("kind", CALL_ERRORS)
def test_errors_can_be_told_apart_and_kept_in_a_set(kind: type[CallError]) -> None:
    """Two failures with the same words are still two failures."""
    errors = {kind(operation="create"), kind(operation="create")}

    assert len(errors) == 2


def test_every_field_of_a_call_error_is_pickled() -> None:
    """The property above leaves no field out."""
    names = {field.name for field in attrs.fields(CallError)}

    assert names == set(FACTS)
