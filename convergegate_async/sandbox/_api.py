"""Where requests are answered: authorisation, fields, the book. No network here.

The rules for fields are those of the SDK's own requests, so that they stand once.
"""

import base64
from collections.abc import Callable, Mapping

import attrs

from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import rules

from ._book import CODES, Book, BookedSession, CodeFate, KeptAnswer
from ._forms import read_create_form, read_pay_form, read_refund_form, refunded_session


@attrs.frozen(kw_only=True)
class Reply:
    """What the gateway answers."""

    status: int
    document: Mapping[str, object]
    replayed: bool = False

    @property
    def problem(self) -> str:
        """The message of a refusal."""
        return self._of_error("message") or ""

    @property
    def decline(self) -> str | None:
        """The bank's word for why it refused a code, if it did."""
        return self._of_error("decline_code")

    def _of_error(self, name: str) -> str | None:
        error = self.document.get("error")
        return error.get(name) if isinstance(error, dict) else None


@attrs.frozen(kw_only=True)
class ApiRequest:
    """What a request of the API says.

    Attributes:
        id: That of the session or refund in the path, if any.
        key: The idempotency key.
    """

    id: str = ""
    body: bytes = attrs.field(default=b"", repr=False)
    key: str | None = None

    @property
    def key_problem(self) -> str:
        """What is wrong with the key, by our own rule (assumed); empty if nothing."""
        field = "Idempotency-Key"
        if self.key is None:
            return ""
        checked = rules.made_or_refused(rules.idempotency_key, field, self.key)
        return checked.reason if isinstance(checked, InvalidFieldError) else ""


