"""The sandbox's pages as a browser without scripts gets and reads them."""

from collections.abc import Mapping
from html.parser import HTMLParser

import aiohttp
import attrs

from convergegate_async import CheckoutSessionRequest
from convergegate_async.sandbox import BookedSession, Sandbox

NBSP = "\u00a0"
NASTY = "<script>alert(1)</script>"
NASTY_URL = "https://shop.example/?a='b'&c=\"><script>alert(1)</script>"


class Reader(HTMLParser):
    """Reads a page as a browser does: its elements, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._texts: list[str] = []
        self._inert = 0  # what a template holds is no part of the page
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self._inert += tag == "template"
        if not self._inert:
            self.elements.append((tag, dict(attrs)))
            self._texts.append("")

    def handle_endtag(self, tag: str) -> None:
        """Note where a template ends."""
        self._inert -= tag == "template"

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if not self._inert:
            self.text += data
            if self._texts:
                self._texts[-1] += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Return the attributes of every *tag* that has the *wanted* ones."""
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]

    def text_of(self, tag: str, **wanted: str) -> list[str]:
        """Return the text that begins every *tag* with the *wanted* attributes."""
        return [
            text.strip()
            for (name, attributes), text in zip(self.elements, self._texts, strict=True)
            if name == tag and wanted.items() <= attributes.items()
        ]

    def foreign_scripts(self) -> list[dict[str, str | None]]:
        """Return the scripts that are no file of the sandbox's own."""
        return [
            attributes
            for attributes in self.all("script")
            if not str(attributes.get("src")).startswith("/sandbox/static/")
        ]


@attrs.frozen(kw_only=True)
class Page:
    """A page as it came."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def read(self) -> Reader:
        """The page, read."""
        return Reader(self.text)


class Browser:
    """Looks at the pages of one sandbox, and follows no redirect by itself."""

    def __init__(self, sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self._client = client

    async def get(self, path: str, **headers: str) -> Page:
        """Open *path*, with headers spelled like ``accept_language``."""
        return await self._send("GET", path, None, headers)

    async def post(
        self, path: str, form: Mapping[str, str] | None = None, **headers: str
    ) -> Page:
        """Press a button."""
        return await self._send("POST", path, form or {}, headers)

    async def _send(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Page:
        async with self._client.request(
            method,
            f"{self.sandbox.base_url}{path}",
            data=form,
            headers={name.replace("_", "-"): text for name, text in headers.items()},
            allow_redirects=False,
        ) as response:
            text = await response.text()
            return Page(status=response.status, headers=response.headers, text=text)


def opened(
    sandbox: Sandbox, order: CheckoutSessionRequest, **changes: object
) -> BookedSession:
    """Open a session, with *changes* to its request."""
    request = attrs.evolve(order, **changes)  # type: ignore[arg-type]  # its own rules check it
    return sandbox.book.open_session(request, sandbox.base_url)


def place(session: BookedSession) -> str:
    """Return the path of a session's pay page."""
    return f"/pay/{session.id}"
