"""Markdown of a model as HTML, of which nothing acts and nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from .code import highlighted, preformatted
from .markup import Markup, element
from .visible import inert, visible

# Text of more than this is no prose, and takes the parser long.
_MOST = 100_000

_ALLOWED = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_REL = "noopener noreferrer nofollow"
_UNDER = 3  # headings of a message stand below its own, which is an h3


def prose(text: str) -> Markup:
    """Markdown as HTML: no raw HTML, no images, links to the web and to mail alone."""
    text = visible(text)
    if len(text) > _MOST:
        return preformatted(text)
    return element("div", Markup(inert(_MARKDOWN.render(text))), class_="prose", dir="auto")


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802  # their name
        return _ALLOWED.match(url) is not None


def _fence(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _o: OptionsDict, _e: EnvType
) -> str:
    words = tokens[at].info.split(maxsplit=1)
    language = words[0].strip("{}.").partition(":")[0] if words else ""
    code = tokens[at].content
    return element(
        "pre", element("code", highlighted(code, language)), class_="code", dir="ltr"
    )


def _image(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _o: OptionsDict, _e: EnvType
) -> str:
    """A link: a picture on a server would tell the server who reads, and when."""
    token = tokens[at]
    return element(
        "a",
        f"🖼 {token.content or 'picture'}",
        href=str(token.attrs.get("src", "")),
        rel=_REL,
        target="_blank",
        class_="picture",
    )


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    tokens[at].attrSet("rel", _REL)
    tokens[at].attrSet("target", "_blank")
    return renderer.renderToken(tokens, at, options, env)


def _heading(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[at]
    level = int(token.tag[1])
    tag = f"h{min(level + _UNDER, 6)}"
    if token.nesting < 0:
        return f"</{tag}>\n"
    return str(element(tag, class_=f"h{level}")).removesuffix(f"</{tag}>")


def _table_open(*_: Any) -> str:
    return '<div class="wide"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _made() -> _Markdown:
    made = _Markdown("commonmark", {"html": False, "maxNesting": 20})
    made.enable(["table", "strikethrough"])
    for rule, function in {
        "fence": _fence,
        "code_block": _fence,
        "image": _image,
        "link_open": _link_open,
        "heading_open": _heading,
        "heading_close": _heading,
        "table_open": _table_open,
        "table_close": _table_close,
    }.items():
        made.add_render_rule(rule, function)
    return made


_MARKDOWN = _made()
