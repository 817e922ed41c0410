"""Creates a session from a body that was encoded before."""

from convergegate_async._core.operations import create_checkout_session
from convergegate_async.models import CheckoutSession, CheckoutSessionRequest
from convergegate_async.models.rules import made_or_refused

from . import CheckoutSessionFactory

_CREATE = CheckoutSessionFactory.create


async def create_from_body(
    factory: CheckoutSessionFactory,
    request: CheckoutSessionRequest,
    body: bytes,
    idempotency_key: str,
) -> CheckoutSession:
    """Open a checkout session, as `CheckoutSessionFactory.create` does.

    A factory with a *create* of its own, as a subclass has, is asked by that.

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
    if getattr(factory.create, "__func__", None) is not _CREATE:
        return await factory.create(request, idempotency_key=idempotency_key)
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
