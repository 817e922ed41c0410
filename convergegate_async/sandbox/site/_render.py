"""How pages are made of templates and values, and what is sent beside them.

Jinja2 belongs to the extra ``cli`` and is imported at the first page: the API of the
sandbox needs none.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from aiohttp import web

from convergegate_async._core.plain_text import without_controls

from . import words

if TYPE_CHECKING:
    import jinja2

ASSETS: Mapping[str, str] = {
    "icon.svg": "image/svg+xml",
    "pay.js": "text/javascript",
    "status.js": "text/javascript",
    "style.css": "text/css",
}
"""What pages fetch, and its type; see the folder ``static``."""

_WITHOUT_JINJA = (
    "the sandbox's pages are made by Jinja2: "
    'python -m pip install "convergegate-async[cli]"'
)
_HEADERS = {
    # Nothing of another place is loaded, and nothing that stands in a page can run,
    # whatever a customer is called.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def page(template: str, status: int = 200, **values: object) -> web.Response:
    """Answer with a page; without Jinja2, with what has to be installed."""
    try:
        environment = _environment()
    except ImportError:
        return web.Response(text=_WITHOUT_JINJA, status=501)
    return web.Response(
        text=environment.get_template(template).render(values),
        status=status,
        content_type="text/html",
        headers={**_HEADERS, "Cache-Control": "no-store"},
    )


async def asset(request: web.Request) -> web.Response:
    """Answer with a file that pages fetch, to be kept under its address."""
    name = request.path.rpartition("/")[2]
    body, version = _read(name)
    is_wanted = request.query.get("v") == version
    age = "public, max-age=31536000, immutable" if is_wanted else "no-cache"
    return web.Response(
        body=body,
        content_type=ASSETS[name],
        charset="utf-8",
        headers={**_HEADERS, "Cache-Control": age},
    )


def asset_path(name: str) -> str:
    """Return where a file is; another text has another address."""
    return f"/sandbox/static/{name}?v={_read(name)[1]}"


@cache
def _read(name: str) -> tuple[bytes, str]:
    body = files(__package__).joinpath("static", name).read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:12]


# The page of a load test is made in the same way, in `load/report/page.py`: leaves do
# not import each other, and a room below them would have to know Jinja2.
@cache
def _environment() -> "jinja2.Environment":
    import jinja2  # noqa: PLC0415 -- an extra

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset_path
    environment.globals["icon"] = vars(environment.get_template("_icons.html").module)[
        "icon"
    ]
    environment.globals["english"] = words.LANGUAGES["en"]
    environment.filters["amount"] = words.spell_amount
    environment.filters["clock"] = words.spell_clock
    environment.filters["iso"] = words.spell_iso
    environment.filters["short"] = words.spell_short
    environment.filters["moment"] = words.spell_moment
    return environment


def _printable(value: object) -> object:
    """Leave out what no page may hold; markup is what a template made."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return without_controls(str(value)) if is_text else value
