"""Which exception of aiohttp is which kind of failure."""

import errno
import socket

import aiohttp
from aiohttp import client_exceptions, http_exceptions

from convergegate_async.errors import FailureKind


class StrayDataError(aiohttp.ClientConnectionError):
    """A pooled connection holds bytes that no request of ours asked for."""


class BodyError(Exception):
    """The body is not to be read: *kind* says why."""

    def __init__(self, kind: FailureKind) -> None:
        super().__init__(kind)
        self.kind = kind


# Every class that aiohttp exports stands here by itself, so that a new one is seen (a
# test walks them). Some bring a status that no server has sent (400): it is not read.
KINDS: dict[type[BaseException], FailureKind] = {
    client_exceptions.ClientConnectorError: FailureKind.CONNECT,
    client_exceptions.UnixClientConnectorError: FailureKind.CONNECT,
    client_exceptions.ClientConnectorDNSError: FailureKind.DNS,
    client_exceptions.ClientSSLError: FailureKind.HANDSHAKE,
    client_exceptions.ClientConnectorSSLError: FailureKind.HANDSHAKE,
    client_exceptions.ClientConnectorCertificateError: FailureKind.CERTIFICATE,
    client_exceptions.ServerFingerprintMismatch: FailureKind.CERTIFICATE,
    client_exceptions.ClientProxyConnectionError: FailureKind.PROXY,
    client_exceptions.ClientHttpProxyError: FailureKind.PROXY_REFUSAL,
    client_exceptions.ConnectionTimeoutError: FailureKind.CONNECT_TIMEOUT,
    client_exceptions.InvalidURL: FailureKind.ADDRESS,
    client_exceptions.InvalidUrlClientError: FailureKind.ADDRESS,
    client_exceptions.NonHttpUrlClientError: FailureKind.ADDRESS,
    StrayDataError: FailureKind.STRAY,
    TimeoutError: FailureKind.TIMEOUT,
    client_exceptions.SocketTimeoutError: FailureKind.TIMEOUT,
    client_exceptions.ServerTimeoutError: FailureKind.TIMEOUT,
    client_exceptions.ServerDisconnectedError: FailureKind.DISCONNECTED,
    client_exceptions.ServerConnectionError: FailureKind.BROKEN,
    client_exceptions.ClientOSError: FailureKind.BROKEN,
    client_exceptions.ClientConnectionResetError: FailureKind.BROKEN,
    client_exceptions.ClientConnectionError: FailureKind.BROKEN,
    client_exceptions.ClientResponseError: FailureKind.HEAD,
    client_exceptions.ContentTypeError: FailureKind.BODY,
    client_exceptions.ClientPayloadError: FailureKind.BODY,
    http_exceptions.HttpProcessingError: FailureKind.HEAD,
    http_exceptions.PayloadEncodingError: FailureKind.BODY,
    # Not to be met: no redirects, no web sockets, no upload tracker.
    client_exceptions.RedirectClientError: FailureKind.UNEXPECTED,
    client_exceptions.InvalidUrlRedirectClientError: FailureKind.UNEXPECTED,
    client_exceptions.NonHttpUrlRedirectClientError: FailureKind.UNEXPECTED,
    client_exceptions.TooManyRedirects: FailureKind.UNEXPECTED,
    client_exceptions.WSServerHandshakeError: FailureKind.UNEXPECTED,
    client_exceptions.WSMessageTypeError: FailureKind.UNEXPECTED,
    client_exceptions.UploadAbortedError: FailureKind.UNEXPECTED,
    client_exceptions.ClientError: FailureKind.UNEXPECTED,
}

_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
_UNKNOWN_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)})

_HEAD_ERRORS = (aiohttp.ClientResponseError, http_exceptions.HttpProcessingError)


def _is_head_too_large(error: Exception) -> bool:
    """Tell whether aiohttp's own limits are the cause, whatever it wrapped that in."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, http_exceptions.LineTooLong):
            return True
        if getattr(cause, "message", None) == "Too many headers received":
            return True  # it has no class of its own
        cause = cause.__cause__
    return False


def kind_of(error: Exception) -> FailureKind:
    """Name what broke."""
    if isinstance(error, BodyError):
        return error.kind
    if isinstance(error, _HEAD_ERRORS) and _is_head_too_large(error):
        return FailureKind.HEAD_TOO_LARGE
    if isinstance(error, aiohttp.ClientConnectorError):
        if error.errno in _NO_DESCRIPTOR:
            return FailureKind.NO_DESCRIPTOR
        if (
            isinstance(error, aiohttp.ClientConnectorDNSError)
            and error.errno in _UNKNOWN_HOST
        ):
            return FailureKind.UNKNOWN_HOST
    for cls in type(error).__mro__:
        if cls in KINDS:
            return KINDS[cls]
    return FailureKind.UNEXPECTED
