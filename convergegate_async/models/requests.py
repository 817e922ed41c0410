"""What a caller asks for: frozen values, checked at the door."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TypeVar

import attrs

from convergegate_async.errors import InvalidFieldError

from . import rules
from .answers import OTHER_SPELLINGS
from .code_generation import Check, Problems, write_constructor
from .enums import PaymentMethod, RefundReason
from .fast_checks import FAST_CHECKS

R = TypeVar("R", bound=type[attrs.AttrsInstance])


@cache
def _checks(request: type[attrs.AttrsInstance]) -> dict[str, Check]:
    """Tell how each field that has a rule is checked."""
    return {
        field.name: Check(_judge_of(field), FAST_CHECKS.get(field.metadata["rule"]))
        for field in attrs.fields(request)
        if "rule" in field.metadata
    }


def _judge_of(
    field: "attrs.Attribute[object]",
) -> Callable[[object, Problems], object]:
    name, rule = field.name, field.metadata["rule"]
    is_optional = field.default is None

    def judge(value: object, problems: Problems) -> object:
        try:
            if is_optional and (value is None or _is_empty_text(value)):
                return None
            return rule(name, value)
        except InvalidFieldError as error:
            problems.append((error.field, error.reason))
            return value

    return judge


def _is_empty_text(value: object) -> bool:
    return not isinstance(value, (dict, tuple, list)) and rules.plain(value) == ""


def _check(request: attrs.AttrsInstance) -> None:
    """Bring every field into the form in which it is sent, one after the other.

    This is the plain way, and that of a subclass that attrs has built.

    Raises:
        InvalidFieldError: There are fields that cannot be sent.
    """
    problems: Problems = []
    for name, check in _checks(type(request)).items():
        kept = check.judge(getattr(request, name), problems)
        object.__setattr__(request, name, kept)
    refusal = _refusal(request, problems)
    if refusal is not None:
        raise refusal


def _refusal(request: object, problems: Problems) -> InvalidFieldError | None:
    if isinstance(request, RefundRequest):
        _check_extent(request, problems)
    if not problems:
        return None
    (field, reason), *more = problems
    return InvalidFieldError(field, reason, *more)


def _check_extent(refund: "RefundRequest", problems: Problems) -> None:
    if type(refund.full) is not bool:
        problems.append(("full", "must be True or False"))
    elif (refund.amount is None) is not refund.full and "amount" not in dict(problems):
        reason = "must be given, or else full=True (not both)"
        problems.append(("amount", reason))


def _quick(request: R) -> R:
    """Let a *request* be built and checked by straight lines."""
    init = write_constructor(request, _checks(request), _refusal)
    type.__setattr__(request, "__init__", init)
    return request


def _extra(field: str, value: object) -> Mapping[str, str]:
    names = {one.name for one in attrs.fields(CheckoutSessionRequest)} - {"extra"}
    return rules.further_pairs(field, value, names.union(OTHER_SPELLINGS.values()))


@_quick
@attrs.frozen(kw_only=True)
class CheckoutSessionRequest:
    """A checkout session to open, with the fields named as in the gateway's API.

    An empty text in an optional field counts as unset.

    With what every session needs::

        request = CheckoutSessionRequest(
            amount=4999, currency="pln", success_url="https://shop.example/thanks",
            customer_email="john@example.com", customer_phone="+48123456789",
            customer_firstname="John", customer_lastname="Doe",
        )

    Attributes:
        amount: What to pay, in minor units (4999 is 49.99), 1 to 2^53.
        currency: Three-letter ISO 4217 code, in any case. Which ones the gateway takes
            is not documented; BLIK pays in PLN.
        customer_phone: In E.164, such as +48123456789.
        success_url: Where the customer goes once the session is completed.
        cancel_url: If set, the pay page shows a Cancel button that leads here.
        notification_url: Where webhooks go; announce it to the provider first.
        customer_country: Two-letter ISO 3166 code.
        payment_method: Allowed ways to pay; the gateway knows ``blik``.
        expires_at: When the session expires, with a time zone or in whole epoch seconds
            (kept as a time in UTC), at least 2.5 hours ahead (checked by `create`). The
            gateway's default is 24 hours.
        locale: IETF language tag of the pay page.
        metadata: Up to 50 texts of your own, such as an order number.
        extra: Up to 50 further pairs, sent as they are: what the API knows and this
            class does not know yet. None may be named as one of the fields above.

    Raises:
        InvalidFieldError: A field breaks its rule (see the provider's pages on *create*
            and on metadata); *problems* names them all.
    """

    amount: int = attrs.field(metadata={"rule": rules.amount})
    currency: str = attrs.field(metadata={"rule": rules.currency})
    customer_email: str = attrs.field(repr=False, metadata={"rule": rules.email})
    customer_firstname: str = attrs.field(repr=False, metadata={"rule": rules.name})
    customer_lastname: str = attrs.field(repr=False, metadata={"rule": rules.name})
    customer_phone: str = attrs.field(repr=False, metadata={"rule": rules.phone})
    success_url: str = attrs.field(repr=False, metadata={"rule": rules.url})
    cancel_url: str | None = attrs.field(
        default=None, repr=False, metadata={"rule": rules.url}
    )
    notification_url: str | None = attrs.field(
        default=None, repr=False, metadata={"rule": rules.url}
    )
    customer_ip: str | None = attrs.field(
        default=None, repr=False, metadata={"rule": rules.ip_address}
    )
    customer_country: str | None = attrs.field(
        default=None, repr=False, metadata={"rule": rules.country}
    )
    payment_method: Sequence[PaymentMethod | str] | None = attrs.field(
        default=None, metadata={"rule": rules.words}
    )
    expires_at: datetime | None = attrs.field(
        default=None, converter=rules.read_epoch, metadata={"rule": rules.moment}
    )
    locale: str | None = attrs.field(default=None, metadata={"rule": rules.locale})
    metadata: Mapping[str, str] | None = attrs.field(
        default=None, repr=False, hash=False, metadata={"rule": rules.metadata}
    )
    extra: Mapping[str, str] | None = attrs.field(
        default=None, repr=False, hash=False, metadata={"rule": _extra, "wire": ""}
    )

    def __attrs_post_init__(self) -> None:
        _check(self)


@_quick
@attrs.frozen(kw_only=True)
class RefundRequest:
    """A refund to make: a part of a session's amount, or all of it.

    The gateway reads a missing amount as "everything", so a full refund is
    requested explicitly: give exactly one of *amount* and *full*.

    Pay a part back::

        part = RefundRequest(session_id=session.id, amount=1000)
        refund = await checkout.refund(part)

    Attributes:
        session_id: The session to refund.
        amount: What to pay back, in minor units, 1 to 2^53.
        full: Pay back the whole session.

    Raises:
        InvalidFieldError: A field breaks its rule (see the provider's page on refunds);
            *problems* names them all.
    """

    session_id: str = attrs.field(metadata={"rule": rules.session_id})
    amount: int | None = attrs.field(default=None, metadata={"rule": rules.amount})
    full: bool = attrs.field(default=False, metadata={"wire": False})
    reason: RefundReason | str | None = attrs.field(
        default=None, metadata={"rule": rules.refund_reason}
    )
    metadata: Mapping[str, str] | None = attrs.field(
        default=None, repr=False, hash=False, metadata={"rule": rules.metadata}
    )

    def __attrs_post_init__(self) -> None:
        _check(self)
