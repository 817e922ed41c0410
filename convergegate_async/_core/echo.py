"""What an answer repeats of its request, field by field: it must be what was sent.

A stray answer on a pooled connection looks like any other 2xx. Compared is only what
the answer does repeat; the gateway's samples leave much out (DESIGN.md, *Echo check*).
"""

from collections.abc import Collection, Mapping
from operator import attrgetter

from .addresses import normal_host, normal_url

ECHO_FIELDS = (
    "id",
    "customer_email",
    "currency",
    "amount_subtotal",
    "success_url",
    "cancel_url",
    "notification_url",
    "session_id",
    "amount",
    "reason",
    "metadata",
)


_IDENTIFYING = frozenset({"customer_email", "amount_subtotal", "metadata"})
"""What tells one purchase from another; all of a shop's may share the rest."""


class Echo:
    """What an answer may repeat of the request that it is to.

    Args:
        names: The answer's fields, and the request's for each.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._reported = attrgetter(*names)
        self._sent = attrgetter(*names.values())

    def expected_of(self, request: object) -> dict[str, object]:
        """Return what *request* sent, by the answer's field names."""
        return {name: getattr(request, own) for name, own in self._names.items()}

    def is_whole(self, request: object, answer: object) -> bool:
        """Tell whether *answer* repeats all of it, as it was sent."""
        is_whole: bool = self._sent(request) == self._reported(answer)
        return is_whole


def compare(
    expected: Mapping[str, object], answer: object, fields: Collection[str]
) -> tuple[tuple[str, ...], bool]:
    """Compare what *answer* repeats with what was sent.

    Returns:
        The names of *fields* in which it repeats something else, and whether it repeats
        any of them that tells one purchase from another.
    """
    names: list[str] = []
    repeats = False
    for name, one in expected.items():
        other = getattr(answer, name)
        if one is None or other is None or name not in fields:
            continue
        if one != other and _differs(name, one, other):
            names.append(name)
        repeats = repeats or (name in _IDENTIFYING and _is_repeated(one, other))
    return tuple(names), repeats


def differing_fields(
    expected: Mapping[str, object], answer: object, fields: Collection[str]
) -> tuple[str, ...]:
    """Return the names of *fields* in which *answer* repeats something else."""
    return compare(expected, answer, fields)[0]


def _is_repeated(sent: object, reported: object) -> bool:
    if not isinstance(sent, Mapping) or not isinstance(reported, Mapping):
        return True
    return any(reported.get(key) for key in sent)


def _differs(name: str, sent: object, reported: object) -> bool:
    match sent, reported:
        case Mapping(), Mapping():
            return any(
                reported[key] not in ("", sent[key])
                for key in sent.keys() & reported.keys()
            )
        case str(), str() if name == "customer_email":
            return not _is_same_email(sent, reported)
        case str(), str() if name == "currency":
            return sent.casefold() != reported.casefold()
        case str(), str() if name.endswith("_url"):
            return normal_url(sent) != normal_url(reported)
        case _:
            return sent != reported


def _is_same_email(sent: str, reported: str) -> bool:
    if sent.casefold() == reported.casefold():
        return True
    name, _, host = sent.rpartition("@")
    reported_name, _, reported_host = reported.rpartition("@")
    return name.casefold() == reported_name.casefold() and (
        normal_host(host) == normal_host(reported_host)
    )
