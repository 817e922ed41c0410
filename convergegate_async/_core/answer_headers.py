"""The headers of an answer, for whoever wants to see them."""

from collections.abc import Callable, Iterable, Iterator, Mapping

MOST_HEADERS = 16_384
"""How many characters of names and values are kept."""


def kept_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return values by their names in lower case, those of one name joined.

    Cookies are left out: they are secrets of the gateway's. So is what does not fit.
    """
    kept: dict[str, str] = {}
    left = MOST_HEADERS
    for given, value in pairs:
        name = given.lower()
        joined = f"{kept[name]}, {value}" if name in kept else value
        cost = len(joined) - len(kept[name]) if name in kept else len(name + value)
        if name != "set-cookie" and cost <= left:
            left -= cost
            kept[name] = joined
    return kept


class Headers(Mapping[str, str]):
    """`kept_headers`, found by a name in any case, and made when somebody looks.

    They are not pickled: what comes back is an empty `dict`.

    Args:
        pairs: Tells name and value of each that came.
    """

    __slots__ = ("_kept", "_pairs")

    def __init__(self, pairs: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._pairs = pairs
        self._kept: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        pairs = self._pairs  # first: another thread may be about to let go of them
        if self._kept is None:
            self._kept = kept_headers(pairs())
            self._pairs = tuple  # they hold cookies, and what did not fit
        return self._kept

    def __getitem__(self, name: str) -> str:
        return self._read()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"<Headers: {', '.join(self)}>"

    def __reduce__(self) -> tuple[type[dict[str, str]], tuple[()]]:
        return dict, ()
