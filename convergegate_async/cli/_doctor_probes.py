"""How the doctor finds out: it looks, each time for some seconds, and changes nothing.

Everything goes the way that calls go: the factory tells its proxy, and what it trusts.
It is longer than most modules, as it is all that the doctor does to the outside.
"""

import asyncio
import base64
import os
import platform
import re
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from convergegate_async import (
    CallError,
    CheckoutSessionFactory,
    ConfigurationError,
    PoolLimits,
    RetryPolicy,
    Timeouts,
)
from convergegate_async._core.messages import HttpRequest, HttpResponse, parse_date
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import proxy_of_environment
from convergegate_async._core.verdicts import Failure
from convergegate_async._transport import AiohttpTransport, Marks
from convergegate_async._version import __version__
from convergegate_async.factory import FactoryContext, context_of

from ._doctor_checks import TESTED
from ._doctor_findings import (
    Certificate,
    Configuration,
    Findings,
    Package,
    Reply,
    Trouble,
)
from ._streams import printable

T = TypeVar("T")
Make = Callable[..., CheckoutSessionFactory]

NO_SESSION = "convergegate-doctor-looks-for-nothing"
"""An id that no gateway gives."""

_OURS = "convergegate-async"
_CORE = {"aiohttp", "attrs", "cattrs", "tenacity"}
_NOT_FOR_USERS = {"all", "dev"}  # extras: of other extras, and for who works on this
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*>=\s*(?P<floor>[0-9.]+)")
_EXTRA = re.compile(r"""extra == ['"](\w+)['"]""")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


async def examine(make: Make, patience: float, *, trust_env: bool) -> Findings:
    """Look at everything between this process and the gateway, as far as one can.

    Args:
        make: Makes a factory, of options.
        patience: How many seconds each look may take.
        trust_env: Whether the environment's proxy is used.
    """
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    found: dict[str, Any] = {
        "python": f"{platform.python_version()} on {platform.system()}",
        "loop": loop,
        "packages": tuple(_packages()),
    }
    try:
        context = context_of(make(trust_env=trust_env))
    except ConfigurationError as error:
        return Findings(configuration=Trouble(str(error)), **found)
    way = _Way(context, patience)
    found["configuration"] = _configuration(context, way)
    found["objection"] = await _objection(context)
    async for name, value in _walk(way, patience):
        found[name] = value
        if isinstance(value, Trouble):
            return Findings(**found)
    reply = await _ask(make, context, patience)
    return Findings(reply=reply, **found)


def _packages() -> Iterator[Package]:
    yield Package(_OURS, __version__, None, is_extra=False)
    try:
        requirements = metadata.requires(_OURS) or []
    except metadata.PackageNotFoundError:  # run from its source
        requirements = []
    floors = dict.fromkeys(TESTED, "")
    for requirement in requirements:
        extra, known = _EXTRA.search(requirement), _REQUIREMENT.match(requirement)
        if known and not (extra and extra[1] in _NOT_FOR_USERS):
            floors[known["name"]] = known["floor"]
    for name, floor in floors.items():
        version = None
        with suppress(metadata.PackageNotFoundError):
            version = metadata.version(name)
        yield Package(name, version, floor or None, is_extra=name not in _CORE)


def _configuration(context: FactoryContext, way: "_Way") -> Configuration:
    return Configuration(
        base_url=context.base_url,
        host=way.host,
        port=way.port,
        is_tls=way.is_tls,
        is_live=context.is_live,
        proxy=way.proxy and _authority(*way.proxy),
        unused=None if way.proxy else _unused_proxy(context.base_url),
    )


def _unused_proxy(base_url: str) -> str | None:
    """Name the variable of a proxy that the factory would use if it was trusted."""
    with suppress(ConfigurationError):
        if proxy_of_environment(base_url, os.environ) is None:
            return None
    return next(filter(os.environ.get, ("https_proxy", "HTTPS_PROXY")), None)


# -- the way ------------------------------------------------------------------------


