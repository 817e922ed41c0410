"""The names of the room, each imported when it is asked for."""

import subprocess
import sys

import pytest

from convergegate_async import testing


def test_each_name_is_found() -> None:
    """Where it was said to be, and in order."""
    assert testing.__all__ == sorted(testing.__all__)
    assert {*testing._HOMES} == {*testing.__all__}  # noqa: SLF001 -- the table
    assert all(getattr(testing, name) for name in testing.__all__)
    assert {*testing.__all__} <= {*dir(testing)}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo is reported as such."""
    with pytest.raises(AttributeError, match="ThreadSandbox"):
        _ = testing.ThreadSandbox  # type: ignore[attr-defined]  # the typo is the point


def test_help_needs_no_aioresponses() -> None:
    """`python -m pydoc` shows all names where it is not installed."""
    source = (
        "import pydoc, sys; sys.modules['aioresponses'] = None; "
        "print(pydoc.plain(pydoc.render_doc('convergegate_async.testing')))"
    )

    done = subprocess.run(  # noqa: S603 -- our own line
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )

    assert "mocked_aiohttp(" in done.stdout, done.stderr
