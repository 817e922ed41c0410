"""What the doctor thinks of what was found: values in, lines out.

No I/O here: `_doctor_probes` finds, and `_doctor` prints.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import attrs

from convergegate_async import errors
from convergegate_async._core.strict_json import NEWEST

from ._doctor_findings import (
    Addresses,
    Certificate,
    Configuration,
    Findings,
    Milliseconds,
    Package,
    Reply,
    Trouble,
)

CONFIGURATION, REFUSED, UNREACHABLE = 3, 4, 5  # exit codes
TOLERANCE = 300
"""Seconds: `WebhookVerifier`'s default."""
SOON = 14
"""Days that a certificate is valid for, below which that is told."""

TESTED = {
    "aiohttp": (3, 14),
    "attrs": (26, 1),
    "cattrs": (26, 2),
    "tenacity": (9, 2),
    "click": (8, 5),
    "rich": (15, 0),
    "openpyxl": (3, 1),
    "pyarrow": (26, 0),
    "phonenumbers": (9, 0),
    "hdrhistogram": (0, 10),
    "jinja2": (3, 1),
    "altair": (6, 3),
    "vl-convert-python": (1, 9),
    "dask": (2026, 8),
    "distributed": (2026, 8),
    "msgspec": NEWEST,
    "uvloop": (0, 23),
    "opentelemetry-api": (1, 45),
    "redis": (8, 1),
}
"""The newest minor of each package that the suite has met."""

_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


