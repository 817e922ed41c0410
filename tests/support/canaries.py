"""Words that must not show up anywhere, and everywhere they could."""

import gc
import inspect
import logging
import pickle
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_type_hints
from urllib.parse import unquote

from convergegate_async import (
    CheckoutSessionFactory,
    CheckoutSessionRequest,
    RefundRequest,
)

KEY = "sk_test_CANARYkey"
ENCODED = "c2tfdGVzdF9DQU5BUllrZXk6"  # by HTTP Basic
BLIK_CODE = "907356"
PROXY_PASSWORD = "CANARYproxy"
PROXY_WORD = "Y2FuYXJ5OkNBTkFSWXByb3h5"  # by HTTP Basic, of the user canary
PERSONAL = ("canary@example.com", "Canaria", "Canarinen", "+48999888777", "CanaryNote")
PHONE_DIGITS = PERSONAL[3].removeprefix("+")
CANARIES = (
    KEY,
    ENCODED,
    BLIK_CODE,
    PROXY_PASSWORD,
    PROXY_WORD,
    *PERSONAL,
    "canary%40example.com",
    PHONE_DIGITS,  # however the plus before them is spelled
)


def canary_order() -> CheckoutSessionRequest:
    """Return a request made of canaries."""
    email, first, last, phone, note = PERSONAL
    return CheckoutSessionRequest(
        amount=4999,
        currency="pln",
        customer_email=email,
        customer_firstname=first,
        customer_lastname=last,
        customer_phone=phone,
        success_url="https://shop.example/thanks",
        metadata={"note": note},
        extra={"x_note": note},
    )


_TESTS = str(Path(__file__).parents[1])


def _locals_of(error: BaseException) -> list[object]:
    """Return the locals of every frame but the tests' own."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return [
        (frame.name, frame.locals)
        for frame in shown.stack
        if not frame.filename.startswith(_TESTS)
    ]


CHANNELS: dict[str, Callable[[BaseException], object]] = {
    "message": str,
    "repr": repr,
    "args": lambda error: error.args,
    "notes": lambda error: getattr(error, "__notes__", ()),
    "attributes": vars,
    "pickle": lambda error: pickle.dumps(error).decode("latin-1"),
    "traceback": lambda error: "".join(traceback.format_exception(error)),
    "locals": _locals_of,
}
"""What is read of an error, and of every other one in its chain."""


def channels(error: BaseException) -> str:
    """Return all that an error tracker could see of *error*, locals included."""
    return "\n".join(
        str(read(link)) for link in chain_of(error) for read in CHANNELS.values()
    )


def chain_of(error: BaseException) -> list[BaseException]:
    """Return *error* and whatever it came from or after."""
    links = [error]
    for link in links:
        further = [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
        links += [one for one in further if one is not None and one not in links]
    return links


@contextmanager
def surroundings() -> Iterator[dict[str, list[str]]]:
    """Collect what is told beside the errors: one list for each channel."""
    heard: dict[str, list[str]] = {
        name: [] for name in ("logs", "warnings", "unraisable", "loop", "processes")
    }
    before = sys.unraisablehook
    _started.append(heard["processes"])
    sys.unraisablehook = lambda what: heard["unraisable"].append(_unraised(what))
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            _every_logger(heard["logs"]),
        ):
            warnings.simplefilter("always")
            yield heard
            gc.collect()
        heard["warnings"] += [f"{one.message!r} {one.source!r}" for one in caught]
    finally:
        sys.unraisablehook = before
        _started.remove(heard["processes"])


def _unraised(what: "sys.UnraisableHookArgs") -> str:
    error = what.exc_value or what.exc_type()
    return f"{what.err_msg} {what.object!r}\n" + channels(error)


_started: list[list[str]] = []
_STARTS = (
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
)


def _note_start(event: str, args: object) -> None:
    """Note the arguments and the environment of whatever process is started."""
    if _started and event.startswith(_STARTS):
        _started[-1].append(f"{event} {args!r}")


sys.addaudithook(_note_start)


@contextmanager
def _every_logger(lines: list[str]) -> Iterator[None]:
    """Hear all loggers at DEBUG, also those that do not hand on what they hear."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{self.format(record)} {vars(record)!r}")

    ear = Ear()
    named = list(logging.root.manager.loggerDict.values())
    loggers = [one for one in named if isinstance(one, logging.Logger)]
    heard = [logging.root, *(one for one in loggers if not one.propagate)]
    levels = [(one, one.level) for one in (logging.root, *loggers)]
    for logger, _ in levels:
        logger.setLevel(logging.DEBUG)
    for logger in heard:
        logger.addHandler(ear)
    try:
        yield
    finally:
        for logger in heard:
            logger.removeHandler(ear)
        for logger, level in levels:
            logger.setLevel(level)


def leaked(text: str) -> list[str]:
    """Return the canaries that *text* holds, percent-encoded or escaped as well."""
    plainer = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), unquote(text))
    return [word for word in CANARIES if word in text or word in plainer]


_ESCAPE = re.compile(r"\\+u([0-9a-f]{4})", re.IGNORECASE)


# -- calls full of canaries -----------------------------------------------------------

SESSION_ID = "AW-kLcRRC5P8U68CYe0kVA"


def canary_refund() -> RefundRequest:
    """Return a refund whose note is a canary."""
    return RefundRequest(
        session_id=SESSION_ID, amount=1000, metadata={"note": PERSONAL[-1]}
    )


REQUESTS: dict[type, Callable[[], object]] = {
    CheckoutSessionRequest: canary_order,
    RefundRequest: canary_refund,
}
ARGUMENTS: dict[str, object] = {
    "session_id": SESSION_ID,
    "refund_id": SESSION_ID,
    "blik_code": BLIK_CODE,
}


def canary_arguments(operation: str) -> dict[str, object]:
    """Return what a call is made with, by its signature: a new one is known as well."""
    method = getattr(CheckoutSessionFactory, operation)
    kinds = get_type_hints(method)
    return {
        name: REQUESTS[kinds[name]]() if name == "request" else ARGUMENTS[name]
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self" and parameter.default is inspect.Parameter.empty
    }
