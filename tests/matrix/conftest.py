"""Every fault meets both event loops."""

import asyncio
from collections.abc import Callable, Mapping

import pytest


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test on asyncio's own loop, and on uvloop where there is one."""
    del config, item
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.SelectorEventLoop
    }
    try:
        import uvloop  # noqa: PLC0415 -- there is none on Windows
    except ImportError:
        return loops
    return {**loops, "uvloop": uvloop.new_event_loop}
