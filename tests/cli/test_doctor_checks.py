"""What the doctor thinks of what was found; no I/O."""

import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergegate_async import (
    AuthenticationError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ServerError,
)
from convergegate_async.cli._doctor_checks import (
    TESTED,
    TOLERANCE,
    Check,
    Mark,
    exit_code_of,
    judge,
    numbers,
)
from convergegate_async.cli._doctor_findings import (
    Certificate,
    Configuration,
    Findings,
    Package,
    Reply,
    Trouble,
)
from convergegate_async.webhooks import WebhookVerifier

TROUBLE = st.builds(Trouble, st.text(), st.sampled_from(["", "proxy", "certificate"]))
MILLISECONDS = st.floats(0, 1e5)
VERSIONS = st.from_regex(r"\d{1,4}(\.\d{1,2}){0,2}(rc1)?", fullmatch=True)
PACKAGES = st.builds(
    Package,
    st.sampled_from(sorted(TESTED)),
    st.none() | VERSIONS,
    st.none() | VERSIONS,
    is_extra=st.booleans(),
)
ERRORS = st.sampled_from(
    [
        AuthenticationError,
        NotFoundError,
        NotSentError,
        OutcomeUnknownError,
        PermissionDeniedError,
        ServerError,
    ]
).map(lambda kind: kind(operation="retrieve"))
FINDINGS = st.builds(
    Findings,
    python=st.text(),
    loop=st.sampled_from(["asyncio", "uvloop"]),
    packages=st.lists(PACKAGES),
    configuration=TROUBLE
    | st.builds(
        Configuration,
        st.text(),
        st.text(),
        st.integers(),
        is_tls=st.booleans(),
        is_live=st.booleans(),
        proxy=st.none() | st.text(),
        unused=st.none() | st.text(),
    ),
    proxy=st.none() | TROUBLE | MILLISECONDS,
    addresses=st.none() | TROUBLE | st.tuples(st.text()),
    connection=st.none() | TROUBLE | MILLISECONDS,
    objection=st.none() | st.text(),
    certificate=st.none()
    | TROUBLE
    | st.builds(Certificate, st.text(), st.text(), st.text(), st.floats(0, 1e11)),
    reply=st.none()
    | st.builds(Reply, st.none() | ERRORS, st.none() | st.floats(-1e9, 1e9)),
)
HEALTHY = Findings(
    python="3.11",
    loop="asyncio",
    packages=(),
    configuration=Configuration("https://x", "x", 443, is_tls=True, is_live=False),
    addresses=("192.0.2.7",),
    connection=1.0,
    certificate=Certificate("TLSv1.3", "x", "y", 1e10),
    reply=Reply(NotFoundError(operation="retrieve", message="none"), 0.0),
)


@given(found=FINDINGS, now=st.floats(0, 1e10))
def test_whatever_is_found_is_thought_of(found: Findings, now: float) -> None:
    """The same lines, whatever happened; a failure has advice and an exit code."""
    checks = judge(found, now)

    assert [check.name for check in checks] == [
        *("Python", "packages", "extras", "event loop", "configuration"),
        *("lane", "proxy", "DNS", "TCP", "TLS", "gateway", "clock"),
    ]
    for check in checks:
        assert (check.mark is Mark.FAILED) is (check.exit_code in {3, 4, 5})
        assert check.mark is not Mark.FAILED or check.advice
    assert exit_code_of(checks) == next(
        (check.exit_code for check in checks if check.exit_code), 0
    )


def line(name: str, found: Findings) -> Check:
    """Return the check of that name."""
    return next(check for check in judge(found, 0.0) if check.name == name)


@pytest.mark.parametrize(
    ("kind", "message", "mark"),
    [
        (None, None, Mark.SKIPPED),
        (None, "no such session", Mark.OK),
        ("invalid_request_error", None, Mark.OK),
    ],
)
def test_a_404_of_any_web_server_is_no_gateway(
    kind: str | None, message: str | None, mark: Mark
) -> None:
    """One that tells no error may have judged no key."""
    error = NotFoundError(operation="retrieve", type=kind, message=message)

    check = line("gateway", attrs.evolve(HEALTHY, reply=Reply(error, 0.0)))

    assert check.mark is mark
    assert ("takes the key" in check.text) is (mark is Mark.OK)


@given(st.floats(-1e6, 1e6))
def test_the_clock_is_judged_as_webhooks_judge_it(skew: float) -> None:
    """What a verifier takes for fresh is fine, and nothing else is."""
    found = attrs.evolve(HEALTHY, reply=Reply(None, skew))

    fails = line("clock", found).mark is Mark.FAILED

    assert fails is (abs(round(skew)) > TOLERANCE)
    tolerance = inspect.signature(WebhookVerifier).parameters["tolerance"]
    assert tolerance.default == TOLERANCE


@pytest.mark.parametrize(
    ("version", "mark", "advice"),
    [
        ("3.14.5", Mark.OK, None),
        ("3.14.3", Mark.FAILED, "at least aiohttp 3.14.4 is needed"),
        (None, Mark.FAILED, "at least aiohttp 3.14.4 is needed"),
        ("3.15.0", Mark.OK, "Newer than what was tested: aiohttp."),
    ],
)
def test_versions_lie_between_floor_and_tested(
    version: str | None, mark: Mark, advice: str | None
) -> None:
    """Too old fails, and so does missing; too new is told."""
    aiohttp = Package("aiohttp", version, "3.14.4", is_extra=False)

    check = line("packages", attrs.evolve(HEALTHY, packages=[aiohttp]))

    assert check.mark is mark
    assert (advice or "") in f"{check.text} {check.advice}"
    assert (check.advice is None) is (advice is None)


def requirements() -> Iterator[str]:
    """Yield the names of what the package, and each extra for users, asks for."""
    project: dict[str, Any] = tomllib.loads(
        (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"]]
    for extra in extras.keys() - {"all", "dev"}:
        texts += extras[extra]
    yield from (re.split(r"[^\w-]", text, maxsplit=1)[0] for text in texts)


def test_every_package_has_a_version_that_was_tested() -> None:
    """No dependency without a line; and none that the suite now meets newer."""
    assert set(requirements()) == set(TESTED)
    for name, newest in TESTED.items():
        try:
            met = numbers(metadata.version(name))[: len(newest)]
        except metadata.PackageNotFoundError:
            continue
        assert met <= newest, name
