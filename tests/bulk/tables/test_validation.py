"""What an input comes to, and what is wrong with it, counted."""

from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import an_order

from convergegate_async.bulk import Problem, Row, State, check
from convergegate_async.bulk.tables.validation import AmountSummary

ORDER = an_order()

amounts = st.tuples(st.integers(1, 10**9), st.sampled_from(["PLN", "pln", "EUR"]))
problems = st.tuples(st.sampled_from([None, "amount", "id"]), st.sampled_from("abc"))
REPEATED = "has the id of an earlier row"


def good(place: int, amount: int, currency: str, row_id: str | None = None) -> Row:
    """Return a row that can be sent."""
    request = attrs.evolve(ORDER, amount=amount, currency=currency)
    return Row(
        position=place,
        line=place + 1,
        raw={},
        row_id=row_id or f"A-{place}",
        request=request,
    )


def bad(place: int, column: str | None, reason: str) -> Problem:
    """Return a row that cannot."""
    return Problem(
        position=place,
        line=place + 1,
        raw={},
        row_id=None,
        column=column,
        reason=reason,
    )


@given(st.lists(amounts))
def test_amounts_are_those_of_all_good_rows(given: list[tuple[int, str]]) -> None:
    """By currency in capitals: how many, their sum, the smallest and the largest."""
    found = check(good(place, *row) for place, row in enumerate(given, 1))

    by_currency: dict[str, list[int]] = {}
    for amount, currency in given:
        by_currency.setdefault(currency.upper(), []).append(amount)
    assert found.amounts == {
        currency: AmountSummary(
            rows=len(all_), total=sum(all_), smallest=min(all_), largest=max(all_)
        )
        for currency, all_ in by_currency.items()
    }
    assert [row.position for row in found.samples] == [*range(1, len(given) + 1)][:3]


@given(st.lists(problems), st.integers(0, 5))
def test_every_problem_is_counted_with_its_kind(
    given: list[tuple[str | None, str]], most: int
) -> None:
    """However few are kept; the most frequent comes first, with its first lines."""
    reported: list[Problem] = []
    rows = [bad(place, *kind) for place, kind in enumerate(given, 1)]

    found = check(rows, most=most, on_problem=reported.append)

    counts = Counter(given)
    assert {
        (column, one.reason): one.count
        for one in found.mistakes
        for column in one.columns or (None,)
    } == counts
    by_count = [one.count for one in found.mistakes]
    assert by_count == sorted(by_count, reverse=True)
    for one in found.mistakes:
        for column in one.columns or (None,):
            kind = (column, one.reason)
            lines = [place + 1 for place, each in enumerate(given, 1) if each == kind]
            assert one.lines == tuple(lines[:5])
    assert reported == rows


def test_what_a_whole_row_lacks_is_one_mistake() -> None:
    """Six columns that are empty in the same rows are not six lines."""
    found = check(
        bad(place, column, "must be given")
        for place in (1, 2)
        for column in ("amount", "currency")
    )

    assert [*map(str, found.mistakes)] == [
        "lines 2, 3, columns amount, currency: must be given"
    ]


def test_a_row_that_is_not_sent_is_in_no_sum() -> None:
    """Neither the second row of an id, nor one that would expire too soon."""
    late = good(3, 500, "PLN")
    late = attrs.evolve(late, request=attrs.evolve(late.request, expires_at=1_000))
    rows = [good(1, 100, "PLN"), good(2, 200, "PLN", "A-1"), late]

    found = check(rows, now=1_000)

    assert found.amounts["PLN"].total == 100
    assert (found.total, found.repeated) == (3, 1)
    assert {one.reason for one in found.mistakes} == {
        REPEATED,
        "expires_at must be at least 2.5 hours ahead",
    }


def test_ids_that_a_spreadsheet_has_rounded_are_counted() -> None:
    """Two orders in a hundred thousand may have become one."""
    ids = ["1E+05", "4,8601E+10", "1E5", "100000"]

    found = check(good(place, 1, "PLN", one) for place, one in enumerate(ids, 1))

    assert (found.ruined, found.mistakes) == (2, ())


@pytest.mark.parametrize(
    "state",
    [*State, "pending", "", None, 7, pytest.param(["created"], id="a list")],
)
def test_rows_that_a_job_has_sent_are_counted(state: object) -> None:
    """An export says of them that they have a session, or may have one."""
    row = attrs.evolve(good(1, 1, "PLN", "A-1"), raw={"cg_state": state})

    found = check([row])

    may_have_one = state in [State.SENT, State.CREATED, State.UNKNOWN]
    assert (found.sent, found.mistakes) == (int(may_have_one), ())


def test_mistakes_of_a_kind_for_each_row_are_bounded() -> None:
    """Columns of JSON may have any names: what is beyond is still counted."""
    found = check(bad(place, f"column {place}", "x") for place in range(1, 3_001))

    assert len(found.mistakes) == 1_001
    assert sum(one.count for one in found.mistakes) == found.total == 3_000
