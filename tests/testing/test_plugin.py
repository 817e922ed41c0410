"""The pytest plugin in projects of users, with warnings as errors."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from user_project import ASYNCIO, AUTO, ENVIRON, PLUGIN, PYTEST, config

ROOT = Path(__file__).parent.parent.parent

SHOP = """
import asyncio

import pytest

from convergegate_async import RateLimitedError, SessionStatus, WaitTimeoutError
from convergegate_async.testing import checkout_request


async def test_a_session_is_paid(checkout, convergegate_sandbox):
    session = await checkout.create(checkout_request())
    convergegate_sandbox.pay(session.id)
    assert (await checkout.retrieve(session.id)).status == SessionStatus.COMPLETED
    assert len(convergegate_sandbox.sessions()) == 1


async def test_other_tests_have_left_nothing(checkout, convergegate_sandbox):
    assert convergegate_sandbox.sessions() == ()
    assert len(convergegate_sandbox.requests()) == 0


async def test_nobody_pays_for_two_minutes(checkout, convergegate_sandbox):
    session = await checkout.create(checkout_request())
    with convergegate_sandbox.skip_pauses(), pytest.raises(WaitTimeoutError):
        await checkout.wait(session.id, timeout=120)


async def test_a_wait_ends_when_time_was_moved(checkout, advance):
    session = await checkout.create(checkout_request())
    waiting = asyncio.create_task(checkout.wait(session.id, timeout=120))
    await advance(120)
    with pytest.raises(WaitTimeoutError):
        await waiting


async def test_a_session_expires(checkout, advance):
    session = await checkout.create(checkout_request())
    await advance(24 * 3600)
    assert (await checkout.retrieve(session.id)).status == SessionStatus.EXPIRED


async def test_the_gateway_refuses_once(checkout, fail_next):
    fail_next("status", status=429, times=3)
    with pytest.raises(RateLimitedError):
        await checkout.create(checkout_request())
    await checkout.create(checkout_request())


async def test_views_and_calls_at_once(checkout):
    view = checkout.with_options()
    await asyncio.gather(
        *(one.create(checkout_request()) for one in (view, checkout, view))
    )


async def test_nothing_was_delivered(checkout, delivered):
    await checkout.create(checkout_request())
    with pytest.raises(AssertionError, match="notification_url"):
        await delivered("session.created")


async def test_it_can_be_opened_by_hand(checkout):
    async with checkout as opened:
        await opened.create(checkout_request())
    await checkout.aclose()
"""
"""Nine tests of a shop; none of them knows how it is run."""

MARKED = "import pytest\npytestmark = pytest.mark.asyncio({scope})\n"


def run_project(folder: Path, lines: str, *options: str, **modules: str) -> str:
    """Run the tests of a project, and return what pytest says.

    Args:
        folder: Where it is.
        lines: What its configuration holds.
        *options: Of pytest.
        **modules: The source of each by its name.
    """
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    (folder / "pytest.ini").write_text(config(lines))
    done = subprocess.run(  # noqa: S603 -- a test's own project
        [*PYTEST, *options],
        cwd=folder,
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def run_program(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of Python's in a project, with warnings as errors."""
    return subprocess.run(  # noqa: S603 -- a test's own project
        [sys.executable, "-X", "dev", "-W", "error", "-m", *arguments],
        cwd=folder,
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
    )


def passed(output: str) -> int:
    """Return how many tests passed, if all did and nothing was said beside."""
    found = re.search(r"^=* ?(\d+) passed in", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1])


@pytest.mark.parametrize(
    ("scope", "workers"),
    [("", "0"), ("loop_scope='session'", "0"), ("loop_scope='session'", "2")],
)
def test_a_project_in_strict_mode(scope: str, workers: str, tmp_path: Path) -> None:
    """Each test has a loop of its own, or all have one; so it is on two workers."""
    marked = MARKED.format(scope=scope)

    output = run_project(tmp_path, ASYNCIO, "-n", workers, test_shop=marked + SHOP)

    assert passed(output) == 9


@pytest.mark.parametrize("scope", ["function", "session"])
def test_a_project_in_auto_mode(scope: str, tmp_path: Path) -> None:
    """The fixtures are the same."""
    lines = f"{AUTO}asyncio_default_test_loop_scope = {scope}\n"

    output = run_project(tmp_path, lines, "-n0", test_shop=SHOP)

    assert passed(output) == 9


