"""A sandbox that runs elsewhere, such as in another container, by its control API."""

import json
from collections.abc import Collection, Mapping
from http import HTTPStatus
from ssl import SSLContext
from types import TracebackType
from typing import Self
from urllib.parse import quote

import aiohttp

from convergegate_async._core.messages import shown
from convergegate_async._core.secret import Secret
from convergegate_async._core.settings import (
    is_live_key,
    problem_of_key,
    read_settings,
)
from convergegate_async._core.strict_json import decode_json
from convergegate_async.errors import ConfigurationError, NotSentError
from convergegate_async.models import SessionStatus

from ._control_orders import PREFIX
from ._wire import new_client

_PATIENCE = aiohttp.ClientTimeout(total=30.0)


class RemoteSandbox:
    """A sandbox that another process runs.

    Look at what a shop has opened there, or `pay` it::

        async with RemoteSandbox(url, api_key="sk_test_sandbox") as sandbox:
            status = await sandbox.status_of(session.id)

    Args:
        base_url: Where it is called.
        api_key: Its key; a live one is for no sandbox.
        insecure_hosts: Hosts beside this machine that may be called by plain http, as
            a factory's.
        ssl: Whom to trust; the platform's certificates if `None`.
        proxy: The URL of a proxy to call it by.

    Raises:
        ConfigurationError: The key is a live one, or one of them cannot be right.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        insecure_hosts: Collection[str] = (),
        ssl: SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        secret = Secret(api_key)
        del api_key  # tracebacks show locals
        if problem_of_key(secret.reveal()) is None and is_live_key(secret):
            message = "a live key is for no sandbox: nothing was sent"
            raise ConfigurationError(message)
        settings = read_settings(secret, base_url, insecure_hosts=insecure_hosts)
        self._base_url = settings.base_url
        self._address = f"{settings.base_url}{PREFIX}"
        self._spellings = settings.spellings
        self._headers = {"Authorization": f"Bearer {secret.reveal()}"}
        self._ssl = ssl
        self._proxy = proxy
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._client = new_client()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def now(self) -> float:
        """Return what its clock shows, in epoch seconds.

        Raises:
            ConfigurationError: It is no sandbox, or has another key.
            NotSentError: Nobody answers there.
        """
        now = await self._ask("GET", "/clock", "now")
        if not isinstance(now, float | int):
            message = f"{self._base_url} is no sandbox: it has no clock"
            raise ConfigurationError(message)
        return float(now)

    async def status_of(self, session_id: str) -> SessionStatus:
        """Return how a session stands.

        Raises:
            ConfigurationError: It does not tell: there is no such session, or it is no
                sandbox.
            NotSentError: Nobody answers there.
        """
        session = await self._ask("GET", _path(session_id), "session")
        word = session.get("status") if isinstance(session, dict) else None
        status = next((known for known in SessionStatus if known == word), None)
        if status is None:
            message = f"{self._base_url} is no sandbox: it tells no status"
            raise ConfigurationError(message)
        return status

    async def pay(self, session_id: str, blik_code: str = "123456") -> None:
        """Pay a session as its customer does, by a code that decides its fate.

        Raises:
            ConfigurationError: It refuses.
            NotSentError: Nobody answers there.
        """
        path = f"{_path(session_id)}/pay"
        await self._ask("POST", path, "id", {"blik_code": blik_code})

    async def expire(self, session_id: str) -> None:
        """Let a session expire now.

        Raises:
            ConfigurationError: It refuses.
            NotSentError: Nobody answers there.
        """
        await self._ask("POST", f"{_path(session_id)}/expire", "id")

    async def _ask(
        self,
        method: str,
        path: str,
        field: str,
        order: Mapping[str, object] | None = None,
    ) -> object:
        """Return a *field* of what is answered; a refusal has none of ours."""
        status, answer = await self._send(method, path, order)
        if field in answer:
            return answer[field]
        given = answer.get("error")
        refusal = given if isinstance(given, dict) else {}
        reason = shown(refusal.get("message"), self._spellings.reveal())
        # Of a session that there is not, a refusal says which field named it.
        is_lost = status == HTTPStatus.NOT_FOUND and "param" not in refusal
        if reason is None or is_lost:
            message = f"{self._base_url} is no sandbox: it has no control API"
        else:
            message = f"the sandbox at {self._base_url} refuses: {reason}"
        raise ConfigurationError(message)

    async def _send(
        self, method: str, path: str, order: Mapping[str, object] | None
    ) -> tuple[int, dict[str, object]]:
        if self._client is None:
            message = "the remote sandbox is not open: use `async with`"
            raise ConfigurationError(message)
        try:
            async with self._client.request(
                method,
                f"{self._address}{path}",
                data=None if order is None else json.dumps(order),
                headers=self._headers,
                ssl=self._ssl or True,
                proxy=self._proxy,
                timeout=_PATIENCE,
                allow_redirects=False,
            ) as answer:
                return answer.status, _read(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = type(error).__name__
        # Outside, as that error holds the key.
        reason = f"nobody answers at {self._base_url} ({problem})"
        raise NotSentError(operation=f"{method} {PREFIX}{path}", reason=reason)


def _path(session_id: str) -> str:
    return f"/sessions/{quote(session_id, safe='')}"


def _read(body: bytes) -> dict[str, object]:
    try:
        document = decode_json(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
