"""A create whose body was spelled before: whoever has looked at it hands it on."""

from typing import TYPE_CHECKING

from convergegate_async._core.operations import create_checkout_session
from convergegate_async.models import CheckoutSession, CheckoutSessionRequest
from convergegate_async.models.rules import made_or_refused

if TYPE_CHECKING:
    from . import CheckoutSessionFactory


async def create_as_spelled(
    factory: "CheckoutSessionFactory",
    request: CheckoutSessionRequest,
    body: bytes,
    idempotency_key: str,
) -> CheckoutSession:
    """Open a checkout session, as `CheckoutSessionFactory.create` does.

    Args:
        factory: What calls.
        request: What to open.
        body: What `encode_form` returned for *request*.
        idempotency_key: The key of the purchase.

    Raises:
        InvalidFieldError: *request* expires too soon, or the key is malformed.
        CallError: As *create* raises it.
        ConfigurationError: The factory is not open here.
    """
    caller = factory._caller  # noqa: SLF001 -- of this room
    operation = made_or_refused(
        create_checkout_session,
        request,
        key=idempotency_key,
        own_key=True,
        now=caller.runtime.now(),
        body=body,
    )
    del request, body, idempotency_key  # tracebacks show locals
    return await caller.run(operation, None)
