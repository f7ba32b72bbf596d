"""Which formats there are, and which one a content is in.

The registry is an explicit tuple: a new format is one module, one entry here and one
golden sample under ``tests/samples``.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import AmbiguousFormat, UnknownFormat
from ..models import Transcript
from . import (
    aider,
    chatgpt,
    checkpoint_summary,
    claude_ai,
    claude_code_jsonl,
    claude_code_text,
    codex_jsonl,
    dedup_state,
    gemini_cli,
    indexed_json,
    opencode,
    role_messages,
)  # fmt: skip
from .base import Confidence, Format
from .heads import is_cut

FORMATS: tuple[Format, ...] = (
    claude_code_text, claude_code_jsonl, claude_ai, chatgpt, codex_jsonl, opencode, gemini_cli,
    aider, indexed_json, role_messages, dedup_state, checkpoint_summary,
)  # fmt: skip

# What detection looks at; every format shows itself well before this.
HEAD_BYTES = 65_536

# First bytes of what people drop by mistake: a name for it helps more than a parse error.
_BINARY_SIGNS = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip-compressed data",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def parse(raw: bytes, name: str) -> Transcript:
    """Read ``raw`` in the one format that claims it.

    Raises ``UnknownFormat`` when none does, ``AmbiguousFormat`` when several do and
    ``MalformedExport`` when the content breaks the rules of its format.
    """
    if not raw.strip():
        what = "consists of blank lines" if raw else "is empty"
        raise UnknownFormat(f"the file {what}; export the conversation again")
    return recognise(raw[:HEAD_BYTES], name).parse(raw, name)


def parse_on(raw: bytes, name: str, known: Transcript, offset: int) -> Transcript | None:
    """Read what stands in ``raw`` from a mark on; None where it is not in that format.

    ``known`` is what another version of the content told before the mark, without messages.
    """
    found = recognise(raw[:HEAD_BYTES], name)
    if found is not claude_code_text or known.parser_version != found.PARSER_VERSION:
        return None
    return replace(claude_code_text.parse_on(raw[offset:], known), before=known.before)


def recognise(head: bytes, name: str) -> Format:
    """The one format that claims a content by its first ``HEAD_BYTES``."""
    judged = [(module, module.detect(head, name)) for module in FORMATS]
    claims = [(module, why) for module, why in judged if why.certain]
    if len(claims) == 1:
        return claims[0][0]
    if claims:
        both = "; ".join(f"{module.NAME}: {why.reason}" for module, why in claims)
        raise AmbiguousFormat(f"more than one format claims this file ({both})")
    raise UnknownFormat(_why_unknown(head, judged))


def _why_unknown(head: bytes, judged: list[tuple[Format, Confidence]]) -> str:
    for sign, what in _BINARY_SIGNS.items():
        if head.startswith(sign):
            return f"this is {what}; expected a conversation export in UTF-8 text or JSON"
    near = [f"{module.TITLE}: {why.reason}" for module, why in judged if why.is_near]
    if near:
        return f"this looks like an export and is none that exportd reads ({'; '.join(near)})"
    if len(head) < HEAD_BYTES and is_cut(head.decode(errors="replace")):
        return "this begins as JSON and is cut off; export or copy it again"
    return (
        "this is no conversation export that exportd reads; 'exportd formats' lists what is "
        "recognised, and by what"
    )
