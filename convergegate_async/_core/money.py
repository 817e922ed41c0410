"""Major and minor units, exactly, by the exponents of ISO 4217."""

import re
from decimal import Decimal

from convergegate_async.errors import InvalidFieldError
from convergegate_async.models import rules

PUBLISHED = "2026-01-01"
"""The date of list one of ISO 4217 that the table below repeats, funds included."""

_CODES = {
    0: """BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF""",
    2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN
        BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN
        ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD
        KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR
        MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON
        RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
        TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW
        ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
    None: "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX",  # have no minor unit
}
EXPONENTS = {code: digits for digits, codes in _CODES.items() for code in codes.split()}
"""How many decimals each currency has; `None` where it has no minor unit."""

_AMOUNT, _CURRENCY = "amount", "currency"  # the fields that are refused

_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_WITH_COMMA = re.compile(r"-?[0-9]+,[0-9]{1,2}")
_GROUPED = re.compile(r"-?[1-9][0-9]{0,2}([\s,.'_\u2019][0-9]{3})+([.,][0-9]+)?")
_GROUP = 3  # digits between the signs that part thousands
_MOST_DIGITS = len(str(rules.MAX_AMOUNT))

THOUSANDS = "\u202f"
"""Stands between thousands: a narrow space that breaks no line."""


def minor_units(amount: str | int | Decimal, currency: str) -> int:
    """Return *amount* of major units in minor ones: ``minor_units("49.99", "PLN")``.

    It is exact or refused: nothing is rounded.

    Args:
        amount: Such as ``"49.99"`` or ``Decimal("49.99")``; an `int` is whole units.
        currency: Three-letter ISO 4217 code, in any case.

    Raises:
        InvalidFieldError: *amount* is a float, is written in another way, or has more
            decimals than the currency; or ISO 4217 (as of 2026-01-01) knows no such
            currency, or no minor unit of it.
    """
    digits = _exponent(currency)
    sign, figures, exponent = _read(amount, digits).as_tuple()
    significant = "".join(map(str, figures)).rstrip("0")
    if not significant:
        return 0
    exponent = int(exponent) + len(figures) - len(significant)
    if exponent < -digits:
        reason = f"must have at most {digits} decimals in {currency.upper()}"
        raise InvalidFieldError(_AMOUNT, reason)
    if len(significant) + exponent + digits > _MOST_DIGITS:
        raise InvalidFieldError(_AMOUNT, "is too large")
    units = int(significant + "0" * (exponent + digits))
    return -units if sign else units


def major_units(amount: int, currency: str) -> Decimal:
    """Return *amount* of minor units in major ones: 4999 of PLN is `Decimal` 49.99.

    Args:
        amount: In minor units.
        currency: Three-letter ISO 4217 code, in any case.

    Raises:
        InvalidFieldError: *amount* is no `int`; or ISO 4217 (as of 2026-01-01) knows no
            such currency, or no minor unit of it.
    """
    digits = _exponent(currency)
    value = rules.plain(amount)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidFieldError(_AMOUNT, "must be an int of minor units")
    if abs(value) >= 10**_MOST_DIGITS:
        raise InvalidFieldError(_AMOUNT, "is too large")
    return Decimal(f"{value}e-{digits}")


def exponent_of(currency: str) -> int:
    """Return how many decimals *currency* is shown with: two if nobody knows."""
    digits = EXPONENTS.get(currency.upper(), 2)
    return 0 if digits is None else digits


def spell_major(amount: int, currency: str, point: str = ".") -> str:
    """Return *amount* minor units in major units, thousands apart: ``1 234.50``."""
    digits = exponent_of(currency)
    whole, fraction = divmod(amount, 10**digits)
    major = f"{whole:,}".replace(",", THOUSANDS)
    return f"{major}{point}{fraction:0{digits}}" if digits else major


def _exponent(currency: str) -> int:
    code = rules.currency("currency", currency).upper()
    if code not in EXPONENTS:
        reason = f"must be a code of ISO 4217 as of {PUBLISHED}, such as PLN"
        raise InvalidFieldError(_CURRENCY, reason)
    digits = EXPONENTS[code]
    if digits is None:
        raise InvalidFieldError(_CURRENCY, f"{code} has no minor unit")
    return digits


def _read(amount: object, digits: int) -> Decimal:
    value = rules.plain(amount)
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) < 10**_MOST_DIGITS:
            return Decimal(value)
        raise InvalidFieldError(_AMOUNT, "is too large")
    if isinstance(value, float):
        reason = 'must be exact, and a float is not: write "49.99" or Decimal("49.99")'
        raise InvalidFieldError(_AMOUNT, reason)
    reason = 'must be a plain decimal number, such as "49.99"'
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value)
        is_grouped = _GROUPED.fullmatch(value)
        if is_plain and not (is_grouped and digits < _GROUP):
            return Decimal(value)
        if is_plain:  # 1.000 is one dinar, and in złoty more likely a thousand
            reason = 'may mean thousands by its decimal mark: write "1234" or "1.23"'
        elif is_grouped:
            reason = 'must not part thousands: write "1234.50"'
        elif _WITH_COMMA.fullmatch(value):
            reason = 'must have a point before its decimals: write "49.99"'
    raise InvalidFieldError(_AMOUNT, reason)
