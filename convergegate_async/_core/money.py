"""Minor units and how people read them (ISO 4217)."""

_EXPONENTS = {
    **dict.fromkeys(("clf", "uyw"), 4),
    **dict.fromkeys(
        ("bif", "clp", "djf", "gnf", "isk", "jpy", "kmf", "krw", "pyg", "rwf"), 0
    ),
    **dict.fromkeys(("ugx", "uyi", "vnd", "vuv", "xaf", "xof", "xpf"), 0),
    **dict.fromkeys(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"), 3),
}


def exponent_of(currency: str) -> int:
    """Return how many digits the minor unit of *currency* has: two for most."""
    return _EXPONENTS.get(currency.lower(), 2)


def spell_major(amount: int, currency: str, point: str = ".") -> str:
    """Return *amount* minor units in major units, thousands apart: ``1 234.50``."""
    digits = exponent_of(currency)
    whole, fraction = divmod(amount, 10**digits)
    major = f"{whole:,}".replace(",", "\u202f")
    return f"{major}{point}{fraction:0{digits}}" if digits else major
