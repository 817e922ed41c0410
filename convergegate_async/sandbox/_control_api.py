"""The sandbox for programs in any language: is it up."""

from aiohttp import web

from convergegate_async._version import __version__


class ControlApi:
    """What a sandbox says of itself, and what it does when it is told to."""

    def routes(self) -> list[web.RouteDef]:
        """Return what it answers to."""
        return [web.get("/health", self._health)]

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": __version__})
