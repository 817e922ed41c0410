"""The sandbox's pages as text: no network, no JavaScript, everything escaped."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from convergegate_async._core.money import spell_major
from convergegate_async.models import SessionStatus
from convergegate_async.sandbox._book import CODES, BookedSession
from convergegate_async.sandbox._faults import FaultKind

if TYPE_CHECKING:
    from convergegate_async.sandbox._seen import SeenRequest
    from convergegate_async.sandbox._webhook_sender import Delivery

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5c6877; --line: #d9dee5;
  --paper: #fff; --ground: #eef1f5; --brand: #1f5eff; --good: #12805c; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #9aa7b8;
  --line: #33404f; --paper: #1a222c; --ground: #10161d; --brand: #7ea2ff;
  --good: #4cc79a; --bad: #ff8577; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.ribbon { background: repeating-linear-gradient(45deg, #ffd84d 0 14px,
  #ffcb1f 14px 28px);
  color: #3b2f00; font-weight: 700; text-align: center; padding: .45rem 1rem;
  letter-spacing: .04em; }
main { max-width: 26rem; margin: 2rem auto; padding: 0 1rem; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 14px;
  padding: 1.75rem; box-shadow: 0 8px 30px rgb(0 0 0 / 7%); }
.amount { font-size: 2.4rem; font-weight: 700; line-height: 1.1; margin: .25rem 0 0; }
.soft { color: var(--soft); margin: .25rem 0; overflow-wrap: anywhere; }
label { display: block; font-weight: 600; margin: 1.5rem 0 .4rem; }
input.code { width: 100%; font-size: 2rem; letter-spacing: .45em; text-align: center;
  padding: .6rem 0 .6rem .45em; border: 2px solid var(--line); border-radius: 10px;
  background: transparent; color: inherit; font-variant-numeric: tabular-nums; }
input.code:focus { border-color: var(--brand); outline: none; }
button, .button { display: block; width: 100%; margin-top: 1rem; padding: .85rem 1rem;
  border: 1px solid var(--brand); border-radius: 10px; background: var(--brand);
  color: #fff; font: inherit; font-weight: 600; text-align: center;
  text-decoration: none; cursor: pointer; }
.button.quiet, button.quiet { background: transparent; color: var(--ink);
  border-color: var(--line); }
button:focus-visible, .button:focus-visible, summary:focus-visible {
  outline: 3px solid var(--brand); outline-offset: 2px; }
@media (prefers-color-scheme: dark) { button, .button { color: #0d1420; } }
.alert { border-left: 4px solid var(--bad); background: rgb(192 57 43 / 10%);
  padding: .7rem .9rem; border-radius: 6px; margin: 1.25rem 0 0; }
.sign { font-size: 3rem; line-height: 1; margin: 0 0 .5rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.spinner { width: 2.6rem; height: 2.6rem; border: 4px solid var(--line);
  border-top-color: var(--brand); border-radius: 50%; margin: 1.5rem auto;
  animation: turn 1s linear infinite; }
@keyframes turn { to { transform: rotate(1turn); } }
@media (prefers-reduced-motion: reduce) { .spinner { animation-duration: 6s; } }
details { margin-top: 1.5rem; font-size: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .4rem .6rem .4rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .92em; }
.wide { max-width: 68rem; }
.wide section { margin: 0 0 1.25rem; overflow-x: auto; }
.wide td { white-space: nowrap; }
a { color: var(--brand); }
.wide h1 { margin: 0 0 .25rem; } .wide h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
.row { display: flex; flex-wrap: wrap; gap: .6rem; }
.row form { margin: 0; } .row button { width: auto; margin: 0; padding: .45rem .9rem; }
.chip { display: inline-block; padding: 0 .55rem; border-radius: 99px;
  border: 1px solid currentcolor; font-size: .85em; }
.empty { color: var(--soft); margin: 0; }
select, input.small { font: inherit; padding: .35rem .5rem; border-radius: 8px;
  border: 1px solid var(--line); background: var(--paper); color: inherit; }
"""