class Api:
    """Answers as the gateway does.

    Args:
        book: The gateway's memory.
        api_key: Whose requests are answered.
        now: The gateway's clock, in epoch seconds.
        honour_keys: Answer a repeated idempotency key with the first answer (assumed:
            the provider documents nothing of the kind).

    Attributes:
        base_url: Where the pay pages are, once it is known.
    """

    def __init__(
        self, book: Book, api_key: str, now: Callable[[], float], *, honour_keys: bool
    ) -> None:
        self.book: Book = book
        self.base_url: str = ""
        self._now = now
        self.honour_keys = honour_keys
        self._authorizations = {
            f"Basic {base64.b64encode(f'{api_key}:'.encode()).decode()}",
            f"Bearer {api_key}",
        }

    def admits(self, authorization: str | None) -> bool:
        """Tell whether the header holds our key, by Basic or as a Bearer."""
        return authorization in self._authorizations

    def session_about(self, identifier: object) -> str | None:
        """Return the id of the session that is called so, or has such a refund."""
        if not isinstance(identifier, str):
            return None
        if identifier in self.book.refunds:
            return self.book.refunds[identifier].session_id
        return identifier if identifier in self.book.sessions else None

    def session_in(self, operation: str, request: ApiRequest) -> str | None:
        """Return the id of the session that a request itself names, if there is one."""
        if operation == "refund":
            return self.session_about(refunded_session(request.body))
        return self.session_about(request.id)

    def create(self, request: ApiRequest) -> Reply:
        """Open a session, or say which field is wrong."""
        return self._once("create", request, self._open_session)

    def _open_session(self, body: bytes) -> Reply:
        form = read_create_form(body, self._now())
        session = self.book.open_session(form, self.base_url)
        return Reply(status=200, document=session.as_created())

    def retrieve(self, request: ApiRequest) -> Reply:
        """Tell how a session stands."""
        session = self.book.find_session(request.id)
        if session is None:
            return refusal(404, "no such checkout session", param="id")
        return Reply(status=200, document=session.as_retrieved())

    def pay(self, request: ApiRequest) -> Reply:
        """Take a BLIK code for a session; see `CODES`."""
        session = self.book.find_session(request.id)
        if session is None:
            return refusal(404, "no such checkout session", param="id")
        try:
            code = read_pay_form(request.body)
        except InvalidFieldError as error:
            return refusal(400, f"{error.field} {error.reason}", param=error.field)
        problem = self.take_code(session, code)
        if problem is not None:
            return problem
        return Reply(status=200, document=session.as_created())

    def take_code(self, session: BookedSession, code: str) -> Reply | None:
        """Hand a code to the bank, or say why not. All of it is assumed."""
        if session.is_final:
            return refusal(409, f"the session is {session.status} already")
        fate = CODES.get(code)
        if fate is CodeFate.REFUSED:
            return refusal(402, "the payment was refused", decline="refused")
        if fate is CodeFate.EXPIRED:
            return refusal(402, "the code has expired", decline="code_expired")
        self.book.pay(session, code)
        return None

    def refund(self, request: ApiRequest) -> Reply:
        """Pay money back, or say why not."""
        return self._once("refund", request, self._make_refund)

    def _make_refund(self, body: bytes) -> Reply:
        form = read_refund_form(body)
        session = self.book.find_session(form.session_id)
        if session is None:
            return refusal(404, "no such checkout session", param="session_id")
        if not session.payments:
            return refusal(400, "the session is not paid", param="session_id")
        left = session.request.amount - session.amount_refunded
        if left == 0 or (form.amount or 0) > left:
            message = f"only {left} is left to refund"
            return refusal(400, message, param="amount")
        refund = self.book.make_refund(session, form)
        return Reply(status=200, document=refund.as_json())

    def retrieve_refund(self, request: ApiRequest) -> Reply:
        """Tell how a refund stands."""
        refund = self.book.find_refund(request.id)
        if refund is None:
            return refusal(404, "no such refund", param="id")
        return Reply(status=200, document=refund.as_json())

    def unknown(self, _: ApiRequest) -> Reply:
        """Say that there is no such address."""
        return refusal(404, "no such resource")

    def _once(
        self, operation: str, request: ApiRequest, work: Callable[[bytes], Reply]
    ) -> Reply:
        """Do *work*, or repeat what was answered to it under the same key."""
        if request.key_problem:
            message = f"Idempotency-Key {request.key_problem}"
            return refusal(400, message, param="Idempotency-Key")
        key, body = request.key if self.honour_keys else None, request.body
        kept = self.book.answers.get((operation, key)) if key else None
        if kept is not None and kept.request_body != body:
            message = "this idempotency key was used with another request"
            return refusal(422, message, param="Idempotency-Key")  # assumed
        if kept is not None:
            return Reply(status=200, document=kept.answer, replayed=True)
        try:
            reply = work(body)
        except InvalidFieldError as error:
            return refusal(400, f"{error.field} {error.reason}", param=error.field)
        if key and reply.status == 200:  # noqa: PLR2004 -- OK
            self.book.keep_answer(
                operation, key, KeptAnswer(body, dict(reply.document))
            )
        return reply


def refusal(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    decline: str | None = None,
) -> Reply:
    """Return the error envelope of the provider's pages."""
    error = {"message": message, "type": kind}
    if param is not None:
        error["param"] = param
    if decline is not None:
        error["decline_code"] = decline
    return Reply(status=status, document={"error": error})


@attrs.frozen
class Route:
    """An address of the API, and what answers there.

    Attributes:
        name: That of the factory's method; faults and counts go by it.
    """

    name: str
    method: str
    path: str
    answer: Callable[[Api, ApiRequest], Reply]


_SESSIONS = "/v1/checkout/sessions"

ROUTES = (
    Route("create", "POST", _SESSIONS, Api.create),
    Route("retrieve", "GET", f"{_SESSIONS}/{{id}}", Api.retrieve),
    Route("pay", "POST", f"{_SESSIONS}/{{id}}/pay", Api.pay),
    Route("refund", "POST", "/v1/refunds", Api.refund),
    Route("retrieve_refund", "GET", "/v1/refunds/{id}", Api.retrieve_refund),
    Route("other", "*", "/{path:.*}", Api.unknown),
)
"""All addresses of the API; the last takes what no other does."""
