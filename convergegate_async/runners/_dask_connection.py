"""The way to a Dask scheduler; where there is none, one sentence tells why."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from convergegate_async._version import __version__
from convergegate_async.errors import ConfigurationError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster
    from distributed.security import Security

_TLS = "distributed.comm.tls"
_VARIABLE = "DASK_DISTRIBUTED__COMM__TLS__"


def is_address(address: str) -> bool:
    """Tell whether a scheduler may be there: a scheme of Dask's, a host and a port."""
    try:
        parts = urlsplit(address)
        is_whole = bool(parts.hostname and parts.port)
    except ValueError:  # of a port that is none, or a bracket
        return False
    is_plain = parts.netloc == address.partition("://")[2] and "@" not in address
    return parts.scheme in {"tcp", "tls"} and is_whole and is_plain


def require_tls(address: str) -> None:
    """Refuse an address that Dask's settings of TLS do not go with.

    Raises:
        ConfigurationError: A setting is missing, or cannot be used.
    """
    from distributed.security import Security  # noqa: PLC0415 -- an extra

    try:
        security = Security()
        _require_files(security, is_needed=address.startswith("tls://"))
        security.get_connection_args("client")
    except (OSError, ValueError) as error:  # an SSLError, too
        message = f"Dask's settings of TLS ({_TLS}) cannot be used: {error}"
        raise ConfigurationError(message) from error
    if security.require_encryption and address.startswith("tcp://"):
        message = (
            f"{address} is not encrypted, which Dask's setting "
            "distributed.comm.require-encryption asks for: use tls://"
        )
        raise ConfigurationError(message)


def _require_files(security: "Security", *, is_needed: bool) -> None:
    settings = security.get_tls_config_for_role("client")
    files = {
        "ca-file": settings["ca_file"],
        "client.cert": settings["cert"],
        "client.key": settings["key"],  # or it is in the file of client.cert
    }
    missing = [name for name in ("ca-file", "client.cert") if not files[name]]
    if is_needed and missing:
        variables = [
            _VARIABLE + name.replace(".", "__").replace("-", "_").upper()
            for name in missing
        ]
        message = (
            "a tls:// address needs certificates: set "
            f"{' and '.join(f'{_TLS}.{name}' for name in missing)} "
            f"in Dask's configuration, or {' and '.join(variables)}"
        )
        raise ConfigurationError(message)
    for name, file in files.items():
        if file and "\n" not in file:  # else it is what a file would hold
            try:
                Path(file).open("rb").close()
            except OSError as error:
                what = f"{file}, which is Dask's {_TLS}.{name}"
                message = f"{what}, cannot be read: {error.strerror}"
                raise ConfigurationError(message) from error


async def connect(
    where: "LocalCluster | str",
    address: str,
    workers: int,
    patience: float,
    stack: AsyncExitStack,
) -> "Client":
    """Return a client of the scheduler that answers; *stack* closes it.

    Args:
        where: Where the scheduler is.
        address: The same, as the user has named it.
        workers: How many it has to have.
        patience: Seconds for it to answer, and for so many to come.
        stack: Closes the client, also where it has not come to be one.

    Raises:
        ConfigurationError: None answers, or what answers is none.
    """
    from distributed import Client  # noqa: PLC0415 -- an extra

    try:
        client = Client(
            where, asynchronous=True, set_as_default=False, timeout=patience
        )
        stack.push_async_exit(client.__aexit__)
        async with asyncio.timeout(patience):  # Dask has none for its first answer
            connected = await client
        await connected.wait_for_workers(workers, patience)
    except OSError as error:  # a TimeoutError, too
        message = f"no Dask scheduler with workers answers at {address}"
        raise ConfigurationError(message + _of_tls(error)) from error
    except Exception as error:  # whatever comes of bytes that are none of Dask's
        message = (
            f"what answers at {address} is no Dask scheduler, or one of a version that "
            f"cannot be talked to ({type(error).__name__})"
        )
        raise ConfigurationError(message) from error
    return client


def _of_tls(error: BaseException | None) -> str:
    """Return what is wrong with the TLS of a connection, if that is what failed."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f": {_TLS}.ca-file does not vouch for it ({error.verify_message})"
        if isinstance(error, ssl.SSLError):
            return f" by TLS ({error.reason or error})"
        error = error.__cause__ or error.__context__
    return ""


async def require_package(client: "Client") -> None:
    """Refuse workers that have not this package, or not in this version.

    Raises:
        ConfigurationError: One of them has not.
    """
    needed = f"Dask's workers need convergegate-async {__version__}"
    try:
        versions: dict[str, str] = await client.run(_version)
    except Exception as error:  # of the import, there, or of the wire
        message = f"{needed}: {error}"
        raise ConfigurationError(message) from error
    for worker, version in versions.items():
        if version != __version__:
            message = f"{needed}, and {worker} has {version}"
            raise ConfigurationError(message)


def _version() -> str:
    return __version__
