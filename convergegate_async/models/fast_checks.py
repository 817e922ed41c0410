"""What a rule takes as it is, told by one look: of a type, and of what that type is.

The rule stays the only judge of whatever does not pass, and none is written here anew:
a look takes what its rule takes or less of it.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from . import rules

Look: TypeAlias = Callable[[Any], object]


def _of(pattern: re.Pattern[str]) -> Look:
    """Take printable ASCII of a rule's own *pattern*."""
    printable = rf"(?=[ -~]{{1,{rules.MAX_TEXT}}}\Z)"
    return re.compile(rf"{printable}(?:{pattern.pattern})").fullmatch


def _of_few(look: Look) -> Look:
    """Remember what was found of values that a shop has few of."""
    return lru_cache(maxsize=512)(look)


_LABEL = "[A-Za-z0-9-]{1,63}"
_ATOM = "[A-Za-z0-9_+-]{1,31}"
# The most common addresses; the rule's own pattern costs ten times as much.
_EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})?@({_LABEL}\.){{1,8}}{_LABEL}")
# Some of what the rule takes, which parses each to judge it.
_URL = re.compile(
    rf"https?://({_LABEL}\.){{1,8}}{_LABEL}(/[A-Za-z0-9._~/?&=%+#-]{{0,1400}})?"
)

FAST_CHECKS: dict[rules.Rule, tuple[type, Look]] = {
    rules.amount: (int, rules.is_payable),
    rules.currency: (str, _of_few(_of(rules.CURRENCY))),
    rules.email: (str, _EMAIL.fullmatch),
    rules.name: (str, rules.is_of_letters),
    rules.words: (tuple, rules.are_words),
    rules.phone: (str, rules.PHONE.fullmatch),  # short and printable by itself
    rules.url: (str, _of_few(_URL.fullmatch)),
    rules.country: (str, _of_few(_of(rules.COUNTRY))),
    rules.locale: (str, _of_few(_of(rules.LOCALE))),
}
