"""What a command is about to send, as a value that knows no key."""

from typing import TYPE_CHECKING

import attrs

from convergegate_async._core.messages import (
    COMMON_HEADERS,
    HttpRequest,
    build_request,
)
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import read_settings
from convergegate_async.factory import context_of

if TYPE_CHECKING:
    from convergegate_async import CheckoutSessionFactory
    from convergegate_async._core.operations import Operation
    from convergegate_async.models import Answer

_NOBODY = read_settings(Secret("sk_test_nobody"), "https://gateway.invalid")


def message_of(
    operation: "Operation[Answer]", factory: "CheckoutSessionFactory"
) -> HttpRequest:
    """Return what *factory* sends to make *operation*, but for the key."""
    settings = attrs.evolve(_NOBODY, base_url=context_of(factory).base_url)
    return build_request(operation, settings)


def headers_of(message: HttpRequest) -> dict[str, str]:
    """Return all headers of *message*."""
    return {**COMMON_HEADERS, **message.headers}
