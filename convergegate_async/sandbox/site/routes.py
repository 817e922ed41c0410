"""The sandbox for people: pay pages for customers, a console at ``/`` for its owner."""

from aiohttp import web

from convergegate_async.sandbox._api import Api
from convergegate_async.sandbox._controlled import Controlled
from convergegate_async.sandbox._hosts import Hosts
from convergegate_async.sandbox._webhook_sender import WebhookSender

from ._render import ASSETS, asset
from ._site import Site
from .console import Console
from .customers import CustomerPages
from .stories import Stories


def site_routes(
    sandbox: Controlled, api: Api, sender: WebhookSender, hosts: Hosts
) -> list[web.RouteDef]:
    """Return all that the pages of *sandbox* answer to."""
    site = Site(sandbox, api, sender, hosts)
    return [
        *CustomerPages(site).routes(),
        *Console(site).routes(),
        *Stories(site).routes(),
        *(web.get(f"/sandbox/static/{name}", asset) for name in ASSETS),
    ]