class _Way:
    """From this process to the gateway, by a proxy or straight.

    Attributes:
        proxy: Host and port of the proxy, if there is one.
        trust: Whose certificates are believed.
        addresses: Of what is connected to first.
    """

    def __init__(self, context: FactoryContext, patience: float) -> None:
        self._patience = patience
        parts = urlsplit(context.base_url)
        self.is_tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.is_tls else 80)
        self.trust = context.ssl or ssl.create_default_context()
        self.proxy: tuple[str, int] | None = None
        self._has_tls_proxy = False
        self._password: Secret[str] | None = None
        self.addresses: tuple[str, ...] = ()
        if context.proxy is not None:
            self._read_proxy(context.proxy)

    def _read_proxy(self, proxy: Secret[str]) -> None:
        parts = urlsplit(proxy.reveal())
        self._has_tls_proxy = parts.scheme == "https"
        port = parts.port or (443 if self._has_tls_proxy else 80)
        self.proxy = parts.hostname or "", port
        if parts.username is not None:
            words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._password = Secret(base64.b64encode(words.encode()).decode())

    @property
    def first(self) -> tuple[str, int]:
        """What is connected to."""
        return self.proxy or (self.host, self.port)

    @asynccontextmanager
    async def lead(
        self, *, through: bool = True
    ) -> AsyncIterator[asyncio.StreamWriter]:
        """Connect to the gateway, or not *through* the proxy; hang up at the end."""
        reader, writer = await self._connect()
        try:
            if self.proxy is not None and through:
                await self._tunnel(reader, writer)
            yield writer
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        *others, last = self.addresses
        for address in others:  # one that is silent leaves time for the next
            with suppress(OSError):
                async with asyncio.timeout(self._patience / len(self.addresses)):
                    streams = await asyncio.open_connection(address, self.first[1])
                self.addresses = (address,)
                return streams
        return await asyncio.open_connection(last, self.first[1])

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._has_tls_proxy:
            await writer.start_tls(self.trust, server_hostname=self.first[0])
        to = _authority(self.host, self.port)
        head = f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n"
        if self._password is not None:
            head += f"Proxy-Authorization: Basic {self._password.reveal()}\r\n"
        writer.write(f"{head}\r\n".encode())
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            answer = b""
        status = _STATUS.match(answer)
        if status is None or not status[1].startswith(b"2"):
            message = f"HTTP {status[1].decode()}" if status else "it hung up"
            raise _ProxyRefusalError(message)


class _ProxyRefusalError(Exception):
    """The proxy does not lead to the gateway."""

    def __str__(self) -> str:
        return f"the proxy does not lead there: {super().__str__()}"


async def _walk(way: _Way, patience: float) -> AsyncIterator[tuple[str, Any]]:
    """Go the way step by step; yield the name and the value of each finding."""
    addresses = await _bounded(_look_up(*way.first), patience)
    is_lost = isinstance(addresses, Trouble)
    if way.proxy is None or is_lost:
        yield ("addresses" if way.proxy is None else "proxy"), addresses
    if isinstance(addresses, Trouble):
        return
    way.addresses = addresses
    if way.proxy is not None:
        yield "proxy", await _bounded(_timed(way.lead(through=False)), patience)
    yield "connection", await _bounded(_timed(way.lead()), patience)
    if way.is_tls:
        seen = await _bounded(_handshake(way, way.trust), patience)
        if isinstance(seen, Trouble) and seen.kind == "certificate":
            named = await _bounded(_named(way, seen), patience)
            # Too late for names: it is not trusted all the same.
            seen = named if named.kind == "certificate" else seen
        yield "certificate", seen


async def _bounded(look: Awaitable[T], patience: float) -> T | Trouble:
    """Return what *look* found in time, or the trouble that it met."""
    try:
        async with asyncio.timeout(patience):
            return await look
    except (OSError, _ProxyRefusalError) as error:
        return _trouble_of(error, patience)


def _trouble_of(error: Exception, patience: float) -> Trouble:
    kind = ""
    match error:
        case TimeoutError():
            text = f"no answer in {patience:g} s"
        case _ProxyRefusalError():
            text, kind = str(error), "proxy"
        case socket.gaierror():
            text = error.strerror or "it is not known"
        case ssl.SSLCertVerificationError():
            text = f"the certificate is not trusted: {error.verify_message}"
            kind = "certificate"
        case ssl.SSLError():
            text = f"the handshake failed: {error.reason}"
        case OSError(errno=int(number)):  # its own text quotes the address again
            text = os.strerror(number)
        case _:
            text = "it hung up"
    return Trouble(text, kind)


