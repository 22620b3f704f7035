"""Markup that is escaped unless it says that it is markup.

Every text that a preset, a prompt or a file brings goes through ``tag`` or ``esc``; only
values of type ``Html`` pass as they are, and only this package makes those.
"""

from collections.abc import Iterable
from urllib.parse import urlencode

from markupsafe import Markup, escape

Html = Markup
"""Text that is markup already."""
esc = escape
"""``value`` as markup: escaped, unless it is markup."""
EMPTY = Html("")
_VOID = frozenset({"img", "input", "br", "hr"})


def join(parts: Iterable[object], glue: object = "") -> Html:
    return esc(glue).join(map(esc, parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """One element. ``class_`` is class, ``data_x`` is data-x; None and False leave it out."""
    spelled = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{spelled}>")
    return Html(f"<{name}{spelled}>{join(children)}</{name}>")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{esc(str(value))}"'


def address(**names: object) -> str:
    """For ``data_address``: what the page's address says while this markup is seen, such as
    ``picture=NAME``. Empty values are left out."""
    return urlencode({key: str(value) for key, value in names.items() if value})


def div(class_: str, *children: object, **attributes: object) -> Html:
    return tag("div", *children, class_=class_, **attributes)


def span(class_: str, *children: object, **attributes: object) -> Html:
    return tag("span", *children, class_=class_, **attributes)


def link(address: str, text: str | None = None) -> Html:
    """A link to another site; only text where the address is not one of the web."""
    if not address.startswith(("https://", "http://")):
        return esc(text or address)
    return tag("a", text or address, href=address, target="_blank", rel="noopener noreferrer")
