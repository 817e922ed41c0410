"""What an app does in any framework: hold one factory, and read a delivery."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn, TypeAlias, cast

from convergegate_async._core.messages import BODY_LIMIT
from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.webhooks import WebhookReceiver, WebhookReply

# Not a factory itself: it is used once, and an app may be started again, by a test
# client above all. Nor is the environment read when the app's module is imported.
Build: TypeAlias = Callable[[], CheckoutSessionFactory]

STATE = "convergegate"
"""Where frameworks that keep things by name keep the factory."""

ENOUGH = BODY_LIMIT + 1
"""How many bytes of a delivery are read at most: the receiver refuses them (413)."""


@asynccontextmanager
async def opened(
    build: Build, receiver: WebhookReceiver | None
) -> AsyncIterator[CheckoutSessionFactory]:
    """Hold a factory open; at the end wait for *receiver*, then drain the factory."""
    async with build() as checkout:
        try:
            yield checkout
        finally:
            if receiver is not None:
                await receiver.aclose()


def require(checkout: object, way: str = "") -> CheckoutSessionFactory:
    """Return the app's factory.

    Args:
        checkout: What was found where it should be.
        way: What to do if it is not there.

    Raises:
        ConfigurationError: The app was started without one.
    """
    if not isinstance(checkout, CheckoutSessionFactory):
        message = f"the app was not started with this module's lifespan{way}"
        raise ConfigurationError(message)
    return checkout


def found_later(
    find: Callable[[], CheckoutSessionFactory],
) -> CheckoutSessionFactory:
    """Return the app's factory; where there is none, it is told once it is used.

    A receiver refuses a forged delivery without it.

    Args:
        find: Raises `ConfigurationError` if there is none.
    """
    try:
        return find()
    except ConfigurationError as error:
        return cast("CheckoutSessionFactory", _Absent(error))


class _Absent:
    def __init__(self, error: ConfigurationError) -> None:
        self._error = error

    def __getattr__(self, _: str) -> NoReturn:
        raise self._error


async def read_body(chunks: AsyncIterable[bytes]) -> bytes:
    """Read a delivery, but not past what is enough to refuse it."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk[: ENOUGH - len(body)]
        if len(body) == ENOUGH:
            break
    return bytes(body)


def report(reply: WebhookReply, *answers: type[Exception]) -> None:
    """Raise what a delivery failed for: the framework answers 500 and tells of it.

    Args:
        reply: What the receiver says.
        answers: Errors that the framework makes an answer of its own of, a 200 perhaps,
            that would end the deliveries. They are raised as the cause of another.
    """
    if reply.error is None:
        return
    if isinstance(reply.error, answers):
        message = "a webhook event could not be handled"
        raise RuntimeError(message) from reply.error  # noqa: TRY004 -- no wrong type
    raise reply.error