def test_a_project_of_anyio(tmp_path: Path) -> None:
    """Its plugin runs tests on loops of its own; pytest-asyncio is not there."""
    marked = "import pytest\npytestmark = pytest.mark.anyio\n"
    backend = "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"

    source = marked + backend + SHOP
    output = run_project(tmp_path, "", "-pno:asyncio", "-n0", test_shop=source)

    assert passed(output) == 9


def test_a_fixture_may_call(tmp_path: Path) -> None:
    """The factory is open to a user's own fixture, before and after the test."""
    source = """
import pytest_asyncio
from convergegate_async.testing import checkout_request

@pytest_asyncio.fixture
async def session(checkout):
    session = await checkout.create(checkout_request())
    yield session
    assert (await checkout.retrieve(session.id)).status == "completed"

@pytest_asyncio.fixture
async def paid(session, checkout):
    return await checkout.pay(session.id, "123456")

async def test_it_is_paid(paid, session):
    assert (paid.id, paid.status) == (session.id, "completed")
"""
    output = run_project(tmp_path, AUTO, "-n0", test_a=source)

    assert passed(output) == 1


def test_a_project_may_have_another_server(tmp_path: Path) -> None:
    """One that forgets keys; the fixtures of one test are on it, too."""
    source = """
import pytest
from convergegate_async.testing import ThreadedSandbox, checkout_request

@pytest.fixture(scope="session")
def convergegate_server():
    with ThreadedSandbox(honour_keys=False) as sandbox:
        yield sandbox

async def test_it_makes_two(checkout, convergegate_sandbox):
    for _ in range(2):
        await checkout.create(checkout_request(), idempotency_key="A-17")
    assert len(convergegate_sandbox.sessions()) == 2
"""
    output = run_project(tmp_path, AUTO, "-n0", test_a=source)

    assert passed(output) == 1


def test_a_project_that_mocks(tmp_path: Path) -> None:
    """By aioresponses, and the sandbox is none of its business."""
    source = """
from convergegate_async import CheckoutSessionFactory
from convergegate_async.testing import checkout_request

async def test_it_is_mocked(mocked_aiohttp):
    base_url = "https://gateway.example"
    mocked_aiohttp.post(f"{base_url}/v1/checkout/sessions", payload={"id": "s1"})
    async with CheckoutSessionFactory("sk_test_x", base_url) as checkout:
        session = await checkout.create(checkout_request())
    assert session.id == "s1"
"""
    output = run_project(tmp_path, AUTO, "-n0", test_a=source)

    assert passed(output) == 1


def test_a_mock_lets_the_sandbox_be_called(tmp_path: Path) -> None:
    """A test that asks for both mocks what else its shop calls."""
    source = """
import aiohttp
from convergegate_async.testing import checkout_request

async def test_it_is_paid(mocked_aiohttp, checkout):
    mocked_aiohttp.get("https://rates.example", payload={"eur": 425})
    async with aiohttp.ClientSession() as client:
        async with client.get("https://rates.example") as answer:
            rates = await answer.json()
    session = await checkout.create(checkout_request(amount=rates["eur"]))
    assert session.amount_total == 425
"""
    output = run_project(tmp_path, AUTO, "-n0", test_a=source)

    assert passed(output) == 1


def test_a_project_of_unittest(tmp_path: Path) -> None:
    """Without pytest: a class enters the sandbox, and its coroutines use factories."""
    (tmp_path / "test_shop.py").write_text("""
import asyncio
import unittest

from convergegate_async.testing import ThreadedSandbox, checkout_request


class Shop(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.sandbox = cls.enterClassContext(ThreadedSandbox())

    async def asyncSetUp(self):
        self.sandbox.reset()
        self.checkout = await self.enterAsyncContext(self.sandbox.factory())

    async def test_a_day_passes(self):
        session = await self.checkout.create(checkout_request())
        await asyncio.to_thread(self.sandbox.advance, 24 * 3600)
        session = await self.checkout.retrieve(session.id)
        self.assertEqual(session.status, "expired")

    async def test_it_is_another_day(self):
        self.assertEqual(self.sandbox.sessions(), ())
""")
    done = run_program(tmp_path, "unittest")

    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr
    assert "Warning" not in done.stderr


