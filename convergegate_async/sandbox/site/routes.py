"""The sandbox for people: pay pages for customers, a console at ``/`` for its owner."""

from aiohttp import web

from convergegate_async.sandbox._api import Api
from convergegate_async.sandbox._hosts import Hosts

from ._controls import Controls
from ._render import ASSETS, asset
from .console import Console
from .customers import CustomerPages
from .stories import Stories


def site_routes(sandbox: Controls, api: Api, hosts: Hosts) -> list[web.RouteDef]:
    """Return all that the pages of *sandbox* answer to."""
    return [
        *CustomerPages(sandbox, api, hosts).routes(),
        *Console(sandbox, api, hosts).routes(),
        *Stories(sandbox, api, hosts).routes(),
        *(web.get(f"/sandbox/static/{name}", asset) for name in ASSETS),
    ]
