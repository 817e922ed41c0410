import pytest

from convergegate_async.cli._wording import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_000, "1,000 rows")],
)
def test_a_noun_follows_its_count(number: int, text: str) -> None:
    """One is no plural, and everything else is one."""
    assert counted(number, "row") == text
