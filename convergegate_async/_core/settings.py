"""Where to call, as whom, and by what way."""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import attrs

from convergegate_async.errors import ConfigurationError
from convergegate_async.models import rules

from . import host_names
from .echo import ECHO_FIELDS
from .redaction import Hidden
from .secret import Secret

API_KEY_VARIABLE = "CONVERGEGATE_API_KEY"
BASE_URL_VARIABLE = "CONVERGEGATE_BASE_URL"
INSECURE_HOSTS_VARIABLE = "CONVERGEGATE_INSECURE_HOSTS"

_NOT_NAMED = (
    "must be https: plain http is for this machine, and for hosts that you name in "
    f"insecure_hosts or {INSECURE_HOSTS_VARIABLE}, without the port"
)
_QUOTES = "\"'"
_PORTS = {"http": 80, "https": 443}
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


@attrs.frozen(kw_only=True)
class Settings:
    """Where to call and as whom.

    Attributes:
        base_url: Scheme, host and path prefix, without ``/v1`` and a final slash.
        api_key: The secret key.
        authorization: The header's value, computed once.
        spellings: The key as a gateway could quote it, plain or as the header: what
            `redacted` hides.
        echo_fields: Which fields of an answer must equal what was sent, where it has
            them.
    """

    base_url: str
    api_key: Secret[str]
    authorization: Secret[str]
    spellings: Secret[Hidden]
    echo_fields: frozenset[str]

    @property
    def is_local(self) -> bool:
        """Tell whether the gateway is on this machine."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def server(self) -> tuple[str, int]:
        """The address and the port that are called."""
        parts = urlsplit(self.base_url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def read_settings(
    api_key: Secret[str],
    base_url: object,
    echo_fields: Collection[str] = ECHO_FIELDS,
    insecure_hosts: Collection[str] = (),
) -> Settings:
    """Check the key, the address and the names of fields and hosts.

    Args:
        api_key: The secret key.
        base_url: Where to call, as it was given.
        echo_fields: Which fields of an answer must equal what was sent.
        insecure_hosts: Hosts beside this machine that a test key may be sent to by
            plain http.

    Raises:
        ConfigurationError: One of them cannot be right.
    """
    problem = problem_of_key(api_key.reveal())
    if problem is not None:
        message = f"the API key {problem}"
        raise ConfigurationError(message)
    if not isinstance(base_url, str):
        message = "the base URL must be a str"
        raise ConfigurationError(message)
    named = _named_hosts(insecure_hosts)
    is_live = is_live_key(api_key)
    address, problem = _canonical(base_url, named, is_live=is_live)
    if problem is not None:
        message = f"the base URL {problem}"
        raise ConfigurationError(message)
    if not _are_echo_fields(echo_fields):
        message = f"echo_fields may hold {', '.join(ECHO_FIELDS)}"
        raise ConfigurationError(message)
    header = _basic(api_key)
    spellings = api_key.reveal(), header.reveal().removeprefix("Basic ")
    return Settings(
        base_url=address,
        api_key=api_key,
        authorization=header,
        spellings=Secret(tuple(("api_key", spelling) for spelling in spellings)),
        echo_fields=frozenset(echo_fields),
    )


def _are_echo_fields(names: object) -> bool:
    return (
        isinstance(names, Collection)
        and not isinstance(names, str)
        and all(name in ECHO_FIELDS for name in names)
    )


def _named_hosts(hosts: object) -> frozenset[str]:
    """Return the hosts in the form in which they are compared."""
    if (
        not isinstance(hosts, Collection)
        or isinstance(hosts, str | bytes)
        or not all(isinstance(host, str) and host_names.is_host(host) for host in hosts)
    ):
        message = (
            f"insecure_hosts ({INSECURE_HOSTS_VARIABLE}) must be a list of names and "
            "addresses of hosts, without scheme, port and wildcards"
        )
        raise ConfigurationError(message)
    return frozenset(map(_compared, hosts))


def _compared(host: str) -> str:
    """Return what is equal for *host* in another case, rooted or written at length."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


def split_names(names: str) -> tuple[str, ...]:
    """Return the names that stand between the commas of a variable."""
    return tuple(filter(None, map(str.strip, names.split(","))))


