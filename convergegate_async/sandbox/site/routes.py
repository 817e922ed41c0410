"""The sandbox for people: pay pages for customers, a console at ``/`` for its owner."""

from aiohttp import web
from aiohttp.typedefs import Handler

from convergegate_async.sandbox._api import Api
from convergegate_async.sandbox._controlled import Controlled
from convergegate_async.sandbox._hosts import Hosts
from convergegate_async.sandbox._webhook_sender import WebhookSender

from ._render import ASSETS, asset, asset_path, page
from ._site import Site, redirect_to
from .console import Console
from .customers import CustomerPages
from .stories import Stories

_ANYWHERE = "/{path}"
"""The address of the API that takes what no other does."""


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
        web.get("/favicon.ico", _favicon),
    ]


@web.middleware
async def page_for_lost_browsers(
    request: web.Request, handler: Handler
) -> web.StreamResponse:
    """Show a page where a browser would get the API's refusal of programs.

    It counts as no request of the API. Programs ask for no HTML.
    """
    resource = request.match_info.route.resource
    is_unknown = resource is not None and resource.canonical == _ANYWHERE
    wants_page = "text/html" in request.headers.get("Accept", "")
    if request.method == "GET" and is_unknown and wants_page:
        return page("nowhere.html", 404, wanted=request.path)
    return await handler(request)


async def _favicon(_: web.Request) -> web.Response:
    """Lead on: browsers ask for it where no page has named an icon."""
    return redirect_to(asset_path("icon.svg"))