def test_a_project_of_django(tmp_path: Path) -> None:
    """Its runner has the gateway, and its client the webhooks."""
    (tmp_path / "settings.py").write_text("""
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
ROOT_URLCONF = "shop"
SECRET_KEY = "x"
""")
    (tmp_path / "shop.py").write_text("""
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from convergegate_async import WebhookVerifier

shipped = []

@csrf_exempt
def take(request):
    event = WebhookVerifier("sk_test_sandbox").verify(request.body, request.META)
    shipped.append(event.session_id)
    return HttpResponse("shipped")

urlpatterns = [path("webhooks", take)]
""")
    (tmp_path / "tests.py").write_text("""
import shop
from django.test import TestCase

from convergegate_async.testing import (
    ThreadedSandbox,
    checkout_request,
    signed_event,
)

class ShopTest(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sandbox = cls.enterClassContext(ThreadedSandbox())

    async def test_a_paid_order_is_shipped(self):
        async with self.sandbox.factory() as checkout:
            session = await checkout.create(checkout_request())
        self.sandbox.pay(session.id)
        event = signed_event("session.completed", session_id=session.id)
        answer = await self.async_client.post(
            "/webhooks",
            event.body,
            content_type="application/json",
            headers=event.headers,
        )
        self.assertEqual(answer.content, b"shipped")
        self.assertEqual(shop.shipped, [session.id])

    def test_time_passes_without_a_loop(self):
        self.sandbox.reset()
        before = self.sandbox.now()
        self.sandbox.advance(60)
        self.assertEqual(self.sandbox.now(), before + 60)
""")
    done = run_program(tmp_path, "django", "test", "--settings=settings")

    assert "Ran 2 tests" in done.stderr, done.stderr
    assert (done.returncode, "Warning" in done.stderr) == (0, False), done.stderr


def test_it_may_be_imported_before_pytest(tmp_path: Path) -> None:
    """By a program that runs pytest: that would rewrite the asserts of what it loads.

    It does so for every distribution that brings a plugin, and warns if it comes late.
    """
    conftest = """
import pytest
import convergegate_async
pytest.register_assert_rewrite("convergegate_async")
"""
    output = run_project(
        tmp_path, ASYNCIO, "-n0", conftest=conftest, test_a="def test_it(): pass"
    )

    assert passed(output) == 1


def test_nothing_is_imported_before_it_is_asked_for(tmp_path: Path) -> None:
    """A project that has other things to test pays for a few lines of fixtures."""
    source = f"""
import sys

def test_it_is_there_and_nothing_else(pytestconfig):
    assert {PLUGIN!r} in sys.modules
    ours = {{name for name in sys.modules if name.startswith("convergegate_async")}}
    assert ours == {{
        "convergegate_async",
        "convergegate_async._version",
        "convergegate_async.testing",
        {PLUGIN!r},
    }}
    assert not {{"aiohttp", "attrs", "cattrs", "tenacity"}} & set(sys.modules)
"""
    others = ("asyncio", "anyio", "xdist", "hypothesispytest")
    options = [f"-pno:{name}" for name in others]
    output = run_project(tmp_path, "", *options, test_a=source)

    assert passed(output) == 1


def test_the_fixtures_have_words(tmp_path: Path) -> None:
    """``pytest --fixtures`` lists them, each with a sentence."""
    output = run_project(tmp_path, ASYNCIO, "--fixtures", "-n0")

    for name in ("checkout", "convergegate_sandbox", "fail_next", "advance"):
        assert re.search(rf"^{name}\b.*\n    \w", output, re.MULTILINE), name


def test_pytest_finds_it() -> None:
    """The distribution says where it is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"convergegate": PLUGIN}


@pytest.mark.skipif(sys.platform == "win32", reason="it has other signals")
def test_ctrl_c_ends_what_is_awaited(tmp_path: Path) -> None:
    """No thread waits on for a shop that does not answer."""
    source = """
import asyncio, os, signal, socket, threading
from convergegate_async.testing import checkout_request

silent = socket.create_server(("127.0.0.1", 0))

async def test_it(checkout, advance):
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/webhooks"
    await checkout.create(checkout_request(notification_url=url))
    accepted = asyncio.create_task(asyncio.to_thread(silent.accept))
    accepted.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGINT))
    await advance(3 * 24 * 3600)
"""
    output = run_project(tmp_path, AUTO, "-n0", test_a=source)

    assert "KeyboardInterrupt" in output
