"""One webhook of 1 KiB, as it arrives."""

import json

from convergegate_async.webhooks import sign

SECRET = "sk_test_BQokikJOvBiI2HlWgH4olfQ2"  # noqa: S105 -- the provider's sample
NOW = 1_700_000_000
SIZE = 1_024
EVENT = {
    "id": "evt-1f0c2a7e4b9d",
    "type": "session.completed",
    "version": "1",
    "created_at": NOW,
    "data": {
        "session_id": "AW-kLcRRC5P8U68CYe0kVA",
        "status": "completed",
        "amount_total": 4999,
        "amount_subtotal": 4999,
        "amount_refunded": 0,
        "currency": "pln",
        "customer_email": "john@example.com",
        "customer_firstname": "Jan",
        "customer_lastname": "Żółkiewski",
        "customer_country": "PL",
        "payment_method_types": ["blik"],
        "success_url": "https://shop.example/thanks?order=A-17",
        "cancel_url": "https://shop.example/cancelled?order=A-17",
        "notification_url": "https://shop.example/webhooks/convergegate",
        "expires_at": NOW + 86_400,
        "created_at": NOW - 60,
        "locale": "pl",
        "livemode": False,
        "refunded": False,
        "refunds": [],
        "metadata": {"order": "A-17", "cart": "8f14e45f-ceea-467f-a0e6-1b1b2c3d4e5f"},
    },
}


def delivery() -> tuple[bytes, dict[str, str]]:
    """Return a body of 1,024 bytes, and the headers that arrive with it."""
    short = json.dumps({**EVENT, "note": ""}, ensure_ascii=False).encode()
    event = {**EVENT, "note": "x" * (SIZE - len(short))}
    body = json.dumps(event, ensure_ascii=False).encode()
    return body, {
        "Host": "shop.example",
        "User-Agent": "ConvergeGate-Webhooks/1",
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Request-Id": "3f1c9c4e-7a34-4a53-9f0f-2f6f6d0f7f11",
        **sign(body, secret=SECRET, timestamp=NOW),
        "Connection": "keep-alive",
    }