_WORDS: Mapping[str, Mapping[str, str]] = {
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
_CHIPS = {"completed": "good", "expired": "bad"}


def language_of(locale: str | None, accepted: str) -> str:
    """Choose Polish or English: the session's *locale*, else the browser's wish."""
    for tag in (locale or "", *accepted.split(",")):
        language = tag.strip()[:2].lower()
        if language in _WORDS:
            return language
    return "en"


# -- the pay page --------------------------------------------------------------------


def pay_page(session: BookedSession, language: str, problem: str | None = None) -> str:
    """Ask for the code; *problem* is what was wrong with the last one."""
    words, request = _WORDS[language], session.request
    amount = _amount(session, language)
    name = f"{request.customer_firstname} {request.customer_lastname}"
    alert = f'<p class="alert" role="alert">{words[problem]}</p>' if problem else ""
    cancel = (
        f'<a class="button quiet" id="cancel" href="{escape(request.cancel_url)}">'
        f"{words['cancel']}</a>"
        if request.cancel_url
        else ""
    )
    codes = "".join(
        f"<tr><td><code>{code}</code></td><td>{fate}</td></tr>"
        for code, fate in CODES.items()
    )
    return _page(
        words["title"],
        f"""<p class="soft">{words["title"]}</p>
<p class="amount">{amount}</p>
<p class="soft">{words["for"]}: <span id="customer">{escape(name)}</span></p>{alert}
<form method="post" action="/pay/{session.id}">
<label for="blik_code">{words["code"]}</label>
<input class="code" id="blik_code" name="blik_code" inputmode="numeric"
 pattern="[0-9]{{3}}\\s?[0-9]{{3}}" maxlength="7" required autofocus
 autocomplete="one-time-code" aria-describedby="hint">
<p class="soft" id="hint">{words["hint"]}</p>
<button id="pay">{words["pay"]} {amount}</button></form>{cancel}
<details><summary>{words["codes"]}</summary><table>{codes}
<tr><td>{words["other"]}</td><td>paid at once</td></tr></table></details>""",
        language,
    )


def waiting_page(session: BookedSession, language: str) -> str:
    """Tell the customer to confirm, and look again by itself."""
    words = _WORDS[language]
    return _page(
        words["waiting"],
        f"""<p class="soft">{words["title"]}</p>
<p class="amount">{_amount(session, language)}</p>
<div class="spinner" aria-hidden="true"></div>
<p role="status"><strong>{words["waiting"]}</strong></p>
<p class="soft">{words["waiting_hint"]}</p>
<a class="button quiet" href="/pay/{session.id}?again=1">{words["again"]}</a>""",
        language,
        refresh="1",
    )


def paid_page(session: BookedSession, language: str) -> str:
    """Tell that it is paid, and lead back to the shop."""
    words, target = _WORDS[language], escape(session.request.success_url)
    return _page(
        words["done"],
        f"""<p class="sign good" aria-hidden="true">✓</p>
<p class="amount" role="status">{words["done"]}</p>
<p class="soft">{_amount(session, language)}</p>
<p class="soft">{words["done_hint"]}</p>
<a class="button" id="back" href="{target}">{words["back"]}</a>""",
        language,
        refresh=f"2;url={target}",
    )


def expired_page(session: BookedSession, language: str) -> str:
    """Tell that it is too late."""
    words, cancel_url = _WORDS[language], session.request.cancel_url
    back = (
        f'<a class="button" href="{escape(cancel_url)}">{words["back"]}</a>'
        if cancel_url
        else ""
    )
    return _notice("bad", "✗", words["expired"], words["expired_hint"], language, back)


def unknown_page(language: str) -> str:
    """Tell that nobody knows the session."""
    words = _WORDS[language]
    return _notice("bad", "?", words["unknown"], words["unknown_hint"], language)


def _notice(  # noqa: PLR0913, PLR0917 -- the parts of a sentence
    tone: str, sign: str, title: str, hint: str, language: str, more: str = ""
) -> str:
    content = f"""<p class="sign {tone}" aria-hidden="true">{sign}</p>
<p role="status"><strong>{title}</strong></p><p class="soft">{hint}</p>{more}"""
    return _page(title, content, language)


def _amount(session: BookedSession, language: str) -> str:
    currency = session.request.currency
    major = spell_major(session.request.amount, currency, _WORDS[language]["point"])
    return f"{major} {_CURRENCY_SIGNS.get((language, currency), currency.upper())}"


def _page(title: str, content: str, language: str, *, refresh: str = "") -> str:
    return _document(
        title, f'<main><div class="card">{content}</div></main>', language, refresh
    )


def _document(title: str, body: str, language: str, refresh: str = "") -> str:
    meta = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8">{meta}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · sandbox</title><style>{_STYLE}</style></head>
<body><div class="ribbon">SANDBOX · no real money</div>{body}</body></html>"""


# -- the status page -----------------------------------------------------------------


def status_page(
    *,
    sessions: Iterable[BookedSession],
    seen: Iterable["SeenRequest"],
    deliveries: Iterable["Delivery"],
    faults: Iterable[str],
    now: float,
) -> str:
    """Show what the gateway knows, saw and sent, newest first."""
    clock = _moment(now)
    options = "".join(f"<option>{kind}</option>" for kind in FaultKind)
    content = f"""<main class="wide">
<section class="card"><h1>The sandbox</h1>
<p class="soft">Its clock shows <strong id="clock">{clock}</strong>.</p>
<div class="row">{_clock_button("+1 minute", 60)}{_clock_button("+1 hour", 3600)}
{_clock_button("+1 day", 86400)}
<form method="post" action="/sandbox/reset"><button id="reset" class="quiet">Forget
everything</button></form></div></section>
<section class="card"><h2>Sessions</h2>{
        _table(
            ("id", "amount", "status", "refunded", "opened", "expires"),
            [_session_row(session) for session in sessions],
        )
    }</section>
<section class="card"><h2>Requests</h2>{
        _table(
            ("request", "answer", "key", "notes"),
            [_seen_row(entry) for entry in seen],
        )
    }</section>
<section class="card"><h2>Webhooks</h2>{
        _table(
            ("event", "to", "tries", "answer", "notes"),
            [_delivery_row(delivery) for delivery in deliveries],
        )
    }</section>
<section class="card"><h2>Faults</h2>{
        _table(("planned",), [(f"<code>{escape(fault)}</code>",) for fault in faults])
    }
<form class="row" method="post" action="/sandbox/faults" style="margin-top:1rem">
<select name="kind" aria-label="kind of fault">{options}</select>
<label style="margin:0">times <input class="small" name="times" value="1" size="3"
 inputmode="numeric"></label><button class="quiet">Add</button></form></section>
</main>"""
    return _document("The sandbox", content, "en")


def _session_row(session: BookedSession) -> tuple[str, ...]:
    request, status = session.request, session.status
    link = f'<a href="/pay/{session.id}"><code>{session.id}</code></a>'
    return (
        link,
        f"{spell_major(request.amount, request.currency)} {request.currency.upper()}",
        f'<span class="chip {_CHIPS.get(status, "")}">{status}</span>',
        spell_major(session.amount_refunded, request.currency)
        if session.amount_refunded
        else "",
        _moment(session.created_at),
        "" if status is SessionStatus.COMPLETED else _moment(session.expires_at),
    )


def _seen_row(seen: "SeenRequest") -> tuple[str, ...]:
    notes = [
        *(["from memory"] if seen.replayed else []),
        *([f"fault: {seen.fault}"] if seen.fault else []),
    ]
    return (
        f"<code>{escape(seen.method)} {escape(seen.path)}</code>",
        "none" if seen.status is None else str(seen.status),
        f"<code>{escape(seen.idempotency_key or '')}</code>",
        escape(", ".join(notes)),
    )


def _delivery_row(delivery: "Delivery") -> tuple[str, ...]:
    notes = [delivery.note, f"fault: {delivery.fault}" if delivery.fault else ""]
    return (
        f"{delivery.event.type}<br><code>{delivery.event.id}</code>",
        f"<code>{escape(delivery.event.url)}</code>",
        str(delivery.attempt),
        "none" if delivery.status is None else str(delivery.status),
        escape(", ".join(filter(None, notes))),
    )


def _clock_button(text: str, seconds: int) -> str:
    return (
        '<form method="post" action="/sandbox/clock">'
        f'<button name="seconds" value="{seconds}">{text}</button></form>'
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows
    )
    if not body:
        return '<p class="empty">None yet.</p>'
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