async def _look_up(host: str, port: int) -> tuple[str, ...]:
    """Return the addresses of *host*.

    In a thread that nobody waits for: a resolver that does not answer cannot be told
    to give up.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def tell(addresses: tuple[str, ...], error: OSError | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def work() -> None:
        addresses: tuple[str, ...] = ()
        problem = None
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
        except OSError as error:
            problem = error
        with suppress(RuntimeError):  # the command is over
            loop.call_soon_threadsafe(tell, addresses, problem)

    threading.Thread(target=work, daemon=True).start()
    return await found


async def _timed(connection: Any) -> float:  # noqa: ANN401 -- an asynchronous context
    """Return in how many milliseconds *connection* stood."""
    start = time.perf_counter()
    async with connection:
        return (time.perf_counter() - start) * 1e3


# -- the certificate ----------------------------------------------------------------


async def _handshake(way: _Way, trust: ssl.SSLContext) -> Certificate:
    tls = await _shake_hands(way, trust)
    shown: dict[str, Any] = dict(tls.getpeercert() or {})
    names = [name for _, name in shown.get("subjectAltName", ())]
    return Certificate(
        protocol=tls.version() or "TLS",
        subject=printable(names[0] if names else _name(shown.get("subject", ()))),
        issuer=printable(_name(shown.get("issuer", ()))),
        expires=ssl.cert_time_to_seconds(shown["notAfter"]) if shown else 0.0,
    )


async def _shake_hands(way: _Way, trust: ssl.SSLContext) -> ssl.SSLObject:
    async with way.lead() as writer:
        await writer.start_tls(trust, server_hostname=way.host.rstrip("."))
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return tls


async def _named(way: _Way, trouble: Trouble) -> Trouble:
    """Return *trouble* with the names in the certificate that caused it.

    Python reads a certificate only once it trusts it. So the first handshake fetches
    it, and the second one trusts it and nothing else; neither sends anything.
    """
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    itself = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    itself.check_hostname = False
    itself.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with suppress(OSError):  # an expired one is not trusted even so
        plain = (await _shake_hands(way, blind)).getpeercert(binary_form=True)
        itself.load_verify_locations(cadata=plain)
        seen = await _handshake(way, itself)
        text = f"{trouble.text} (it is that of {seen.subject}, by {seen.issuer})"
        return Trouble(text, trouble.kind)
    return trouble


def _name(parts: Any) -> str:  # noqa: ANN401 -- as Python shows it
    words = {key: word for part in parts for key, word in part}
    known = (words.get(key) for key in ("organizationName", "commonName"))
    return " ".join(filter(None, known)) or "nobody"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# -- the gateway --------------------------------------------------------------------


class _Listening(AiohttpTransport):
    """Remembers how far our clock is ahead of that of the gateway."""

    skew: float | None = None

    async def send(
        self, request: HttpRequest, patience: float, marks: Marks
    ) -> HttpResponse | Failure:
        """Make one attempt, and read the time of its answer."""
        before = time.time()
        response = await super().send(request, patience, marks)
        if isinstance(response, HttpResponse):
            date = parse_date(response.headers.get("date", ""))
            if date is not None:
                self.skew = (before + time.time()) / 2 - date.timestamp()
        return response


async def _objection(context: FactoryContext) -> str | None:
    """Tell why calls do not take the lane, without making one."""
    transport = AiohttpTransport(
        timeouts=Timeouts(), pool=PoolLimits(), proxy=context.proxy, ssl=context.ssl
    )
    await transport.open()
    await transport.aclose()
    return transport.objection


async def _ask(make: Make, context: FactoryContext, patience: float) -> Reply:
    """Look once at a session that cannot exist."""
    timeouts = Timeouts(total=patience, attempt=patience, connect=patience)
    transport = _Listening(
        timeouts=timeouts,
        pool=PoolLimits(limit=1),
        proxy=context.proxy,
        ssl=context.ssl,
    )
    once = RetryPolicy(max_attempts=1)
    async with make(transport=transport, timeouts=timeouts, retry=once) as checkout:
        try:
            await checkout.retrieve(NO_SESSION)
        except CallError as error:
            return Reply(error, transport.skew)
    return Reply(None, transport.skew)
