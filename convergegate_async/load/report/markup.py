"""HTML that is escaped by construction: text is text, unless `element` made it."""

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

from convergegate_async.load.report.words import without_controls

VOID = frozenset({"meta", "link", "br"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Content: TypeAlias = "str | Iterable[Content]"


def element(name: str, /, *content: Content, **attributes: str | None) -> Markup:
    """Return an element, which is well-formed XML, too.

    Args:
        name: Of the element.
        content: Markup as it is, all else escaped.
        attributes: ``class_`` is *class*, ``http_equiv`` is *http-equiv*; those that
            are `None` are left out.
    """
    spelled = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(without_controls(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{spelled}/>")
    return Markup(f"<{name}{spelled}>{rendered(content)}</{name}>")


def rendered(content: Content) -> Markup:
    """Return *content* as markup."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(escape(without_controls(content)))
    return Markup("".join(map(rendered, content)))
