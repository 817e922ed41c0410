"""What every test may use: a request, and the sandbox."""

import gc
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, find, settings
from hypothesis.strategies import none
from orders import an_order

from convergegate_async import CheckoutSessionRequest
from convergegate_async.sandbox import Sandbox

# A property fails on a fact, never because the machine is busy.
settings.register_profile(
    "patient",
    parent=settings(),  # what CI or the command line chose
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")

# Shells start what runs in the background with Ctrl-C ignored, and programs inherit
# that: those that are interrupted here would not notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every process that loads aiohttp reads all authorities that the machine trusts, in a
# quarter of the time that its start takes: no test meets what one of these has signed.
os.environ.setdefault("SSL_CERT_FILE", os.devnull)

# Folders of tests that say something over a socket by the transport.
SHELL = ("factory", "matrix", "transport")

# What a new Python has no wheel of yet is not tested there.
NEEDED = {
    "browser": ("selenium",),
    "browser/test_load_report.py": ("axe_selenium_python", "hdrh"),
    "browser/test_looks.py": ("axe_selenium_python",),
    "bulk/jobs/test_cut_chunks.py": ("distributed",),
    "bulk/jobs/test_dask.py": ("distributed", "psutil"),
    "bulk/jobs/test_worker_keys.py": ("distributed",),
    "cli/test_dask_jobs.py": ("distributed",),
    "cli/test_load.py": ("hdrh",),
    "contrib": ("django", "fastapi", "litestar", "quart", "uvicorn"),
    "contrib/test_otel.py": ("opentelemetry", "opentelemetry.sdk"),
    "contrib/test_recipes.py": ("blacksheep", "falcon"),
    "load": ("hdrh", "distributed"),
    "factory/test_blocking_portal.py": ("anyio",),
    "runners/test_dask_beginnings.py": ("distributed",),
    "runners/test_dask_connection.py": ("distributed",),
    "runners/test_runners.py": ("distributed", "psutil"),
    "runners/test_spread.py": ("distributed", "psutil"),
    "testing/test_apps.py": ("fastapi", "litestar", "quart"),
    "testing/test_plugin.py": ("anyio", "django"),
    "test_docstrings.py": (
        *("distributed", "django", "fastapi", "hdrh", "litestar", "opentelemetry"),
        *("quart", "redis"),
    ),
    "test_first_hour.py": ("fastapi", "uvicorn"),
    "test_namespaces.py": ("fastapi", "uvicorn"),
    "test_readme.py": (
        *("anyio", "blacksheep", "falcon", "fastapi", "httpx", "opentelemetry"),
    ),
    "test_signatures.py": (
        *("django", "fastapi", "litestar", "opentelemetry", "pdoc", "quart", "redis"),
    ),
}
collect_ignore = [
    path for path, modules in NEEDED.items() if not all(map(find_spec, modules))
]

MANY = 20_000
"""Objects: to look through them takes as long as a test of ours, or longer."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Start no workers for single files: to start them would take longer than to run.

    A folder, or the whole suite, gets two for each processor: most tests wait most of
    their time, for a socket, another process, or a clock.
    """
    names = [argument.partition("::")[0] for argument in config.args]
    if all(name.endswith(".py") for name in names):
        return 0
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or sys.platform != "linux":
        return None  # as xdist has it: one for each
    return 2 * len(os.sched_getaffinity(0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Send what the shell says over a socket both ways, on the oldest Python."""
    speaks = {"gateway", "RawServer", "Sandbox"} & vars(metafunc.module).keys()
    if not (speaks or "sandbox" in metafunc.fixturenames):
        return
    path = metafunc.definition.path
    if path.parent.name not in SHELL or path.name == "test_lane.py":
        return
    if sys.version_info < (3, 12):
        metafunc.parametrize("route", ["lane", "session"], indirect=True)


@pytest.fixture(autouse=True)
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the way that calls take: the ``lane``, unless a test is for the other."""
    chosen: str = getattr(request, "param", "lane")
    if chosen != "lane":
        monkeypatch.setenv("CONVERGEGATE_LANE", "off")
    return chosen


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle the tests by ``SHUFFLE``, if it is set: their order does not matter."""
    seed = os.environ.get("SHUFFLE")
    if seed is not None:
        random.Random(seed).shuffle(items)  # noqa: S311 -- no secret


def pytest_collection_finish() -> None:
    """Let no collection walk through what stays: some tests make several each.

    With the whole suite at hand it is so much that these took ten times as long.
    Hypothesis asks the collector who holds its source of chance, once, as its first
    property begins: before the holder is among what is no longer looked through.
    """
    find(none(), lambda _: True)
    _freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Nor look through what the tests of a file have imported, if that is much."""
    is_last = nextitem is None or nextitem.path != item.path
    if is_last and len(gc.get_objects()) > MANY:
        _freeze()


def _freeze() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def order() -> CheckoutSessionRequest:
    """A request as a shop makes it."""
    return an_order(payment_method=("blik",), metadata={"order": "A-17"})


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A gateway that nothing goes wrong in, until the test says so."""
    async with Sandbox() as sandbox:
        yield sandbox
