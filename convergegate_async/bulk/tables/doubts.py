"""What looks like a slip in a table that can be read: for questions, not refusals.

A false alarm stops whoever was right, and so each rule says less than it could.
"""

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from decimal import Decimal
from operator import ne
from typing import NamedTuple

from convergegate_async._core.money import EXPONENTS
from convergegate_async.errors import InvalidFieldError

from .amounts import spell_plainly

_SCIENTIFIC = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?[Ee]\+[0-9]{1,3}")

_LIKE_ZLOTY = {"PLN", "EUR", "USD", "GBP", "CHF", "CAD", "AUD", "NZD", "RON"}
"""One of each buys so little, and so much, that the same purchases are ordinary."""
_LEAST = 5  # of an ordinary purchase, in major units of these
_MINOR = 100  # units of each

_FUNDS = {"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XAD"}
_MEANT = sorted(
    code
    for code, digits in EXPONENTS.items()
    if digits is not None and code not in _FUNDS
)


def is_ruined(text: str) -> bool:
    """Tell whether a spreadsheet wrote an id as a rounded number, as in ``1E+05``.

    Ids such as ``1E5`` and ``7E-12`` are somebody's own: only large numbers lose their
    digits, and those get a plus sign.
    """
    return _SCIENTIFIC.fullmatch(text) is not None


def looks_major(amounts: Iterable[tuple[str, str]]) -> bool:
    """Tell whether amounts that are taken for minor units look like major ones.

    They do if at least half of them have decimals, or if the middle one of those in
    złoty, euro and the like is from 5 to 499, which is no ordinary purchase in minor
    units (under 5.00) and one in major units.

    Args:
        amounts: The cells of amount and currency of some first rows. Cells that cannot
            be read, or may mean two numbers, say nothing.
    """
    read = _read(amounts)
    with_decimals = [amount for amount in read if amount.has_decimals]
    if with_decimals and len(with_decimals) * 2 >= len(read):
        return True
    middle = _middle(read)
    return middle is not None and _LEAST <= middle < _LEAST * _MINOR


def meant_currency(code: str, beside: Collection[str] = ()) -> str | None:
    """Return the currency that was meant by a *code* of ISO 4217 that there is none of.

    Args:
        code: Such as ``PLM``: one letter is another, or two neighbours changed places.
        beside: Currencies of the same table, in capitals, which are meant before all
            others.

    Returns:
        The only one that fits; `None` if none does, or several.
    """
    code = code.upper()
    if code in EXPONENTS or len(code) != len("PLN"):
        return None
    swapped = {code[1] + code[0] + code[2], code[0] + code[2] + code[1]}
    near = [
        meant for meant in _MEANT if meant in swapped or sum(map(ne, meant, code)) == 1
    ]
    candidates = [meant for meant in near if meant in beside] or near
    return candidates[0] if len(candidates) == 1 else None


class _Amount(NamedTuple):
    value: Decimal
    has_decimals: bool
    is_like_zloty: bool


def _read(amounts: Iterable[tuple[str, str]]) -> list[_Amount]:
    read: list[_Amount] = []
    for text, currency in amounts:
        with suppress(InvalidFieldError):
            plain = spell_plainly("amount", text, None)
            # pandas writes whole floats with .0, whatever their unit.
            has_decimals = "." in plain.removesuffix(".0")
            is_like_zloty = currency.upper() in _LIKE_ZLOTY
            read.append(_Amount(Decimal(plain), has_decimals, is_like_zloty))
    return read


def _middle(read: Iterable[_Amount]) -> Decimal | None:
    values = sorted(amount.value for amount in read if amount.is_like_zloty)
    return values[(len(values) - 1) // 2] if values else None
