"""What was seen before is remembered, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.bulk.tables.seen import SeenNumbers

NUMBERS = st.integers(0, 3_000) | st.integers(0, 2**63 - 1)


@given(st.lists(NUMBERS), st.lists(NUMBERS))
def test_numbers_are_remembered_as_in_a_set(
    given: list[int], others: list[int]
) -> None:
    """Dense or far apart, once or again."""
    seen, known = SeenNumbers(), set[int]()

    for number in given:
        assert seen.add(number) is (number not in known)
        known.add(number)

    assert seen.count == len(known)
    for number in [*given, *others]:
        assert (number in seen) is (number in known)
