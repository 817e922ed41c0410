"""For the tests of those who use this package: a gateway that does as it is told.

pytest loads `convergegate_async.testing.plugin` by itself, in every project of an
environment that has this package; so nothing is imported before it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._aioresponses import mocked_aiohttp
    from ._builders import RequestFields, SignedEvent, checkout_request, signed_event
    from ._fixture_types import Advance, Delivered, FailNext
    from ._threaded import ThreadedSandbox

_HOMES = {
    "Advance": "_fixture_types",
    "Delivered": "_fixture_types",
    "FailNext": "_fixture_types",
    "RequestFields": "_builders",
    "SignedEvent": "_builders",
    "ThreadedSandbox": "_threaded",
    "checkout_request": "_builders",
    "mocked_aiohttp": "_aioresponses",
    "signed_event": "_builders",
}

__all__ = [
    "Advance",
    "Delivered",
    "FailNext",
    "RequestFields",
    "SignedEvent",
    "ThreadedSandbox",
    "checkout_request",
    "mocked_aiohttp",
    "signed_event",
]


if not TYPE_CHECKING:  # a type checker shall see typos

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
