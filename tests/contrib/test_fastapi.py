from typing import TYPE_CHECKING

from fastapi import FastAPI

from convergegate_async.contrib.fastapi import Checkout, webhook_route

if TYPE_CHECKING:
    from tests.contrib.conftest import Shop


def test_the_schema_shows_neither_factory_nor_webhook(shop: "Shop") -> None:
    """The parameter of a handler is no field of its request, and the webhook no API."""
    app = FastAPI(routes=[webhook_route("/hooks", shop.receiver())])

    @app.post("/orders/{key}")
    async def order(key: str, checkout: Checkout) -> str:
        return await shop.sell(checkout, key)

    paths = app.openapi()["paths"]

    assert list(paths) == ["/orders/{key}"]
    asked = paths["/orders/{key}"]["post"]
    assert [parameter["name"] for parameter in asked["parameters"]] == ["key"]
    assert "requestBody" not in asked
