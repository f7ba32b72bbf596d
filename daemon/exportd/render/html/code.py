"""Code and output: preformatted, highlighted where the language is known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound

from .markup import Markup, element, joined
from .visible import visible

# A lexer may take more than linear time; the text may be made for that. So highlighting is
# for what people read, and for the lexers of common languages.
_MOST = 10_000
_LANGUAGES = {
    "bash", "batch", "c", "cmake", "cpp", "csharp", "css", "dart", "diff", "docker", "elixir",
    "go", "haskell", "html", "ini", "java", "javascript", "json", "jsx", "kotlin", "less",
    "lua", "make", "nginx", "nix", "php", "powershell", "protobuf", "python", "r",
    "ruby", "rust", "scala", "scss", "sql", "swift", "toml", "tsx", "typescript", "xml",
    "yaml", "zig",
}  # fmt: skip
_CLASSES = (
    (Token.Comment, "cc"),
    (Token.Keyword, "ck"),
    (Token.Literal.String, "cs"),
    (Token.Literal.Number, "cn"),
    (Token.Name.Function, "cf"),
    (Token.Name.Class, "cf"),
    (Token.Name.Builtin, "cb"),
    (Token.Name.Decorator, "cb"),
    (Token.Name.Tag, "ck"),
    (Token.Name.Attribute, "cb"),
    (Token.Generic.Deleted, "cd"),
    (Token.Generic.Inserted, "ci"),
    (Token.Generic.Heading, "ck"),
    (Token.Generic.Subheading, "ck"),
)

# A line of megabytes, laid out at once, stops a browser; pieces are laid out when seen.
_PIECE = 32_768


def preformatted(text: str, language: str = "") -> Markup:
    """Text as it is, in pieces that a browser lays out when they come into view."""
    text = visible(text)
    if len(text) <= _PIECE:
        return element("pre", highlighted(text, language), dir="auto")
    pieces = [element("span", piece, class_="piece") for piece in _pieces(text)]
    return element("pre", *pieces, dir="auto")


def highlighted(code: str, language: str) -> Markup:
    lexer = _lexer(language) if len(code) <= _MOST else None
    if lexer is None:
        return joined([code])
    return joined(_spans(lexer, code))


def language_of(path: str) -> str:
    """The language that a file's name speaks of; empty where it does not."""
    name = path.rpartition("/")[2]
    return _language_of_suffix(name.rpartition(".")[2] if "." in name else name)


@cache
def _language_of_suffix(suffix: str) -> str:
    try:
        return str(get_lexer_for_filename(f"a.{suffix[:20]}").aliases[0])
    except ClassNotFound:
        return ""


@cache
def _lexer(language: str) -> Lexer | None:
    try:
        lexer = get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    return lexer if _LANGUAGES.intersection(lexer.aliases) else None


def _spans(lexer: Lexer, code: str) -> Iterator[Markup]:
    """Neighbours of one class in one element: half the elements, and the same colours.

    The code ends in a newline, or gets one for the lexer: some know no last line without.
    """
    whole = code.endswith("\n")
    run, held = "", ""
    for kind, text in lexer.get_tokens(code if whole else f"{code}\n"):
        found = _class(kind)
        if found != run and text.strip():
            yield _span(run, held)
            run, held = found, ""
        held += text
    yield _span(run, held if whole else held.removesuffix("\n"))


def _span(class_: str, text: str) -> Markup:
    return element("span", text, class_=class_) if class_ and text else joined([text])


@cache
def _class(kind: _TokenType) -> str:
    families = kind.split()
    return next((name for family, name in _CLASSES if family in families), "")


def _pieces(text: str) -> Iterator[str]:
    """At ends of lines where there are some; a line without end is cut."""
    start = 0
    while start < len(text):
        end = min(start + _PIECE, len(text))
        cut = text.rfind("\n", start, end) + 1
        if cut > start and end < len(text):
            end = cut
        yield text[start:end]
        start = end
