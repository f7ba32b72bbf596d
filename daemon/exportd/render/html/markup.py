"""HTML that is escaped by construction.

``element`` is the only maker of ``Markup`` out of text: a child that is no ``Markup`` is
text, which is made visible and escaped. Adding or formatting ``Markup`` gives plain text
again, which would show as text: a mistake is ugly, and never dangerous.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .visible import visible

_VOID = {"meta", "br", "hr", "input"}

Attribute = str | int | bool | None


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | None  # what is no Markup is text


def element(name: str, *children: Child, **attributes: Attribute) -> Markup:
    """``class_`` is class, ``aria_label`` aria-label; True stands bare, None and False not."""
    opened = f"<{name}{''.join(_attributes(attributes))}>"
    if name in _VOID:
        return Markup(opened)
    return Markup(f"{opened}{''.join(map(_child, children))}</{name}>")


def joined(children: Iterable[Child]) -> Markup:
    return Markup("".join(map(_child, children)))


def opening(name: str, **attributes: Attribute) -> Markup:
    """The start of an element whose content is written piece by piece."""
    return Markup(f"<{name}{''.join(_attributes(attributes))}>")


def _child(child: Child) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Markup) else escape(visible(child), quote=False)


def _attributes(attributes: dict[str, Attribute]) -> Iterable[str]:
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if value is True:
            yield f" {name}"
        elif value is not None and value is not False:
            yield f' {name}="{escape(visible(str(value)))}"'
