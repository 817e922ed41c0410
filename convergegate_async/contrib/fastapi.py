"""FastAPI: what `contrib.starlette` offers, and the factory as a dependency.

A handler asks for it by its type::

    @app.post("/orders")
    async def order(checkout: Checkout) -> str:
        session = await checkout.create(...)

It is not cancelled when its client disconnects: the call goes on to its end, and
shutdown waits for it.
"""

from typing import Annotated, TypeAlias

from fastapi import Depends

from convergegate_async.factory import CheckoutSessionFactory

from .starlette import get_checkout, lifespan, webhook_route

__all__ = ["Checkout", "get_checkout", "lifespan", "webhook_route"]

Checkout: TypeAlias = Annotated[CheckoutSessionFactory, Depends(get_checkout)]
"""The type of a handler's parameter that takes the app's factory."""
