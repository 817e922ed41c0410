"""How long things took, in a histogram of fixed size.

The only module that knows hdrhistogram (extra ``load``). That library refuses what is
beyond its range without a word: here it is counted, as the longest there is.
"""

import math
from collections.abc import Collection, Iterator
from io import BytesIO
from itertools import compress
from typing import Any

from convergegate_async.errors import ConfigurationError

LONGEST = 3_600
"""Seconds; what took longer counts as this, and as beyond."""

FINE, COARSE = 3, 2
"""Digits of a duration that are kept: its percentiles are exact to 0.1 % or to 1 %, in
some 180 KB or 30."""

NANOSECONDS = 1_000_000_000
"""In a second."""

_MOST_ENCODED = 200_000
"""Bytes: what is more is no histogram of ours, and may unpack to a gigabyte."""

_PER_MICROSECOND = 1_000  # nanoseconds; the histogram's unit is a microsecond
_MICROSECONDS = 1_000_000  # in a second
_MILLISECOND = 1_000  # in microseconds


class Times:
    """Durations, in no more memory than the first of them took.

    Args:
        digits: `FINE` or `COARSE`; only what has the same can be added.
        encoded: What `encoded` returned of others.
        beyond: How many of those were longer than `LONGEST`.

    Raises:
        ValueError: What *encoded* says is no histogram.

    Attributes:
        digits: `FINE` or `COARSE`.
        beyond: How many were longer than `LONGEST`.
    """

    __slots__ = ("_histogram", "beyond", "digits")

    def __init__(
        self, digits: int = FINE, encoded: bytes | None = None, beyond: int = 0
    ) -> None:
        self._histogram: Any = _new_histogram(digits)
        self.digits: int = digits
        self.beyond: int = beyond
        if encoded is not None:
            self._decode(encoded)

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def record(self, nanoseconds: int) -> None:
        """Add a duration; below a microsecond it is one."""
        microseconds = max(1, nanoseconds // _PER_MICROSECOND)
        if not self._histogram.record_value(microseconds):
            self.beyond += 1
            self._histogram.record_value(LONGEST * _MICROSECONDS)

    def add(self, other: "Times") -> None:
        """Add all durations of *other*."""
        self._histogram.add(other._histogram)  # noqa: SLF001 -- its own class
        self.beyond += other.beyond

    def percentiles(self, wanted: Collection[float]) -> dict[float, float]:
        """Return by percentile the seconds that so many took at most; 0 of none.

        They cost one pass over the histogram, however many are asked for.
        """
        if not len(self):
            return dict.fromkeys(wanted, 0.0)
        # The library rounds ranks to the nearest, and so leaves out the slowest of few.
        found, passed, longest = dict[float, float](), 0, 0
        recorded = self._recorded()
        for rank, percentile in sorted((rank_of(p, len(self)), p) for p in wanted):
            while passed < rank:
                longest, count = next(recorded)
                passed += count
            found[percentile] = longest / _MICROSECONDS
        return found

    def counts(self) -> Iterator[tuple[float, int]]:
        """Yield durations in seconds, the shortest first, and how many there are."""
        return ((one / _MICROSECONDS, count) for one, count in self._recorded())

    @property
    def longest(self) -> float:
        """Seconds of the longest; 0 of none."""
        return float(self._histogram.get_max_value()) / _MICROSECONDS

    @property
    def mean(self) -> float:
        """Seconds on average; 0 of none."""
        lowest = self._histogram.get_lowest_equivalent_value
        total = sum((lowest(one) + one) / 2 * count for one, count in self._recorded())
        return total / len(self) / _MICROSECONDS if self else 0.0

    def percentile_distribution(self) -> str:
        """Return them as HdrHistogram's own tools do, in milliseconds: ``.hgrm``."""
        written = BytesIO()
        self._histogram.output_percentile_distribution(written, _MILLISECOND)
        # The library leaves its deviation in microseconds.
        deviation = self._histogram.get_stddev()
        wrong, right = (
            f"{one:12.{self.digits}f}]" for one in (deviation, deviation / _MILLISECOND)
        )
        return written.getvalue().decode().replace(wrong, right, 1)

    def encoded(self) -> bytes:
        """Return them in HdrHistogram's own compressed form, in base64."""
        encoded: bytes = self._histogram.encode()
        return encoded

    def _recorded(self) -> Iterator[tuple[int, int]]:
        """Yield microseconds, and how many there are of them.

        The library's own iterator stops at every bucket, and takes fifty times as long.
        Nearly all counts of its array are 0: they are looked at as a list, in C.
        """
        value_of = self._histogram.get_value_from_index
        longest_of = self._histogram.get_highest_equivalent_value
        counts = self._histogram.counts[:]
        for index in compress(range(len(counts)), counts):
            yield longest_of(value_of(index)), counts[index]

    def _decode(self, encoded: bytes) -> None:
        if len(encoded) > _MOST_ENCODED:
            raise ValueError(len(encoded))
        try:
            self._histogram.decode_and_add(encoded)
            len(self)  # a number beyond every list's is refused here, too
        except Exception as error:
            message = "this is no histogram"
            raise ValueError(message) from error

    def __reduce__(self) -> tuple[type["Times"], tuple[int, bytes, int]]:
        # The histogram is C's memory; a worker sends what it has measured so.
        return Times, (self.digits, self.encoded(), self.beyond)


def rank_of(percentile: float, count: int) -> int:
    """Return which of so many, from the shortest on, has at least that share up to it.

    The nearest-rank definition: the slowest of sixty is their ``p99``.
    """
    return max(1, math.ceil(round(percentile * count / 100, 9)))


def _new_histogram(digits: int) -> Any:  # noqa: ANN401 -- the library has no types
    try:
        from hdrh.histogram import HdrHistogram  # noqa: PLC0415 -- of the extra `load`
    except ImportError:
        message = (
            'load tests need the extra "load": pip install "convergegate-async[load]"'
        )
        raise ConfigurationError(message) from None
    return HdrHistogram(1, LONGEST * _MICROSECONDS, digits)
