"""Addresses in one form, so that two spellings of one are not taken for two.

What gateways, frameworks and browsers rewrite (RFC 3986, section 6; WHATWG's URL
standard) is spelled in one way. A form is for comparing only, and is no address.
"""

import ipaddress
import re
import unicodedata
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_MEANINGFUL = b"/?#&=+;%"  # these part an address, unless they are escaped
_LONGEST_LABEL = 63


def normal_url(url: str) -> object:
    """Return what is equal for *url* and for its other spellings."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    return (
        parts.scheme,
        _unescaped(parts.netloc.rpartition("@")[0]),
        normal_host(parts.hostname or ""),
        None if port == _PORTS.get(parts.scheme) else port,
        _without_dots(_unescaped(parts.path)),
        _unescaped(parts.query),
        _unescaped(parts.fragment),
    )


def normal_host(host: str) -> str:
    """Return what is equal for *host* and for its other spellings."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ".".join(map(_normal_label, host.split(".")))


def _normal_label(label: str) -> str:
    # IDNA of 2003 and of 2008 write some letters otherwise; casefolded they meet.
    if label[:4].lower() == "xn--" and len(label) <= _LONGEST_LABEL:
        try:
            label = label[4:].encode("ascii").decode("punycode")
        except (ValueError, OverflowError):
            return label
    return unicodedata.normalize("NFKC", label).casefold()


def _unescaped(text: str) -> bytes:
    """Return *text* with nothing escaped but what would change its meaning."""
    return _ESCAPE.sub(_plain_byte, text.encode("utf-8", "surrogatepass"))


def _plain_byte(escape: re.Match[bytes]) -> bytes:
    byte = bytes([int(escape[1], 16)])
    return escape[0].upper() if byte in _MEANINGFUL else byte


def _without_dots(path: bytes) -> bytes:
    *folders, last = path.removeprefix(b"/").split(b"/")
    kept: list[bytes] = []
    for segment in [*folders, last]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if last in {b".", b".."}:
        kept.append(b"")
    return b"/".join(kept)
