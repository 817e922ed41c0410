"""Host names, as they stand in URLs and in a browser's headers.

They are read strictly: what one library takes for this machine and another for a name
elsewhere is no host at all.
"""

import ipaddress
import re
from typing import NamedTuple

_HOST = r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
_FLAGS = re.ASCII | re.IGNORECASE | re.DOTALL
_NAME = r"[a-z0-9._-]+"
_ORIGIN = rf"(?P<scheme>https?)://{_HOST}/?"
_URL = rf"(?P<scheme>https?)://(?:[^/?#@\\\s]*@)?{_HOST}(?:[/?#].*)?"
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535


class Address(NamedTuple):
    """Where something is reached.

    Attributes:
        host: In lower case, an IPv6 address without its brackets.
    """

    scheme: str
    host: str
    port: int


def is_host(text: str) -> bool:
    """Tell whether *text* is a name or an address, without scheme and port."""
    if ":" in text and "%" not in text:
        try:
            ipaddress.IPv6Address(text)
        except ValueError:
            return False
        return True
    return re.fullmatch(_NAME, text, _FLAGS) is not None


def read_url(text: str) -> Address | None:
    """Return where an http or https URL leads; `None` if that is not plain."""
    return _read(re.fullmatch(_URL, text, _FLAGS))


def read_origin(text: str) -> Address | None:
    """Return an origin, such as ``https://shop.example``; `None` if it is more."""
    return _read(re.fullmatch(_ORIGIN, text, _FLAGS))


def read_authority(text: str, scheme: str = "http") -> Address | None:
    """Return what a ``Host`` header names, over *scheme*; `None` if nothing."""
    return _read(re.fullmatch(_HOST, text, _FLAGS), scheme)


def _read(match: re.Match[str] | None, scheme: str = "") -> Address | None:
    if match is None:
        return None
    found = match.groupdict()
    scheme = found.get("scheme", scheme).lower()
    host, port = found["host"].lower().strip("[]"), found["port"] or _PORTS[scheme]
    return Address(scheme, host, int(port)) if int(port) <= _LAST_PORT else None
