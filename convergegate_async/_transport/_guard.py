"""Whether calls may take the lane, and if not, why.

The lane leaves out `aiohttp.ClientSession`, which others watch or replace, and it leans
on names that aiohttp promises to nobody. So it is taken only where nobody would miss
the session, and where those names are as they were when this was written.
"""

import inspect
import os
import sys
from collections.abc import Iterator
from types import FunctionType

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

from convergegate_async.policy import PoolLimits

TESTED = frozenset({"3.14"})
"""The minor versions of aiohttp that this release's suite has run against."""

SWITCH = "CONVERGEGATE_LANE"
_OFF = frozenset({"off", "no", "false", "0"})
_UNTESTED = "untested"  # on, even with an aiohttp that no suite of ours has met
_ON = frozenset({"", "on", "yes", "true", "1", _UNTESTED})

_WATCHED = (aiohttp.ClientSession, aiohttp.ClientRequest, aiohttp.ClientResponse)

_ATTRIBUTES: tuple[tuple[type, str], ...] = (
    (aiohttp.connector.Connection, "protocol"),
    (aiohttp.ClientRequest, "connection_key"),
    (ResponseHandler, "should_close"),
    (ResponseHandler, "transport"),
    (ResponseHandler, "is_connected"),
    (ResponseHandler, "read"),
    (ResponseHandler, "set_exception"),
    (ResponseHandler, "close"),
    (RawResponseMessage, "code"),
    (RawResponseMessage, "headers"),
    (aiohttp.StreamReader, "_buffer"),
    (aiohttp.StreamReader, "total_bytes"),
)
_PARAMETERS: tuple[tuple[type, str, set[str]], ...] = (
    (aiohttp.BaseConnector, "connect", {"req", "traces", "timeout"}),
    (
        ResponseHandler,
        "set_response_params",
        {
            *("read_until_eof", "auto_decompress"),
            *("max_line_size", "max_field_size", "max_headers"),
        },
    ),
)


def find_objection(
    session: aiohttp.ClientSession, pool: PoolLimits, *, is_proxied: bool, is_ours: bool
) -> str | None:
    """Return why the calls of *session* go the long way; `None` if they need not.

    Args:
        session: Made for these calls.
        pool: May switch the lane off, as the environment may.
        is_proxied: They go by a proxy.
        is_ours: The session's connector is not the caller's own.
    """
    switch = os.environ.get(SWITCH, "").lower()
    if (switched_off := _switched_off_by(pool, switch)) is not None:
        return switched_off
    if is_proxied:
        return "a proxy is used"
    if not is_ours:
        return "the connector is the caller's own"
    minor = ".".join(aiohttp.__version__.split(".")[:2])
    if minor not in TESTED and switch != _UNTESTED:
        return f"aiohttp {aiohttp.__version__} was not tested"
    return next(_watchers(session), None) or next(_changes(), None)


def _switched_off_by(pool: PoolLimits, switch: str) -> str | None:
    if not pool.lane:
        return "PoolLimits(lane=False)"
    if switch in _OFF:
        return f"{SWITCH}={switch}"
    return None if switch in _ON else f"{SWITCH} is none of on, off and untested"


def _watchers(session: aiohttp.ClientSession) -> Iterator[str]:
    """Tell who would miss a request that *session* does not make."""
    if session.trace_configs:
        yield "the session is traced"
    if type(session) not in _WATCHED:
        yield "aiohttp.ClientSession was replaced"
    for cls in _WATCHED:
        home = vars(sys.modules[cls.__module__])
        for name, member in vars(cls).items():
            if callable(member) and not _is_from(home, member):
                yield f"{cls.__name__}.{name} was replaced"


def _is_from(home: dict[str, object], member: object) -> bool:
    """Tell whether a method is of the module *home*, whatever it calls itself."""
    if isinstance(member, FunctionType):
        return member.__globals__ is home
    return isinstance(member, type)  # a class that it makes


def _changes() -> Iterator[str]:
    """Tell what is no longer as it was in aiohttp."""
    for cls, name in _ATTRIBUTES:
        if not hasattr(cls, name):
            yield f"aiohttp's {cls.__name__} has no {name}"
    for cls, name, needed in _PARAMETERS:
        known = inspect.signature(getattr(cls, name)).parameters
        if not needed <= known.keys():
            yield f"aiohttp's {cls.__name__}.{name} takes other arguments"
