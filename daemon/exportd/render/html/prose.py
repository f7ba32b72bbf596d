"""Markdown of a model as HTML, of which nothing acts and nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from .code import highlighted, preformatted
from .markup import Markup, element
from .visible import inert, visible

# Text of more than this is no prose, and takes the parser long.
_MOST = 50_000

# Quotes and lists in one another. The parser's own limit is a little more, and multiplies
# what brackets without end cost.
_DEEPEST = 26

_ALLOWED = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_REL = "noopener noreferrer nofollow"
_UNDER = 3  # headings of a message stand below its own, which is an h3


def prose(text: str) -> Markup:
    """Markdown as HTML: no raw HTML, no images, links to the web and to mail alone."""
    text = visible(text)
    if len(text) > _MOST:
        return preformatted(text)
    tokens = _MARKDOWN.parse(text)
    if any(token.level >= _DEEPEST for token in tokens):
        return preformatted(text)  # the parser leaves out what lies deeper
    rendered = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return element("div", Markup(inert(rendered)), class_="prose", dir="auto")


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802  # their name
        return _ALLOWED.match(url) is not None


def _fence(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _o: OptionsDict, _e: EnvType
) -> str:
    said = tokens[at].info.strip()
    language = said.partition(" ")[0].strip("{}.").partition(":")[0]
    code = element("code", highlighted(tokens[at].content, language))
    label = element("div", said, class_="info") if said else None
    return element("div", label, element("pre", code, dir="ltr"), class_="code")


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
        title=str(token.attrs["title"]) if "title" in token.attrs else None,
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
    token.tag = f"h{min(level + _UNDER, 6)}"
    if token.nesting > 0:
        token.attrSet("class", f"h{level}")
    return renderer.renderToken(tokens, at, options, env)


def _wide(
    _renderer: RendererHTML, _tokens: Sequence[Token], _at: int, _o: OptionsDict, _e: EnvType
) -> str:
    """A table may be wider than a screen; the arrow keys move it where it has the focus."""
    return '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>\n'


def _wide_end(
    _renderer: RendererHTML, _tokens: Sequence[Token], _at: int, _o: OptionsDict, _e: EnvType
) -> str:
    return "</table></div>\n"


def _made() -> _Markdown:
    made = _Markdown("commonmark", {"html": False, "maxNesting": _DEEPEST + 4})
    made.enable(["table", "strikethrough"])
    made.disable("reference")  # it takes lines out of the text
    for rule, function in {
        "fence": _fence,
        "code_block": _fence,
        "image": _image,
        "link_open": _link_open,
        "heading_open": _heading,
        "heading_close": _heading,
        "table_open": _wide,
        "table_close": _wide_end,
    }.items():
        made.add_render_rule(rule, function)
    return made


_MARKDOWN = _made()
