"""What a caller asks for: frozen values, checked at the door."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, wraps
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

import attrs

from convergegate_async.errors import InvalidFieldError

from . import rules
from .answers import OTHER_SPELLINGS
from .enums import PaymentMethod, RefundReason

Plan: TypeAlias = tuple[tuple[str, rules.Rule, rules.FastCheck, bool], ...]


def _never(_: str) -> bool:
    return False


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
            rules.FAST_CHECKS.get(field.metadata["rule"], _never),
            field.default is None,
        )
        for field in attrs.fields(request)
        if "rule" in field.metadata
    )
    return attrgetter(*[name for name, *_ in plan]), plan


def _broken_rules(request: attrs.AttrsInstance) -> list[tuple[str, str]]:
    """Bring every field into the form in which it is sent; tell which cannot be.

    Returns:
        Field and reason of each that breaks its rule.
    """
    problems: list[tuple[str, str]] = []
    values, plan = _rules(type(request))
    for value, (name, rule, fast_check, optional) in zip(  # noqa: B905 -- one plan, one length
        values(request), plan
    ):
        if value is None and optional:
            continue
        if type(value) is str and fast_check(value):
            continue
        try:
            is_unset = optional and rules.plain(value) == ""
            checked = None if is_unset else rule(name, value)
        except InvalidFieldError as error:
            problems.append((error.field, error.reason))
            continue
        if checked is not value:
            object.__setattr__(request, name, checked)
    return problems


def _refuse(problems: list[tuple[str, str]]) -> None:
    if problems:
        (field, reason), *more = problems
        raise InvalidFieldError(field, reason, *more)


R = TypeVar("R", bound=attrs.AttrsInstance)


def _refused_bare(request: type[R]) -> type[R]:
    """Let no error about a *request* leave with the frames that hold its values.

    The constructor that attrs writes is one of them, and so is this one, until it has
    forgotten what it was given.
    """
    build = request.__init__

    @wraps(build)
    def init(self: object, *args: Any, **values: Any) -> None:  # noqa: ANN401 -- handed through
        refusal = None
        try:
            build(self, *args, **values)
        except Exception as error:  # noqa: BLE001 -- a name that is no field's, too
            refusal = error.with_traceback(None)
        if refusal is not None:
            del self, args, values  # tracebacks show locals
            raise refusal

    request.__init__ = init  # type: ignore[method-assign]  # as long as it is called
    return request


def _extra(field: str, value: object) -> Mapping[str, str]:
    names = {one.name for one in attrs.fields(CheckoutSessionRequest)} - {"extra"}
    return rules.further_pairs(field, value, names.union(OTHER_SPELLINGS.values()))


@_refused_bare
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
        _refuse(_broken_rules(self))


@_refused_bare
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
        problems = _broken_rules(self)
        if type(self.full) is not bool:
            problems.append(("full", "must be True or False"))
        elif (self.amount is None) is not self.full and "amount" not in dict(problems):
            reason = "must be given, or else full=True (not both)"
            problems.append(("amount", reason))
        _refuse(problems)
