"""What a run costs is measured, and the process is left as it was."""

import gc
from collections.abc import Iterator

import pytest

from convergegate_async.load.effort import EffortMeter


@pytest.fixture
def nothing_frozen() -> Iterator[None]:
    """Let collections look at everything, which `conftest.py` has ended, for a test."""
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("nothing_frozen")
def test_collections_look_at_what_is_new_and_then_at_all() -> None:
    """Whatever was there before a run is frozen during it, and not after it."""
    with EffortMeter():
        during = gc.get_freeze_count()
    after = gc.get_freeze_count()

    assert during > 10_000
    assert after == 0


def test_what_is_frozen_stays_frozen() -> None:
    """A run does not undo what its process did to have short collections."""
    before = gc.get_freeze_count()
    with EffortMeter():
        during = gc.get_freeze_count()
    after = gc.get_freeze_count()

    assert before > 10_000
    assert during == after == before
