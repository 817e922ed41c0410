"""Event loops whose tasks begin lazily, as usual, or eagerly, at their creation."""

import asyncio

import pytest

_EAGER = getattr(asyncio, "eager_task_factory", None)  # Python 3.12

EAGER_OR_LAZY = [
    pytest.param(False, id="lazy"),
    pytest.param(
        True,
        id="eager",
        marks=pytest.mark.skipif(_EAGER is None, reason="Python 3.12 brought them"),
    ),
]


def begin_tasks(*, eagerly: bool) -> None:
    """Have the running loop's tasks from now on begin at their creation, or not."""
    asyncio.get_running_loop().set_task_factory(_EAGER if eagerly else None)
