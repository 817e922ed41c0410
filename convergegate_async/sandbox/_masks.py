"""What the owner's pages show of a session and its requests: never who the customer is.

Addresses of the shop and its own texts are shown, since the owner looks for them; a
customer who is named in there is not.
"""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from convergegate_async._core.redaction import Hidden, redacted
from convergegate_async.models import CheckoutSessionRequest

from ._forms import pairs_of

_LONGEST = 500  # characters of a text
_CUSTOMER = tuple(
    field.name
    for field in attrs.fields(CheckoutSessionRequest)
    if field.name.startswith("customer_") and field.name != "customer_country"
)


def customer_of(asked: CheckoutSessionRequest) -> Hidden:
    """Return the names and texts of what tells who the customer is."""
    values = ((name, getattr(asked, name)) for name in _CUSTOMER)
    return [(name, value) for name, value in values if value]


def masked(text: str, asked: CheckoutSessionRequest) -> str:
    """Return *text* without the customer of *asked*, wherever it stands in there."""
    return redacted(text, customer_of(asked), _LONGEST)


def masked_fields(asked: CheckoutSessionRequest) -> Iterator[tuple[str, str]]:
    """Yield the name and text of what the shop has asked for, without its customer."""
    return _masked(_fields(asked), asked)


def masked_body(
    body: bytes, asked: CheckoutSessionRequest
) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a form that is about the session of *asked*, in the same way.

    A customer that only the form names is hidden by the names of its fields.
    """
    try:
        return _masked(pairs_of(body), asked)
    except ValueError as error:
        return iter([("body", str(error))])


def _masked(
    pairs: Iterable[tuple[str, str]], asked: CheckoutSessionRequest
) -> Iterator[tuple[str, str]]:
    for name, text in pairs:
        if name in _CUSTOMER:
            yield name, f"[{name}]"
        else:
            yield masked(name, asked), masked(text, asked)


def _fields(asked: CheckoutSessionRequest) -> Iterator[tuple[str, str]]:
    for field in attrs.fields(CheckoutSessionRequest):
        value = getattr(asked, field.name)
        if isinstance(value, Mapping):
            for key, text in value.items():
                yield f"{field.name}[{key}]", text
        elif isinstance(value, Iterable) and not isinstance(value, str):
            yield field.name, ", ".join(map(str, value))
        elif value is not None:
            yield field.name, str(value)
