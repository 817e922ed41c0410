"""How fast rows may be sent, and what is borne on the way: what a user asks for."""

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.factory import CheckoutSessionFactory, context_of
from convergegate_async.policy import is_duration

MAX_PAUSE, MAX_OUTAGE = 300.0, 900.0  # seconds


@attrs.frozen(kw_only=True)
class Limits:
    """How fast rows may be sent, and what is borne on the way.

    See whether a factory has room for them::

        limits = Limits(concurrency=64, maximum_rps=200)
        limits.require_kept_by(checkout)

    Attributes:
        concurrency: The most rows that are under way at once.
        maximum_rps: The most rows started in a second; `None` for no such limit.
        max_pause: The most seconds that all rows are held back, in a row, because the
            gateway asked for it.
        max_outage: The most seconds that nothing gets through, those pauses apart.

    Raises:
        ConfigurationError: One of them is malformed.
    """

    concurrency: int = 32
    maximum_rps: float | None = None
    max_pause: float = MAX_PAUSE
    max_outage: float = MAX_OUTAGE

    def __attrs_post_init__(self) -> None:
        message = self._problem()
        if message is not None:
            raise ConfigurationError(message)

    def require_kept_by(self, factory: CheckoutSessionFactory) -> None:
        """Refuse a concurrency that the factory's pool has no room for.

        Raises:
            ConfigurationError: With what it may be.
        """
        limit = context_of(factory).limit
        if self.concurrency > limit:
            message = (
                f"concurrency {self.concurrency} is above the {limit} that the pool "
                "holds: raise PoolLimits.limit (and the limits of a connector of your "
                "own), or the rest would only wait"
            )
            raise ConfigurationError(message)

    def _problem(self) -> str | None:
        if type(self.concurrency) is not int or self.concurrency < 1:
            return "concurrency must be a whole number above 0"
        if self.maximum_rps is not None and not is_duration(self.maximum_rps):
            return "maximum_rps must be a finite number above 0"
        for name in ("max_pause", "max_outage"):
            if not is_duration(getattr(self, name)):
                return f"{name} must be a finite number of seconds above 0"
        return None
