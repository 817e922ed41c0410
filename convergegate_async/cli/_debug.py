"""What ``--debug`` tells on stderr: what is sent, and what becomes of each attempt.

The key, the BLIK code and whatever a request's own `repr` leaves out are named only.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from convergegate_async._core.codec import form_fields
from convergegate_async._core.idempotency import fresh_key
from convergegate_async._core.secret import Secret
from convergegate_async.factory import AttemptInfo, CallEnded, PhaseTimings, Runtime

from ._request_preview import headers_of
from ._streams import print_note
from ._wording import counted

if TYPE_CHECKING:
    import asyncio

    from convergegate_async._core.messages import HttpRequest
    from convergegate_async._core.operations import Operation
    from convergegate_async.models import Answer


class Debug:
    """Tells of a call while it is made; it observes it, and brings its time and dice.

    Attributes:
        key: The idempotency key that the call is made under, if none was chosen.
        runtime: What the factory has to be made with.
    """

    def __init__(self) -> None:
        dice = os.urandom(16)
        self.key = fresh_key(dice)
        self.runtime = Runtime(dice=lambda: dice, sleep=self._sleep)

    def show(self, operation: "Operation[Answer]", message: "HttpRequest") -> None:
        """Tell what the call's first attempt sends."""
        print_note(f"> {message.method} {message.url}")
        for name, value in headers_of(message).items():
            shown = "Basic [api_key]" if name == "Authorization" else value
            print_note(f"> {name}: {shown}")
        if operation.noun is not None:
            print_note(">")
            for line in masked(operation.noun):
                print_note(f"> {line}")

    def attempt_ended(self, attempt: AttemptInfo) -> None:
        """Tell what an attempt came to, and where its time went."""
        words = [_plain(attempt.outcome or "done")]
        words += [f"HTTP {attempt.http_status}"] if attempt.http_status else []
        words += [_plain(attempt.failure)] if attempt.failure else []
        if attempt.retry_after is not None:
            words.append(f"to be repeated after {attempt.retry_after:g} s")
        if attempt.request_id:
            words.append(f"request id {attempt.request_id}")
        line = f"{attempt.operation}, attempt {attempt.attempt}: {', '.join(words)}"
        phases = ", ".join(_phases(attempt.timings))
        print_note(f"* {line} ({phases})" if phases else f"* {line}")

    def call_ended(self, call: CallEnded) -> None:
        """Tell what the call came to."""
        tries = counted(call.attempts, "attempt")
        words = [
            f"{_plain(call.outcome or 'done')} after {tries} in {_ms(call.elapsed)}"
        ]
        if call.unknown_attempts:
            words.append(f"{call.unknown_attempts} of unknown outcome")
        if call.idempotency_key is not None:
            words.append(f"idempotency key {call.idempotency_key}")
        print_note(f"* {call.operation}: {', '.join(words)}")

    @staticmethod
    async def _sleep(seconds: float, waker: "asyncio.Event") -> None:
        print_note(f"* pause of {_ms(seconds)}")
        await Runtime().sleep(seconds, waker)


def masked(noun: attrs.AttrsInstance) -> Iterator[str]:
    """Yield the lines of a form, one a pair, personal values and secrets by name."""
    fields = attrs.fields_dict(type(noun))
    for name, text in form_fields(noun):
        field, bracket, _ = name.partition("[")
        if field not in fields:  # a further pair, and its name may tell as much
            field, bracket = "extra", "["
        is_secret = isinstance(getattr(noun, field), Secret)
        shown = text if fields[field].repr and not is_secret else f"[{field}]"
        yield f"{field}{'[…]' if bracket else ''}={shown}"


def _phases(timings: PhaseTimings) -> Iterator[str]:
    for field in attrs.fields(PhaseTimings):
        seconds: float | None = getattr(timings, field.name)
        if seconds is not None:
            yield f"{_plain(field.name)} {_ms(seconds)}"


def _plain(word: str) -> str:
    return word.replace("_", " ")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
