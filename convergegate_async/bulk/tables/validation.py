"""All that is wrong with an input, and what it comes to, before a row is sent."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs

from convergegate_async._core.money import EXPONENTS
from convergegate_async._core.operations import lives_long_enough

from .doubts import is_ruined
from .formats import OWN_PREFIX
from .row_counter import RowCounter
from .rows import Problem, Row, in_columns
from .seen import SeenTexts

_FIRST = 5  # lines of a mistake that are named
_SAMPLES = 3
_MOST_KINDS = 1_000  # of mistakes: each row of JSON may have columns of its own
_OTHERS = (None, "other mistakes, of too many kinds to be told apart")
_Kind: TypeAlias = tuple[str | None, str]
_REPEATED = "has the id of an earlier row"
_TOO_SOON = "expires_at must be at least 2.5 hours ahead"
_STATE = f"{OWN_PREFIX}state"
_SENT = ("sent", "created", "unknown")  # as a journal spells them


@attrs.frozen(kw_only=True)
class AmountSummary:
    """What the good rows of one currency come to, in its minor units.

    Attributes:
        rows: How many they are.
        total: Their sum.
        smallest: The smallest amount.
        largest: The largest.
    """

    rows: int
    total: int
    smallest: int
    largest: int


@attrs.frozen(kw_only=True)
class Mistake:
    """A problem that several rows may have.

    Attributes:
        columns: Those that hold or lack the values, in the same rows; none if it is the
            rows as a whole.
        reason: What is wrong, without a value.
        count: In how many rows.
        lines: Where the first of them begin.
    """

    columns: tuple[str, ...]
    reason: str
    count: int
    lines: tuple[int, ...]

    def __str__(self) -> str:
        """Return it as the problem of one row reads."""
        lines = ", ".join(map(str, self.lines))
        if more := self.count - len(self.lines):
            lines += f" and {more:,} more"
        word = "line" if self.count == 1 else "lines"
        return f"{word} {lines}{in_columns(self.columns)}: {self.reason}"


@attrs.frozen(kw_only=True)
class Validation:
    """What is wrong with an input, and what it comes to.

    Attributes:
        total: How many rows it has, good and bad.
        problems: The first problems, in the order of the rows.
        more: How many there are besides.
        unknown_currencies: What is sent and is in no list of ISO 4217 that we know:
            a currency of tomorrow, or a typing error.
        mistakes: All problems, grouped by column and reason, the most frequent first.
        repeated: How many rows have the id of an earlier one.
        ruined: How many ids look like numbers that a spreadsheet rounded: ``1E+05``.
        sent: How many an export of a job says have a session, or may have one.
        amounts: What the good rows come to, by currency.
        samples: The first good rows.
        invalid: How many rows cannot be sent, whatever ids the others have.
    """

    total: int
    problems: tuple[Problem, ...]
    more: int
    unknown_currencies: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    repeated: int = 0
    ruined: int = 0
    sent: int = 0
    amounts: Mapping[str, AmountSummary] = attrs.field(
        default=MappingProxyType({}), hash=False
    )
    samples: tuple[Row, ...] = ()
    invalid: int = 0


def check(
    rows: Iterable[Row | Problem],
    *,
    most: int = 1_000,
    now: float | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> Validation:
    """Read all *rows*, and tell what is wrong with them.

    Ids that are given twice count, and sessions that would expire too soon if they were
    opened now. A currency that ISO 4217 does not know is told, and may be sent.

    Args:
        rows: What `read_table` gives.
        most: How many problems to keep; the others are only counted.
        now: The time, in epoch seconds; the clock's if `None`.
        on_problem: Is called with each problem as it is found, also with those that
            are not kept.
    """
    moment = time.time() if now is None else now
    counter, census, mistakes = RowCounter(), _Census(), _Mistakes()
    problems: list[Problem] = []
    for row in rows:
        wrongs = _wrongs_of(row, moment)
        if counter.take(row):
            wrongs += census.take(row, is_good=not wrongs)
        for problem in wrongs:
            mistakes.add(problem)
            if on_problem is not None:
                on_problem(problem)
        problems += wrongs[: most - len(problems)]
    return Validation(
        total=counter.count,
        problems=tuple(problems),
        more=mistakes.count - len(problems),
        unknown_currencies=tuple(sorted(census.currencies - EXPONENTS.keys())),
        mistakes=mistakes.listed(),
        repeated=census.repeated,
        ruined=census.ruined,
        sent=census.sent,
        amounts={code: sums.summary() for code, sums in sorted(census.sums.items())},
        samples=tuple(census.samples),
        invalid=census.invalid,
    )


def _wrongs_of(row: Row | Problem, moment: float) -> list[Problem]:
    """Return what is wrong with a row by itself."""
    if isinstance(row, Problem):
        return [row]
    if lives_long_enough(row.request.expires_at, moment):
        return []
    # A mapping may have read it from a column of another name.
    return [_problem(row, _TOO_SOON)]


@attrs.define
class _Sum:
    rows: int = 0
    total: int = 0
    smallest: int = 0
    largest: int = 0

    def add(self, amount: int) -> None:
        self.smallest = min(self.smallest, amount) if self.rows else amount
        self.largest = max(self.largest, amount)
        self.total += amount
        self.rows += 1

    def summary(self) -> AmountSummary:
        return AmountSummary(**attrs.asdict(self))


class _Census:
    """Counts rows, each once, and what the good ones come to.

    Attributes:
        currencies: Those of all rows that can be read, in capitals.
        sums: What the good rows come to, by currency.
        samples, repeated, ruined, sent, invalid: As in `Validation`.
    """

    def __init__(self) -> None:
        self.currencies: set[str] = set()
        self.sums: dict[str, _Sum] = {}
        self.samples: list[Row] = []
        self.repeated: int = 0
        self.ruined: int = 0
        self.sent: int = 0
        self.invalid: int = 0
        self._seen = SeenTexts()

    def take(self, row: Row | Problem, *, is_good: bool) -> list[Problem]:
        """Count a row, which is good by itself or not; return what others spoil."""
        if not is_good:
            self.invalid += 1
        if row.row_id is not None and is_ruined(row.row_id):
            self.ruined += 1
        if row.raw.get(_STATE) in _SENT:
            self.sent += 1
        is_repeated = row.row_id is not None and not self._seen.add(row.row_id)
        if isinstance(row, Row):
            currency = row.request.currency.upper()
            self.currencies.add(currency)
            if is_good and not is_repeated:
                self._add_good(row, currency)
        if not is_repeated:
            return []
        self.repeated += 1
        return [repeated_problem(row)]

    def _add_good(self, row: Row, currency: str) -> None:
        self.sums.setdefault(currency, _Sum()).add(row.request.amount)
        if len(self.samples) < _SAMPLES:
            self.samples.append(row)


class _Mistakes:
    """Counts problems by column and reason.

    Attributes:
        count: How many there are in all.
    """

    def __init__(self) -> None:
        self.count: int = 0
        self._counts = Counter[_Kind]()
        self._lines = defaultdict[_Kind, list[int]](list)

    def add(self, problem: Problem) -> None:
        """Count a problem."""
        kind: _Kind = (problem.column, problem.reason)
        if kind not in self._counts and len(self._counts) >= _MOST_KINDS:
            kind = _OTHERS
        self.count += 1
        self._counts[kind] += 1
        if len(self._lines[kind]) < _FIRST:
            self._lines[kind].append(problem.line)

    def listed(self) -> tuple[Mistake, ...]:
        """Return them all, the most frequent first."""
        alike: dict[tuple[object, ...], Mistake] = {}
        for (column, reason), count in self._counts.most_common():
            lines = tuple(self._lines[column, reason])
            one = Mistake(columns=(), reason=reason, count=count, lines=lines)
            # A whole row has no part in what its columns lack.
            place = (one, column is None)
            one = alike.get(place, one)
            columns = () if column is None else (column,)
            alike[place] = attrs.evolve(one, columns=one.columns + columns)
        return tuple(alike.values())


def repeated_problem(row: Row | Problem) -> Problem:
    """Return what is wrong with a row whose id an earlier one has."""
    return _problem(row, _REPEATED)


def _problem(row: Row | Problem, reason: str) -> Problem:
    return Problem(
        position=row.position,
        line=row.line,
        row_id=row.row_id,
        column=None,
        reason=reason,
        raw=row.raw,
    )
