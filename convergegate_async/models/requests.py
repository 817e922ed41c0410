"""What a caller asks for: frozen values, checked at the door."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import TypeAlias

import attrs

from convergegate_async.errors import InvalidFieldError

from . import rules
from .enums import PaymentMethod, RefundReason

Plan: TypeAlias = tuple[tuple[str, rules.Rule, rules.FastCheck | None, bool], ...]


@cache
def _rules(
    request: type[attrs.AttrsInstance],
) -> tuple[Callable[[object], tuple[object, ...]], Plan]:
    """Tell how the fields that have a rule are checked.

    What gets their values; name, rule, fast check, and whether it is optional, of each.
    """
    plan = tuple(
        (
            field.name,
            field.metadata["rule"],
            rules.FAST_CHECKS.get(field.metadata["rule"]),
            field.default is None,
        )
        for field in attrs.fields(request)
        if "rule" in field.metadata
    )
    return attrgetter(*[name for name, *_ in plan]), plan


def _keep_the_rules(request: attrs.AttrsInstance) -> None:
    """Check every field, and hold it in the form in which it is sent.

    Raises:
        InvalidFieldError: A field breaks its rule.
    """
    refusal = None
    try:
        values, plan = _rules(type(request))
        for value, (name, rule, fast_check, optional) in zip(  # noqa: B905 -- one plan, one length
            values(request), plan
        ):
            if value is None and optional:
                continue
            if (
                fast_check is not None
                and type(value) is str
                and 0 < len(value) <= rules.MAX_TEXT
                and fast_check(value)
            ):
                continue
            is_unset = optional and rules.plain(value) == ""
            checked = None if is_unset else rule(name, value)
            if checked is not value:
                object.__setattr__(request, name, checked)
    except InvalidFieldError as error:
        refusal = (error.field, error.reason)
        value = checked = None  # tracebacks show locals
    if refusal is not None:
        raise InvalidFieldError(*refusal)


@attrs.frozen(kw_only=True)
class CheckoutSessionRequest:
    """A checkout session to open, with the fields named as in the gateway's API.

    An empty text in an optional field counts as unset.

    Attributes:
        amount: What to pay, in minor units (4999 is 49.99), 1 to 2^53.
        currency: Three-letter ISO 4217 code, in any case.
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

    Raises:
        InvalidFieldError: A field breaks its rule (see the provider's pages on *create*
            and on metadata).
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

    def __attrs_post_init__(self) -> None:
        _keep_the_rules(self)


@attrs.frozen(kw_only=True)
class RefundRequest:
    """A refund to make: a part of a session's amount, or all of it.

    The gateway reads a missing amount as "everything", so a full refund is
    requested explicitly: give exactly one of *amount* and *full*.

    Attributes:
        session_id: The session to refund.
        amount: What to pay back, in minor units, 1 to 2^53.
        full: Pay back the whole session.

    Raises:
        InvalidFieldError: A field breaks its rule (see the provider's page on refunds).
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
        _keep_the_rules(self)
        if type(self.full) is not bool:
            field, reason = "full", "must be True or False"
            raise InvalidFieldError(field, reason)
        if (self.amount is None) is not self.full:
            field, reason = "amount", "must be given, or else full=True (not both)"
            raise InvalidFieldError(field, reason)
