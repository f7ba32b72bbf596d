"""What ``exportd search`` found, for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC

from ..formats.text import printable
from ..search.hits import Found, Hit
from ..search.snippets import Piece
from .wording import some

_INDENT = "    "


def hits(found: Found, bold: Callable[[str], str]) -> Iterator[str]:
    """An entry for each: where it stands, as ``exportd show`` takes it, and a snippet."""
    for hit in found.hits:
        yield f"{bold(_place(hit))}  {_what(hit)}\n{_INDENT}{_line(hit.snippet, bold)}\n\n"
    shown, total = len(found.hits), some(found.total, "message")
    if shown < found.total:
        yield f"{shown:,} of {total}; --limit shows more.\n"
    elif shown:
        yield f"{total}.\n"


def _place(hit: Hit) -> str:
    return f"{printable(hit.message.conversation_id)} {hit.message.message_index}"


def _what(hit: Hit) -> str:
    message = hit.message
    kind = message.kind.replace("_", " ")
    tool = f" of {printable(message.tool)}" if message.tool else ""
    if message.occurred_at:
        when = f"{message.occurred_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    else:
        when = f"stored {message.stored_at.astimezone(UTC):%Y-%m-%d}"
    return f"{printable(message.role)}, {printable(kind)}{tool}, {when}"


def _line(snippet: Sequence[Piece], bold: Callable[[str], str]) -> str:
    told = ((printable(piece.text), piece.is_match) for piece in snippet)
    return "".join(bold(text) if is_match else text for text, is_match in told)
