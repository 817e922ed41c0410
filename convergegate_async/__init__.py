"""The asyncio-first Python SDK for ConvergeGate checkout sessions (BLIK).

Names are imported on first use, so that `import convergegate_async` costs nothing that
is not needed. PYTEST_DONT_REWRITE: nothing here asserts.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._core.idempotency import derive_key
    from ._core.money import major_units, minor_units
    from .errors import (
        ApiError,
        AuthenticationError,
        BadPayloadError,
        BadSignatureError,
        CallError,
        ConfigurationError,
        ConflictError,
        ConvergeGateError,
        DeclinedError,
        FailureKind,
        InvalidFieldError,
        InvalidRequestError,
        NotFoundError,
        NotSentError,
        Outcome,
        OutcomeUnknownError,
        PermissionDeniedError,
        RateLimitedError,
        ServerError,
        StaleWebhookError,
        WaitTimeoutError,
        WebhookError,
    )
    from .factory import (
        AttemptInfo,
        CallEnded,
        CheckoutSessionFactory,
        Observer,
        PhaseTimings,
        PoolStats,
    )
    from .models import (
        CallInfo,
        CheckoutSession,
        CheckoutSessionRequest,
        EventType,
        PaymentMethod,
        Refund,
        RefundReason,
        RefundRequest,
        RefundStatus,
        SessionStatus,
        WebhookEvent,
    )
    from .policy import PoolLimits, RetryPolicy, Timeouts
    from .webhooks import (
        Claim,
        Claims,
        MemoryClaims,
        WebhookReceiver,
        WebhookReply,
        WebhookVerifier,
        confirm,
        sign,
    )

_HOMES = ("errors", "policy", "models", "factory", "webhooks")
"""Where public names are looked up, the cheapest import first."""

_HOMES_IN_THE_CORE = {
    "derive_key": "_core.idempotency",
    "major_units": "_core.money",
    "minor_units": "_core.money",
}
"""Where those are found that cost less than the factory, and that it does not need."""

__all__ = [
    "ApiError",
    "AttemptInfo",
    "AuthenticationError",
    "BadPayloadError",
    "BadSignatureError",
    "CallEnded",
    "CallError",
    "CallInfo",
    "CheckoutSession",
    "CheckoutSessionFactory",
    "CheckoutSessionRequest",
    "Claim",
    "Claims",
    "ConfigurationError",
    "ConflictError",
    "ConvergeGateError",
    "DeclinedError",
    "EventType",
    "FailureKind",
    "InvalidFieldError",
    "InvalidRequestError",
    "MemoryClaims",
    "NotFoundError",
    "NotSentError",
    "Observer",
    "Outcome",
    "OutcomeUnknownError",
    "PaymentMethod",
    "PermissionDeniedError",
    "PhaseTimings",
    "PoolLimits",
    "PoolStats",
    "RateLimitedError",
    "Refund",
    "RefundReason",
    "RefundRequest",
    "RefundStatus",
    "RetryPolicy",
    "ServerError",
    "SessionStatus",
    "StaleWebhookError",
    "Timeouts",
    "WaitTimeoutError",
    "WebhookError",
    "WebhookEvent",
    "WebhookReceiver",
    "WebhookReply",
    "WebhookVerifier",
    "__version__",
    "confirm",
    "derive_key",
    "major_units",
    "minor_units",
    "sign",
]


if not TYPE_CHECKING:  # a type checker shall see typos

    def __getattr__(name: str) -> object:
        homes = (_HOMES_IN_THE_CORE[name],) if name in _HOMES_IN_THE_CORE else _HOMES
        for home in homes if name in __all__ else ():
            module = import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                value = globals()[name] = getattr(module, name)
                return value
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
