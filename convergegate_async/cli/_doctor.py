"""``convergegate doctor``: what stands between this machine and the gateway."""

import sys
import time
from typing import TYPE_CHECKING

import click

from ._gateway import Gateway, gateway_options
from ._streams import print_data, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._doctor_checks import Check

_SIGNS = {"ok": ("✓", "ok", "green"), "failed": ("✗", "no", "red")}
_SKIPPED = ("-", "-", "yellow")
_WIDTH = len("configuration  ")  # the longest name, and a gap


@click.command()
@gateway_options
@click.option(
    "--trust-env",
    is_flag=True,
    help="Use the proxy of HTTPS_PROXY, as a factory with trust_env=True does.",
)
@click.option(
    "--timeout",
    "patience",
    type=click.FloatRange(min=0.001, max=600),
    default=5,
    show_default=True,
    help="Deadline of each check in seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(gateway: Gateway, patience: float, *, trust_env: bool, as_json: bool) -> int:
    """Check what stands between this machine and the gateway.

    That is versions, configuration, proxy, DNS, TCP, TLS, key and clock. The gateway is
    sent one request: a look at a session that cannot exist. Nothing is changed.

    Exits with 0 if all is fine, else with the code of the first check that failed: 3
    configuration, key or clock, 4 refused by the gateway, 5 not reached.
    """
    import asyncio

    from ._doctor_checks import Mark, exit_code_of, judge
    from ._doctor_probes import examine

    found = asyncio.run(examine(gateway.factory, patience, trust_env=trust_env))
    checks = judge(found, time.time())
    if as_json:
        print_json(
            {
                "ok": all(check.mark is not Mark.FAILED for check in checks),
                "checks": [
                    {
                        "name": check.name,
                        "result": str(check.mark),
                        "text": check.text,
                        "advice": check.advice,
                    }
                    for check in checks
                ],
            }
        )
    else:
        _print(checks, has_signs=_has_signs(sys.stdout.encoding))
    return exit_code_of(checks)


def _has_signs(encoding: str) -> bool:
    try:
        "✓✗".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _print(checks: "Sequence[Check]", *, has_signs: bool) -> None:
    margin = " " * (1 if has_signs else 2)
    for check in checks:
        sign, word, colour = _SIGNS.get(check.mark, _SKIPPED)
        shown = click.style((sign if has_signs else word).ljust(len(margin)), fg=colour)
        print_data(f"{shown} {check.name:<{_WIDTH}}{check.text}")
        if check.advice is not None:
            print_data(f"{margin} {'':<{_WIDTH}}{check.advice}")
