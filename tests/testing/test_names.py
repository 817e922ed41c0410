"""The names of the room, each imported when it is asked for."""

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
