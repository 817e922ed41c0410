"""Lists that may be long, in pages that newer rows do not shift."""

from collections.abc import Iterator, Reversible

from hypothesis import given
from hypothesis import strategies as st

from convergegate_async.sandbox.site._lists import ROWS, Listed, Query, list_page


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
