"""Lists that may be long, in pages that newer rows do not shift."""

from collections.abc import Iterator, Reversible

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.sandbox.site._lists import REACH, ROWS, Listed, Query, list_page


class Rows(Reversible[int]):
    """So many rows, walked from the newest, which count how many were."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.walked = 0

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __reversed__(self) -> Iterator[int]:
        for row in reversed(range(self._count)):
            self.walked += 1
            yield row


@given(
    count=st.integers(0, 400),
    forgotten=st.integers(0, 100),
    every=st.integers(1, 5),
)
def test_pages_lead_through_a_list_and_back(
    count: int, forgotten: int, every: int
) -> None:
    """Older pages show every wanted row once, and newer ones the same backwards."""
    rows = range(count)

    def read(**given: int | None) -> Listed[int]:
        pairs = {f"x_{name}": str(to) for name, to in given.items() if to is not None}
        return list_page(
            rows[forgotten:],
            count,
            Query(pairs),
            "x",
            wanted=None if every == 1 else lambda row: row % every == 0,
        )

    pages = [read()]
    while pages[-1].older is not None:
        pages.append(read(before=pages[-1].older))
    back = pages[-1]
    returned = [*back.rows]
    while back.newer is not None and back.rows[0] != pages[0].rows[0]:
        back = read(after=back.newer)
        returned = [*back.rows, *returned]

    wanted = [row for row in reversed(rows) if row >= forgotten and row % every == 0]
    assert [row for page in pages for row in page.rows] == wanted
    assert sorted(set(returned), reverse=True) == wanted
    assert all(len(page.rows) == ROWS for page in pages[:-1])
    assert pages[0].newer is None


def test_the_first_page_of_a_long_list_walks_no_further() -> None:
    """Of a hundred thousand rows those are looked at that are shown, and one more."""
    rows = Rows(100_000)

    page = list_page(rows, 100_000, Query({}), "x")

    assert (len(page.rows), rows.walked) == (ROWS, ROWS + 1)


@pytest.mark.parametrize("every", [150, 12_000, 100_000])
def test_a_search_ends_and_the_next_page_goes_on(every: int) -> None:
    """However rare a wanted row is, all are found, from either end."""
    count = 35_000
    wanted = range(every - 1, count, every)
    looks: list[int] = []

    def is_wanted(row: int) -> bool:
        looks.append(row)
        return row in wanted

    def read(**given: int) -> Listed[int]:
        before = len(looks)
        page = list_page(
            range(count),
            count,
            Query({f"x_{name}": str(to) for name, to in given.items()}),
            "x",
            wanted=is_wanted,
        )
        assert len(looks) - before <= 2 * REACH  # an older page may turn out the first
        return page

    pages = [read()]
    while pages[-1].older is not None:
        pages.append(read(before=pages[-1].older))
    back = [pages[-1]]
    while back[-1].newer is not None:
        back.append(read(after=back[-1].newer))

    for way in (pages, back):
        found = {row for page in way for row in page.rows}
        assert found == set(wanted)
    assert [row for page in pages for row in page.rows] == [*reversed(wanted)]
    assert any(page.searched for page in pages) == (every > 150)
    assert pages[-1].searched is None
