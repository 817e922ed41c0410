"""What the owner's pages show of a request: never who the customer is."""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from convergegate_async._core.redaction import redacted
from convergegate_async.models import CheckoutSessionRequest

_LONGEST = 500  # characters of a text
_CUSTOMER = tuple(
    field.name
    for field in attrs.fields(CheckoutSessionRequest)
    if field.name.startswith("customer_") and field.name != "customer_country"
)


def masked(text: str, asked: CheckoutSessionRequest) -> str:
    """Return *text* without the customer of *asked*, wherever it stands in there."""
    values = ((name, getattr(asked, name)) for name in _CUSTOMER)
    hidden = [(name, value) for name, value in values if value]
    return redacted(text, hidden, _LONGEST)


def masked_fields(asked: CheckoutSessionRequest) -> Iterator[tuple[str, str]]:
    """Yield the name and text of what the shop has asked for, without its customer."""
    for name, text in _fields(asked):
        yield name, f"[{name}]" if name in _CUSTOMER else masked(text, asked)


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
