"""A refused argument is in no frame of ours, whichever call it was given to."""

import inspect
import traceback
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from canaries import BLIK_CODE, PERSONAL, canary_order, leaked
from scripted import ScriptedTransport, scripted_factory

from convergegate_async import (
    CheckoutSessionFactory,
    InvalidFieldError,
    derive_key,
)
from convergegate_async._core.endpoints import ENDPOINTS

BAD: dict[str, list[object]] = {
    "request": [
        {"customer_email": PERSONAL[0]},
        attrs.evolve(canary_order(), expires_at=datetime(2001, 1, 1, tzinfo=UTC)),
    ],
    "session_id": [PERSONAL[0], f"{BLIK_CODE} "],
    "refund_id": [PERSONAL[0]],
    "blik_code": [f"{BLIK_CODE} ", int(BLIK_CODE), PERSONAL[0]],
    "idempotency_key": [PERSONAL[0]],
}
"""For each argument what an app may hand over by mistake: another one, above all."""

REFUSED = [
    pytest.param(endpoint.name, name, value, id=f"{endpoint.name}-{name}-{n}")
    for endpoint in ENDPOINTS
    for name in inspect.signature(
        getattr(CheckoutSessionFactory, endpoint.name)
    ).parameters
    if name not in ("self", "timeout")
    for n, value in enumerate(BAD[name])
]


@pytest.mark.parametrize(("operation", "name", "value"), REFUSED)
async def test_a_refused_argument_is_in_no_frame(
    operation: str, name: str, value: object
) -> None:
    """Each call forgets what it was given before it raises; nor is it in a chain."""
    good: dict[str, Any] = {
        "request": canary_order(),
        "session_id": "s1",
        "refund_id": "r1",
        "blik_code": BLIK_CODE,
    }
    async with scripted_factory(ScriptedTransport()) as checkout:
        method = getattr(checkout, operation)
        names = inspect.signature(method).parameters
        arguments = {key: good[key] for key in names if key in good}
        with pytest.raises(InvalidFieldError) as caught:
            await method(**arguments | {name: value})

    error = caught.value
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert ours
    assert leaked(str([frame.locals for frame in ours])) == []
    assert not any("request" in (frame.locals or {}) for frame in ours)
    assert shown.__context__ is None


def test_a_refused_identifier_is_in_no_frame() -> None:
    """An order's name may be the customer's."""
    with pytest.raises(InvalidFieldError) as caught:
        derive_key("order", f"{PERSONAL[0]}\0")

    shown = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert leaked(str([frame.locals for frame in ours])) == []