class Mark(StrEnum):
    """What a check came to."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen(kw_only=True)
class Check:
    """One line: what was checked, what was found, and what to do about it.

    Attributes:
        exit_code: What a failure means to a script.
    """

    name: str
    mark: Mark = Mark.OK
    text: str
    advice: str | None = None
    exit_code: int = 0


def judge(found: Findings, now: float) -> tuple[Check, ...]:
    """Return a line for each thing that was found, or could not be looked at.

    Args:
        found: What was found.
        now: Epoch seconds.
    """
    return (
        Check(name="Python", text=found.python),
        _packages(found.packages),
        _extras(found.packages),
        _event_loop(found),
        *_on_the_way(found, now),
    )


def exit_code_of(checks: Iterable[Check]) -> int:
    """Return the exit code of the first failure, which the later ones may follow."""
    return next((one.exit_code for one in checks if one.mark is Mark.FAILED), 0)


def _packages(packages: Sequence[Package]) -> Check:
    ours = [one for one in packages if not one.is_extra]
    return _versions("packages", ours, "convergegate-async")


def _extras(packages: Sequence[Package]) -> Check:
    extras = [one for one in packages if one.is_extra]
    missing = ", ".join(one.name for one in extras if one.version is None)
    check = _versions("extras", extras, "convergegate-async[all]")
    text = "; ".join(filter(None, [check.text, missing and f"without {missing}"]))
    return attrs.evolve(check, text=text)


def _versions(name: str, packages: Sequence[Package], ours: str) -> Check:
    there = [one for one in packages if one.version is not None]
    text = ", ".join(f"{one.name} {one.version}" for one in there)
    lost = [one for one in packages if one.version is None and not one.is_extra]
    old = [one for one in there if _is_below(one)]
    if lost or old:
        asked = [f"{one.name} {one.floor}" for one in (*lost, *old)]
        return Check(
            name=name,
            mark=Mark.FAILED,
            text=f"{text}; at least {', '.join(asked)} is needed",
            advice=f'Run: pip install -U "{ours}"',
            exit_code=CONFIGURATION,
        )
    new = [one.name for one in there if _is_above(one)]
    advice = f"Newer than what was tested: {', '.join(new)}." if new else None
    return Check(name=name, text=text, advice=advice)


def _is_below(package: Package) -> bool:
    floor = numbers(package.floor or "")
    return numbers(package.version or "") < floor


def _is_above(package: Package) -> bool:
    newest = TESTED.get(package.name)
    return newest is not None and numbers(package.version or "")[: len(newest)] > newest


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what is behind them."""
    found = _NUMBERS.match(version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _event_loop(found: Findings) -> Check:
    uvloop = next((one for one in found.packages if one.name == "uvloop"), None)
    is_idle = uvloop is not None and uvloop.version and found.loop != "uvloop"
    hint = "; uvloop is installed: uvloop.run(main()) uses it" if is_idle else ""
    return Check(name="event loop", text=found.loop + hint)


def _on_the_way(found: Findings, now: float) -> Iterator[Check]:
    """Yield the checks that stand on one another: after a failure there is no next."""
    to = found.configuration
    if isinstance(to, Trouble):
        yield _failed(
            "configuration",
            to.text,
            "The key comes from CONVERGEGATE_API_KEY or --api-key-file, the address "
            "from CONVERGEGATE_BASE_URL or --base-url, a proxy from CONVERGEGATE_PROXY "
            "or --proxy.",
            CONFIGURATION,
        )
        for name in ("lane", "proxy", "DNS", "TCP", "TLS", "gateway", "clock"):
            yield _skipped(name, "there is no configuration to check it with")
        return
    key = "a live key" if to.is_live else "a test key (sk_test_…)"
    yield Check(name="configuration", text=f"{key}, {to.base_url}")
    yield _lane(found.objection)
    yield _proxy(to, found.proxy)
    yield _dns(to, found.addresses)
    yield _tcp(to, found.connection)
    yield _tls(to, found.certificate, now)
    yield _gateway(found.reply)
    yield _clock(found.reply)


def _failed(name: str, text: str, advice: str, code: int = UNREACHABLE) -> Check:
    return Check(name=name, mark=Mark.FAILED, text=text, advice=advice, exit_code=code)


def _skipped(name: str, why: str = "what comes before it failed") -> Check:
    return Check(name=name, mark=Mark.SKIPPED, text=why)


def _lane(objection: str | None) -> Check:
    around = f"not taken, calls go through aiohttp's session: {objection}"
    return Check(name="lane", text=around if objection else "taken")


def _proxy(to: Configuration, found: Milliseconds | Trouble | None) -> Check:
    if to.proxy is None:
        unused = f"; {to.unused} names one, which is used with trust_env=True only"
        return Check(name="proxy", text="none" + (unused if to.unused else ""))
    if isinstance(found, Trouble):
        advice = "Check the proxy's address, and that it can be reached from here."
        return _failed("proxy", f"{to.proxy}: {found.text}", advice)
    return Check(name="proxy", text=f"{to.proxy}, {_spelt(found)}")


def _dns(to: Configuration, found: Addresses | Trouble | None) -> Check:
    if to.proxy is not None:
        return _skipped("DNS", "the proxy looks the gateway up")
    if isinstance(found, Trouble):
        advice = "Check the host of CONVERGEGATE_BASE_URL, and this machine's DNS."
        return _failed("DNS", f"{to.host}: {found.text}", advice)
    return Check(name="DNS", text=f"{to.host} is {', '.join(found or ())}")


def _tcp(to: Configuration, found: Milliseconds | Trouble | None) -> Check:
    where = f"{to.host} port {to.port}"
    if found is None:
        return _skipped("TCP")
    if not isinstance(found, Trouble):
        return Check(name="TCP", text=f"{where}, {_spelt(found)}")
    advice = (
        "Check that the gateway runs there, and that no firewall is between; "
        "`convergegate sandbox` starts one of your own."
    )
    if found.kind == "proxy":
        advice = "Check the proxy's user and password, and whether it leads there."
    return _failed("TCP", f"{where}: {found.text}", advice)


def _tls(to: Configuration, found: Certificate | Trouble | None, now: float) -> Check:
    if not to.is_tls:
        return _skipped("TLS", "it is plain http")
    if found is None:
        return _skipped("TLS")
    if isinstance(found, Trouble):
        advice = "Check that the port speaks TLS, 1.2 or newer."
        if found.kind == "certificate":
            advice = (
                "Have the right certificate installed there, or, if this one is, its "
                "authority trusted here: --ca-file or SSL_CERT_FILE names a file, and "
                "in code ssl= takes it. Never switch the check off."
            )
        return _failed("TLS", found.text, advice)
    days = int((found.expires - now) // 86_400)
    return Check(
        name="TLS",
        text=f"{found.protocol}, {found.subject} by {found.issuer}, for {days} days",
        advice="Its owner should renew the certificate." if days < SOON else None,
    )


def _gateway(found: Reply | None) -> Check:
    if found is None:
        return _skipped("gateway")
    error = found.error
    match error:
        case errors.NotFoundError():
            return _not_found(error)
        case errors.AuthenticationError() | errors.PermissionDeniedError():
            return _failed(
                "gateway",
                f"it refuses the key (HTTP {error.http_status})",
                "Check CONVERGEGATE_API_KEY, or the file of --api-key-file: is the key "
                "of this gateway, and not revoked?",
                CONFIGURATION,
            )
        case errors.ApiError():
            advice = "Try again later; if it stays so, ask the gateway's owner."
            return _failed("gateway", str(error), advice, REFUSED)
        case errors.CallError():
            advice = "Check what stands between: is CONVERGEGATE_BASE_URL a gateway's?"
            return _failed("gateway", str(error), advice)
        case _:
            return Check(name="gateway", text="it takes the key")


def _not_found(error: errors.NotFoundError) -> Check:
    if error.type or error.message:
        text = "it takes the key: a session that cannot exist is a 404"
        return Check(name="gateway", text=text)
    # Whatever serves pages has none there, and mostly asks for no key.
    return Check(
        name="gateway",
        mark=Mark.SKIPPED,
        text="a 404 that tells no error: whether that is a gateway is not known",
        advice="Check CONVERGEGATE_BASE_URL; the key may not have been looked at.",
    )


def _clock(found: Reply | None) -> Check:
    if found is None:
        return _skipped("clock")
    if found.skew is None:
        return _skipped("clock", "the gateway did not tell its time")
    ahead = round(found.skew)
    direction = "ahead of" if ahead > 0 else "behind"
    text = f"{abs(ahead)} s {direction} the gateway's" if ahead else "as the gateway's"
    if abs(ahead) <= TOLERANCE:
        return Check(name="clock", text=text)
    advice = (
        "Set this machine's clock (NTP), or tell the gateway's owner: webhooks are "
        f"judged stale beyond {TOLERANCE} s."
    )
    return _failed("clock", text, advice, CONFIGURATION)


def _spelt(found: Milliseconds | None) -> str:
    return "reached" if found is None else f"reached in {found:.0f} ms"
