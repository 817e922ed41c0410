"""What a leaf has to know of a factory that it is handed, as one value."""

from collections.abc import Callable
from hashlib import blake2b
from ssl import SSLContext
from typing import TYPE_CHECKING

import attrs

from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import is_live_key
from convergegate_async.policy import RetryPolicy, Timeouts

from ._runtime import Runtime

if TYPE_CHECKING:
    from . import CheckoutSessionFactory


@attrs.frozen(kw_only=True)
class FactoryContext:
    """What a leaf has to know of a factory.

    Attributes:
        base_url: Where it calls, without ``/v1``.
        limit: How many requests may be under way at once.
        policy: Whether and when it tries again.
        timeouts: How long it waits.
        echo_fields: Which fields of an answer must equal what was sent.
        runtime: Where its time and chance come from.
        proxy: The proxy that it calls by, if any.
        ssl: What it trusts; the platform's certificates if `None`.
        has_own_connector: It was given one.
        app_info: The app's name and version, as its owner gave it.
        require_open: Raises a `ConfigurationError` if it cannot be called here and now.
    """

    base_url: str
    limit: int
    policy: RetryPolicy
    timeouts: Timeouts
    echo_fields: frozenset[str]
    runtime: Runtime
    proxy: Secret[str] | None
    ssl: SSLContext | None = attrs.field(repr=False)
    has_own_connector: bool
    app_info: str | None
    require_open: Callable[[], None] = attrs.field(repr=False)
    _api_key: Secret[str] = attrs.field(repr=False)

    @property
    def is_live(self) -> bool:
        """Tell whether the key may move real money: any but a test key may."""
        return is_live_key(self._api_key)

    def api_key_fingerprint(self, salt: bytes) -> str:
        """Return 16 hexadecimal digits that tell the key from others, and no more."""
        key = self._api_key.reveal().encode()
        return blake2b(key, digest_size=8, key=salt).hexdigest()


def context_of(factory: "CheckoutSessionFactory") -> FactoryContext:
    """Return what a leaf has to know of *factory*."""
    caller = factory._caller  # noqa: SLF001 -- of this room
    return FactoryContext(
        base_url=caller.settings.base_url,
        limit=caller.limit,
        policy=caller.policy,
        timeouts=caller.timeouts,
        echo_fields=caller.settings.echo_fields,
        runtime=caller.runtime,
        proxy=factory._proxy,  # noqa: SLF001 -- of this room
        ssl=factory._ssl,  # noqa: SLF001 -- of this room
        has_own_connector=factory._has_own_connector,  # noqa: SLF001 -- of this room
        app_info=factory._app_info,  # noqa: SLF001 -- of this room
        require_open=caller.lifecycle.require_open,
        api_key=caller.settings.api_key,
    )
