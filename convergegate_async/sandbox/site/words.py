"""What customers are told, in Polish and in English, as each language spells it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from convergegate_async._core.money import THOUSANDS, spell_major
from convergegate_async.sandbox._book import CodeFate

LANGUAGES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "ribbon": "Sandbox · no real money",
        "mark": "sandbox",
        "title": "Pay with BLIK",
        "order": "Order {}",
        "payer": "Customer",
        "until": "Pay by",
        "left": "Time left",
        "hours": "h",
        "minutes": "min",
        "five_minutes": "Five minutes left to pay.",
        "one_minute": "One minute left to pay.",
        "code": "BLIK code",
        "hint": "Six digits from your bank\u2019s app.",
        "by_itself": "The code is sent with the sixth one.",
        "pay": "Pay {}",
        "sending": "Sending the code…",
        "cancel": "Cancel and return to the shop",
        "malformed": "Type the six digits of the code.",
        "refused": "The bank refused the payment. Get a new code and try again.",
        "code_expired": "The code has expired. Get a new one in your bank\u2019s app.",
        "codes": "Test codes",
        "code_head": "Code",
        "fate_head": "What happens",
        "other": "any other",
        "waiting": "Confirm the payment in your bank\u2019s app",
        "waiting_hint": "This page goes on by itself once you have confirmed.",
        "again": "Use another code",
        "done": "Paid",
        "done_hint": "You are being taken back to the shop.",
        "back": "Back to the shop",
        "expired": "This payment has expired",
        "expired_hint": "Nothing was paid. To pay, start again in the shop.",
        "unknown": "There is no such payment",
        "unknown_hint": "Check the address, or start again in the shop.",
    },
    "pl": {
        "ribbon": "Tryb testowy · bez prawdziwych pieniędzy",
        "mark": "tryb testowy",
        "title": "Zapłać BLIKIEM",
        "order": "Zamówienie {}",
        "payer": "Klient",
        "until": "Zapłać do",
        "left": "Pozostały czas",
        "hours": "godz.",
        "minutes": "min",
        "five_minutes": "Na zapłatę zostało pięć minut.",
        "one_minute": "Na zapłatę została minuta.",
        "code": "Kod BLIK",
        "hint": "Sześć cyfr z aplikacji banku.",
        "by_itself": "Po wpisaniu szóstej kod wyśle się sam.",
        "pay": "Zapłać {}",
        "sending": "Wysyłamy kod…",
        "cancel": "Anuluj i wróć do sklepu",
        "malformed": "Wpisz sześć cyfr kodu.",
        "refused": "Bank odrzucił płatność. Wygeneruj nowy kod i spróbuj ponownie.",
        "code_expired": "Kod wygasł. Wygeneruj nowy w aplikacji banku.",
        "codes": "Kody testowe",
        "code_head": "Kod",
        "fate_head": "Co się stanie",
        "other": "każdy inny",
        "waiting": "Potwierdź płatność w aplikacji banku",
        "waiting_hint": "Gdy ją potwierdzisz, ta strona odświeży się sama.",
        "again": "Użyj innego kodu",
        "done": "Zapłacono",
        "done_hint": "Za chwilę wrócisz do sklepu.",
        "back": "Wróć do sklepu",
        "expired": "Ta płatność wygasła",
        "expired_hint": "Nie pobraliśmy pieniędzy. Aby zapłacić, wróć do sklepu.",
        "unknown": "Nie ma takiej płatności",
        "unknown_hint": "Sprawdź adres albo zacznij od nowa w sklepie.",
    },
}

FATES: Mapping[str, Mapping[CodeFate, str]] = {
    "en": {fate: str(fate) for fate in CodeFate},
    "pl": {
        CodeFate.PAID: "płatność przyjęta od razu",
        CodeFate.PAID_LATER: "płatność przyjęta po dwóch sekundach",
        CodeFate.REFUSED: "bank odrzuca płatność",
        CodeFate.UNCONFIRMED: "klient nie potwierdza w aplikacji",
        CodeFate.EXPIRED: "kod stracił ważność",
    },
}

_MONTHS: Mapping[str, str] = {
    "en": "January February March April May June July August September October "
    "November December",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września "
    "października listopada grudnia",
}


def language_of(locale: str | None, accepted: str) -> str:
    """Choose Polish or English: the session's *locale*, else the browser's wish."""
    for tag in (locale or "", *accepted.split(",")):
        language = tag.strip()[:2].lower()
        if language in LANGUAGES:
            return language
    return "en"


def spell_amount(amount: int, currency: str, language: str = "en") -> str:
    """Return *amount* minor units as *language* writes them; no line breaks in it."""
    code = currency.upper()
    if language == "pl":
        sign = "zł" if code == "PLN" else code
        return f"{spell_major(amount, currency, ',')}\u00a0{sign}"
    return f"{code}\u00a0{spell_major(amount, currency).replace(THOUSANDS, ',')}"


def spell_moment(seconds: float, language: str = "en") -> str:
    """Return a time as *language* writes it: 30 November 2026, 10:33 UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    month = _MONTHS[language].split()[moment.month - 1]
    return f"{moment.day} {month} {moment.year}, {moment:%H:%M} UTC"


def spell_clock(seconds: float) -> str:
    """Return a time for those who develop: 2026-11-30 10:33:00 UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def spell_short(seconds: float, now: float) -> str:
    """Return day and time, with the year unless it is this one: 29 Nov 10:33:00."""
    moment, today = (datetime.fromtimestamp(one, UTC) for one in (seconds, now))
    month = _MONTHS["en"].split()[moment.month - 1][:3]
    year = "" if moment.year == today.year else f" {moment.year}"
    return f"{moment.day} {month}{year} {moment:%H:%M:%S}"


def spell_iso(seconds: float) -> str:
    """Return a time for programs: 2026-11-30T10:33:00Z."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
