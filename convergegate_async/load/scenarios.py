"""What a load test does when it is due: over one factory, one iteration after another.

Those that need something around them, such as a listener, are asynchronous context
managers, too.
"""

import asyncio
import importlib
import inspect
import random
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from inspect import iscoroutinefunction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeAlias

from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory
from convergegate_async.models import CheckoutSession, CheckoutSessionRequest, EventType
from convergegate_async.sandbox import ReceivedWebhook, WebhookListener
from convergegate_async.webhooks import WebhookVerifier

from .steps import step

Scenario: TypeAlias = Callable[[CheckoutSessionFactory, int], Awaitable[object]]
"""Is called with an open factory, and with the number of the iteration, from 0."""

_WEBHOOK_PATIENCE = 30.0  # seconds
_WEIGHT = re.compile(r"[0-9]+(\.[0-9]+)?")
_PAID_AT_ONCE = "123456"  # what the sandbox does with this code


def sample_request(
    number: int, *, notification_url: str | None = None
) -> CheckoutSessionRequest:
    """Return the request of an iteration: all alike but for their metadata."""
    return CheckoutSessionRequest(
        amount=4999,
        currency="pln",
        customer_email="john@example.com",
        customer_firstname="John",
        customer_lastname="Doe",
        customer_phone="+48123456789",
        success_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cancelled",
        notification_url=notification_url,
        metadata={"iteration": str(number)},
    )


async def create(checkout: CheckoutSessionFactory, number: int) -> CheckoutSession:
    """Open a session."""
    return await checkout.create(sample_request(number))


async def create_retrieve(
    checkout: CheckoutSessionFactory, number: int
) -> CheckoutSession:
    """Open a session, and look at it."""
    session = await create(checkout, number)
    return await checkout.retrieve(session.id)


class CreatePayWebhook:
    """Opens a session, pays it, and waits until the webhook has told so.

    The webhook comes to this machine: the gateway has to be a sandbox on it.

    In a plan, which opens and closes its listener::

        scenario = CreatePayWebhook(api_key)
        plan = LoadPlan(profile=profile, scenario=scenario)
        report = await run_load(plan, target)

    Args:
        api_key: The key that webhooks are signed with.
    """

    def __init__(self, api_key: str) -> None:
        self._listener = WebhookListener(WebhookVerifier(api_key), self._deliver)
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._listener.__aexit__(kind, error, traceback)

    async def __call__(self, checkout: CheckoutSessionFactory, number: int) -> None:
        """Do it once."""
        request = sample_request(number, notification_url=self._listener.url)
        session = await checkout.create(request)
        paid = self._awaited[session.id] = asyncio.get_running_loop().create_future()
        try:
            await checkout.pay(session.id, _PAID_AT_ONCE)
            with step("webhook"):
                async with asyncio.timeout(_WEBHOOK_PATIENCE):
                    await paid
        finally:
            del self._awaited[session.id]

    def _deliver(self, delivery: ReceivedWebhook) -> None:
        event = delivery.event
        if event is None or event.type != EventType.SESSION_COMPLETED:
            return
        paid = self._awaited.get(event.session_id or "")
        if paid is not None and not paid.done():  # it may be delivered twice
            paid.set_result(None)


class Mix:
    """Does one of several scenarios, as often as their weights say.

    Look at one session of five::

        mix = Mix({create: 8, create_retrieve: 2})
        plan = LoadPlan(profile=profile, scenario=mix)

    Args:
        weights: How much more often than others each is done.
        seed: The same seed chooses the same for each number.

    Raises:
        ConfigurationError: There is none, or a weight is not above 0.
    """

    def __init__(self, weights: Mapping[Scenario, float], seed: int = 0) -> None:
        if not weights or not all(weight > 0 for weight in weights.values()):
            message = "a mix needs scenarios with weights above 0"
            raise ConfigurationError(message)
        self._scenarios = list(weights)
        self._weights = list(weights.values())
        self._seed = seed
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for scenario in self._scenarios:
                if isinstance(scenario, AbstractAsyncContextManager):
                    await stack.enter_async_context(scenario)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    async def __call__(self, checkout: CheckoutSessionFactory, number: int) -> object:
        """Do the one that this number falls to."""
        return await self.chosen(number)(checkout, number)

    def chosen(self, number: int) -> Scenario:
        """Return which one that is, whoever asks."""
        chance = random.Random(f"{self._seed} {number}")  # noqa: S311 -- no secret
        [scenario] = chance.choices(self._scenarios, self._weights)
        return scenario


_BY_NAME: Mapping[str, Callable[[str], Scenario]] = MappingProxyType(
    {
        "create": lambda _api_key: create,
        "create-retrieve": lambda _api_key: create_retrieve,
        "create-pay-webhook": CreatePayWebhook,
    }
)


def scenario_named(text: str, *, api_key: str, seed: int = 0) -> Scenario:
    """Return a scenario by its name.

    Args:
        text: ``create``, ``create-retrieve``, ``create-pay-webhook``, one of your own
            as ``module:name``, or several with their weights:
            ``create=8,create-retrieve=2``.
        api_key: The key that webhooks are signed with.
        seed: Of what a mix chooses.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if "=" not in text and "," not in text:
        return _one_named(text, api_key)
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = map(str.strip, part.partition("="))
        if name in weights or not _WEIGHT.fullmatch(weight):
            message = (
                "a mix names each scenario once, with a weight, as in "
                "create=8,create-retrieve=2"
            )
            raise ConfigurationError(message)
        weights[name] = float(weight)
    named = {_one_named(name, api_key): weight for name, weight in weights.items()}
    return Mix(named, seed)


def _one_named(name: str, api_key: str) -> Scenario:
    make = _BY_NAME.get(name)
    if make is not None:
        return make(api_key)
    module, found, attribute = name.partition(":")
    if not found:
        known = ", ".join(_BY_NAME)
        message = f"a scenario must be one of {known}, or module:name of your own"
        raise ConfigurationError(message)
    return _imported(module, attribute)


def _takes_two(scenario: Callable[..., object]) -> bool:
    try:
        inspect.signature(scenario).bind(None, 0)
    except TypeError:
        return False
    return True


def _imported(module: str, attribute: str) -> Scenario:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does
    try:
        scenario: object = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        message = f"the scenario {module}:{attribute} cannot be imported: {error}"
        raise ConfigurationError(message) from error
    called = getattr(scenario, "__call__", None)  # noqa: B004 -- an object's method may await
    is_awaited = iscoroutinefunction(scenario) or iscoroutinefunction(called)
    if not callable(scenario) or not is_awaited or not _takes_two(scenario):
        message = (
            f"the scenario {module}:{attribute} must be an "
            "async def scenario(checkout, number)"
        )
        raise ConfigurationError(message)
    return scenario