def proxy_of_environment(
    base_url: object, environ: Mapping[str, str]
) -> Secret[str] | None:
    """Return the proxy that the environment has for *base_url*, if it has one.

    That is ``https_proxy`` or else ``HTTPS_PROXY``, unless ``no_proxy`` or else
    ``NO_PROXY`` names the host as urllib reads it: the host, what it lies under, either
    with the port, or ``*``. Plain http is sent by no proxy, and this machine is none
    that another one could reach.

    Raises:
        ConfigurationError: The variable holds no http or https URL.
    """
    target = host_names.read_url(base_url) if isinstance(base_url, str) else None
    if target is None or target.scheme != "https" or is_loopback(target.host):
        return None
    name = next(filter(environ.__contains__, ("https_proxy", "HTTPS_PROXY")), "")
    proxy = Secret(environ.get(name, ""))
    exempt = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    del environ  # tracebacks show locals
    if not proxy.reveal() or _is_exempt(target, exempt):
        return None
    if not rules.is_proxy(proxy.reveal()):
        message = (
            f"the environment variable {name} must hold an http or https URL, such as "
            "http://proxy.example:3128, without a path (in a password, / ? # are "
            "%2F %3F %23)"
        )
        raise ConfigurationError(message)
    return proxy


def _is_exempt(target: host_names.Address, no_proxy: str) -> bool:
    host = _compared(target.host)
    spellings = (f".{host}", f".{host}:{target.port}")
    names = (_compared(name.lstrip(".").strip("[]")) for name in split_names(no_proxy))
    return any(
        name == "*" or spelling.endswith(f".{name}")
        for name in names
        for spelling in spellings
    )


def missing_variables(api_key: Secret[str], base_url: str) -> tuple[str, ...]:
    """Name the environment variables that had to be set and were not."""
    values = {API_KEY_VARIABLE: api_key.reveal(), BASE_URL_VARIABLE: base_url}
    return tuple(name for name, value in values.items() if not value)


def _basic(api_key: Secret[str]) -> Secret[str]:
    # HTTP Basic with an empty password: the provider's page on authentication.
    return Secret("Basic " + b64encode((api_key.reveal() + ":").encode()).decode())


def problem_of_key(key: object) -> str | None:
    """Return what is wrong with an API key, in words that do not hold it."""
    if not isinstance(key, str) or not key:
        return "must be a non-empty str"
    problems = (
        (
            "must not hold white space (is there a newline at its end?)",
            any(character.isspace() for character in key),
        ),
        ("must be printable ASCII", not (key.isascii() and key.isprintable())),
        ("must not hold a colon", ":" in key),
        ("must not stand in quotes", key.strip(_QUOTES) != key),
        (
            "must be the secret one (sk_…), not the public one (pk_…)",
            key.startswith("pk_"),
        ),
    )
    return next((problem for problem, found in problems if found), None)


def is_live_key(key: Secret[str]) -> bool:
    """Tell whether *key* may move real money: any but a test key may."""
    return not key.reveal().startswith("sk_test_")


def _canonical(
    base_url: str, insecure_hosts: frozenset[str], *, is_live: bool
) -> tuple[str, str | None]:
    """Return the address as it is put before a path, and what is wrong with it."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", "is not a URL"
    path = parts.path.rstrip("/")
    is_in_plain = parts.scheme == "http" and not is_loopback(host)
    problems = (
        (
            "must be absolute, such as https://gateway.example",
            parts.scheme not in {"http", "https"} or not host,
        ),
        (
            "must be printable ASCII without spaces",
            not (base_url.isascii() and base_url.isprintable()) or " " in base_url,
        ),
        (
            "must hold no user name, query or fragment",
            bool("@" in parts.netloc or parts.query or parts.fragment),
        ),
        (
            "must be https: plain http to another machine is for test keys (sk_test_…)",
            is_in_plain and is_live,
        ),
        (
            _NOT_NAMED,
            is_in_plain and _compared(host) not in insecure_hosts,
        ),
        (
            "must name a host, not a bare number or a link-local address",
            not (rules.is_host(host) and _is_plain_host(host)),
        ),
        ("must not include /v1", path.endswith("/v1")),
    )
    name = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{path}"
    return address, next((problem for problem, found in problems if found), None)


def is_loopback(host: str) -> bool:
    """Tell whether *host* names this machine and no other."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_plain_host(host: str) -> bool:
    """Tell whether *host* is neither a number in disguise nor link-local."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # 2130706433 and 0x7f.1 are addresses in disguise; no host name is a number.
        return not _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2])
    return not address.is_link_local
