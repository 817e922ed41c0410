import pytest
from quart import Quart

from convergegate_async import ConfigurationError
from convergegate_async.contrib.quart import get_checkout


async def test_an_app_without_lifespan_says_so() -> None:
    """Asking for a factory that was not opened is a `ConfigurationError`."""
    async with Quart(__name__).app_context():
        with pytest.raises(ConfigurationError, match="lifespan"):
            get_checkout()
