"""What AWS Lambda is invoked with: a delivery, as a gateway or balancer wraps it. Pure.

An event is one of four shapes: API Gateway's REST APIs (payload 1.0), its HTTP APIs and
function URLs (2.0), a load balancer, and a load balancer with multi-value headers.
"""

from base64 import b64decode
from collections.abc import Mapping

from convergegate_async.errors import BadPayloadError

_SINGLE, _SEVERAL = "headers", "multiValueHeaders"


def unwrap(
    event: Mapping[str, object],
) -> tuple[object, list[tuple[object, object]]] | BadPayloadError:
    """Return body and headers of the delivery in *event*, or what is wrong with it.

    A REST API tells headers twice, a name that came several times by its last value in
    one of the places. Both are handed on: whatever contradicts is refused later. A body
    that is not text, as a middleware has parsed it, is handed on as well.
    """
    headers: list[tuple[object, object]] = []
    for place in (_SINGLE, _SEVERAL):
        found = event.get(place)
        if isinstance(found, Mapping):
            headers += found.items()
    body = event.get("body")
    if body is None:
        return b"", headers
    if not isinstance(body, str):
        return body, headers
    in_base64 = event.get("isBase64Encoded") is True
    try:
        return b64decode(body, validate=True) if in_base64 else body.encode(), headers
    except ValueError:
        spelling = "base64" if in_base64 else "text"
        return BadPayloadError(f"the body is not valid {spelling}")


def answer(status: int, text: str, event: Mapping[str, object]) -> dict[str, object]:
    """Return what the function returns, in the shape that *event* came in.

    A load balancer that tells headers as lists takes an answer with lists and no other.
    """
    headers: dict[str, object] = {_SINGLE: {"Content-Type": "text/plain"}}
    if isinstance(event.get(_SEVERAL), Mapping):
        headers = {_SEVERAL: {"Content-Type": ["text/plain"]}}
    return {"statusCode": status, **headers, "body": text, "isBase64Encoded": False}
