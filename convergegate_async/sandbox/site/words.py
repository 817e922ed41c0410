"""What the pages say in Polish and in English, and how each spells an amount."""

from collections.abc import Mapping

from convergegate_async._core.money import spell_major

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "pay": "Pay",
        "title": "Pay with BLIK",
        "for": "Customer",
        "code": "BLIK code",
        "hint": "Six digits from your bank's app",
        "cancel": "Cancel",
        "codes": "BLIK codes of this sandbox",
        "other": "any other six digits",
        "waiting": "Confirm the payment in your bank's app",
        "waiting_hint": "This page updates by itself.",
        "again": "Use another code",
        "done": "Paid",
        "done_hint": "You are being taken back to the shop.",
        "back": "Back to the shop",
        "expired": "This payment has expired",
        "expired_hint": "Nothing was paid. Start again in the shop.",
        "unknown": "There is no such payment",
        "unknown_hint": "Check the address, or start again in the shop.",
        "malformed": "Type the six digits of the code.",
        "refused": "The bank refused the payment. Try another code.",
        "code_expired": "The code has expired. Get a new one in your bank's app.",
        "point": ".",
    },
    "pl": {
        "pay": "Zapłać",
        "title": "Zapłać BLIKIEM",
        "for": "Klient",
        "code": "Kod BLIK",
        "hint": "Sześć cyfr z aplikacji banku",
        "cancel": "Anuluj",
        "codes": "Kody BLIK tej piaskownicy",
        "other": "każde inne sześć cyfr",
        "waiting": "Potwierdź płatność w aplikacji banku",
        "waiting_hint": "Ta strona sama się odświeża.",
        "again": "Użyj innego kodu",
        "done": "Zapłacono",
        "done_hint": "Za chwilę wrócisz do sklepu.",
        "back": "Wróć do sklepu",
        "expired": "Ta płatność wygasła",
        "expired_hint": "Nic nie zapłacono. Zacznij od nowa w sklepie.",
        "unknown": "Nie ma takiej płatności",
        "unknown_hint": "Sprawdź adres albo zacznij od nowa w sklepie.",
        "malformed": "Wpisz sześć cyfr kodu.",
        "refused": "Bank odrzucił płatność. Spróbuj innego kodu.",
        "code_expired": "Kod wygasł. Wygeneruj nowy w aplikacji banku.",
        "point": ",",
    },
}
_CURRENCY_SIGNS = {("pl", "pln"): "zł"}


def language_of(locale: str | None, accepted: str) -> str:
    """Choose Polish or English: the session's *locale*, else the browser's wish."""
    for tag in (locale or "", *accepted.split(",")):
        language = tag.strip()[:2].lower()
        if language in WORDS:
            return language
    return "en"


def spell_amount(amount: int, currency: str, language: str = "en") -> str:
    """Return *amount* minor units as *language* writes them."""
    major = spell_major(amount, currency, WORDS[language]["point"])
    return f"{major} {_CURRENCY_SIGNS.get((language, currency), currency.upper())}"
