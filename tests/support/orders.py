"""The order that most tests make, as fields and as a request."""

from typing import Any

from convergegate_async import CheckoutSessionRequest

ORDER_FIELDS: dict[str, Any] = {
    "amount": 4999,
    "currency": "pln",
    "customer_email": "john@example.com",
    "customer_firstname": "John",
    "customer_lastname": "Doe",
    "customer_phone": "+48123456789",
    "success_url": "https://shop.example/thanks",
}

ORDER_ROW: dict[str, object] = {"id": "A-1", **ORDER_FIELDS, "amount": "4999"}
"""The same as a row of a table, in which all is text."""


def an_order(**changes: Any) -> CheckoutSessionRequest:  # noqa: ANN401 -- handed through
    """Build the order, with other or further fields."""
    return CheckoutSessionRequest(**ORDER_FIELDS | changes)
