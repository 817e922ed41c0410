"""What ``--curl`` prints: a call as a command that sends the same.

It can be pasted into a POSIX shell. The key, the BLIK code and the proxy, which may
hold a password, are variables there, without which the shell refuses; all else is what
would be sent, and by the same way: curl would go by the environment's proxies, too.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import API_KEY_VARIABLE

from ._request_preview import headers_of

if TYPE_CHECKING:
    from convergegate_async._core.messages import HttpRequest
    from convergegate_async._core.operations import Operation
    from convergegate_async.models import Answer


def curl_command(
    operation: "Operation[Answer]",
    message: "HttpRequest",
    *,
    ca_file: Path | None,
    proxy_variable: str | None,
) -> str:
    """Return the command that makes *operation* as *message* does.

    Args:
        operation: What is asked.
        message: What is sent.
        ca_file: Whose certificates are believed; the platform's if `None`.
        proxy_variable: The variable that holds the proxy, if there is one.
    """
    parts = [
        f"curl -X {message.method} {shlex.quote(message.url)}",
        "--globoff",  # an address is no pattern
        f'-u "{_variable(API_KEY_VARIABLE)}:"',
        *(f"-H {shlex.quote(line)}" for line in _headers(message)),
        *_body(operation),
    ]
    if ca_file is not None:
        parts.append(f"--cacert {shlex.quote(str(ca_file))}")
    if proxy_variable is not None:
        # An empty one would be none, and `no_proxy` would lead past any.
        parts.append(f"--proxy \"{_variable(proxy_variable)}\" --noproxy ''")
    else:
        parts.append("--noproxy '*'")
    return " \\\n  ".join(parts)


def _variable(name: str) -> str:
    return f"${{{name}:?}}"


def _headers(message: "HttpRequest") -> Iterator[str]:
    for name, value in headers_of(message).items():
        if name != "Authorization":
            yield f"{name}: {value}"


def _body(operation: "Operation[Answer]") -> Iterator[str]:
    if operation.body is None or operation.noun is None:
        return
    secrets = [
        field.name
        for field in attrs.fields(type(operation.noun))
        if isinstance(getattr(operation.noun, field.name), Secret)
    ]
    for name in secrets:
        yield f'--data-raw "{name}={_variable(name.upper())}"'
    if not secrets:
        yield f"--data-raw {shlex.quote(operation.body.decode('ascii'))}"
