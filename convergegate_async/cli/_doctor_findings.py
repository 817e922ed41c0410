"""What the doctor finds, as values: probes fill them in, and checks judge them."""

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from convergegate_async import errors


@attrs.frozen
class Trouble:
    """Why something was not found.

    Attributes:
        kind: Of what kind it is, where there are several; `judge` knows them.
    """

    text: str
    kind: str = ""


@attrs.frozen
class Package:
    """A package that we stand on.

    Attributes:
        version: `None` if it is not installed.
        floor: The lowest version that we take; `None` if that is not known.
        is_extra: We do without it.
    """

    name: str
    version: str | None
    floor: str | None
    is_extra: bool


@attrs.frozen
class Configuration:
    """Which gateway is called, and as whom.

    Attributes:
        proxy: The proxy's address, without its password.
        unused: The variable that names a proxy which is not used.
    """

    base_url: str
    host: str
    port: int
    is_tls: bool
    is_live: bool
    proxy: str | None = None
    unused: str | None = None


@attrs.frozen
class Certificate:
    """What the gateway shows of itself.

    Attributes:
        protocol: The version of TLS.
        expires: Epoch seconds.
    """

    protocol: str
    subject: str
    issuer: str
    expires: float


@attrs.frozen
class Reply:
    """What came of a look at a session that cannot exist.

    Attributes:
        error: How the call ended; `None` if it found a session.
        skew: Seconds that our clock is ahead of the gateway's; `None` if that is not
            known.
    """

    error: errors.CallError | None
    skew: float | None


Addresses: TypeAlias = tuple[str, ...]
Milliseconds: TypeAlias = float


@attrs.frozen(kw_only=True)
class Findings:
    """All that was found; `None` is what was not looked at.

    Attributes:
        objection: Why calls go through aiohttp's session; `None` if they take the lane.
    """

    python: str
    loop: str
    packages: Sequence[Package]
    configuration: Configuration | Trouble
    objection: str | None = None
    proxy: Milliseconds | Trouble | None = None
    addresses: Addresses | Trouble | None = None
    connection: Milliseconds | Trouble | None = None
    certificate: Certificate | Trouble | None = None
    reply: Reply | None = None
