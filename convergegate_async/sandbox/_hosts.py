"""Whom the sandbox answers to, and where it sends webhooks: told by name alone.

A page of another site can have its own name lead to this machine (DNS rebinding), and
is told apart by that name; so nothing is opened that the owner has not named.
"""

from collections.abc import Iterable

from convergegate_async._core import host_names
from convergegate_async._core.settings import is_loopback
from convergegate_async.errors import ConfigurationError

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- told apart, not bound


class Hosts:
    """What the owner of a sandbox has named, beside this machine.

    Args:
        host: Where it listens.
        allowed: Host names by which it may be called.
        public_url: Where browsers see it, such as ``https://pay.example``.
        webhooks_to: Host names that webhooks may be sent to.

    Attributes:
        host: Where it listens.
        public_url: Without a final slash; `None` if that is where it listens.

    Raises:
        ConfigurationError: One of them cannot be right.
    """

    def __init__(
        self,
        host: str,
        allowed: Iterable[str] = (),
        public_url: str | None = None,
        webhooks_to: Iterable[str] = (),
    ) -> None:
        self.host = host
        self._public: host_names.Address | None = None
        self.public_url: str | None = None
        if public_url is not None:
            self._public = host_names.read_origin(public_url)
            if self._public is None:
                message = "the public URL must be like https://pay.example, no path"
                raise ConfigurationError(message)
            self.public_url = public_url.rstrip("/")
        self._shops = _names(webhooks_to, "webhooks_to")
        own = {host} - _EVERYWHERE
        seen_as = set() if self._public is None else {self._public.host}
        self._names = _names(allowed, "allowed_hosts") | _names(own, "host") | seen_as

    @property
    def local(self) -> str:
        """The host by which programs on this machine reach it."""
        if self.host in _EVERYWHERE:
            return "::1" if ":" in self.host else "127.0.0.1"
        return self.host

    def answers_to(self, authority: str | None) -> bool:
        """Tell whether a request with this ``Host`` header is for it."""
        called = host_names.read_authority(authority or "")
        return called is not None and _is_in(called.host, self._names)

    def is_own_page(self, origin: str | None, authority: str | None) -> bool:
        """Tell whether a form comes from one of its own pages.

        Args:
            origin: The ``Origin`` header; programs send none.
            authority: The ``Host`` header, which it answers to.
        """
        if origin is None:
            return True
        page = host_names.read_origin(origin)
        if page is None:
            return False
        # A proxy may have ended the TLS that the page came by. The port that neither
        # may name tells apart all the same: https://localhost is another program.
        called = host_names.read_authority(authority or "")
        is_here = called is not None and page[1:] == called[1:]  # host and port
        return is_here or page == self._public

    def takes_webhooks(self, url: str) -> bool:
        """Tell whether a webhook may be sent to *url*."""
        target = host_names.read_url(url)
        return target is not None and _is_in(target.host, self._shops)


def _is_in(host: str, names: frozenset[str]) -> bool:
    return is_loopback(host) or host in names


def _names(given: Iterable[str], what: str) -> frozenset[str]:
    names = frozenset([given] if isinstance(given, str) else given)
    if not all(map(host_names.is_host, names)):
        message = f"{what} must be host names, without scheme and port"
        raise ConfigurationError(message)
    return frozenset(name.lower() for name in names)
