"""Generated checkpoint summaries (FORMATS 10): they lie where exports do and are none."""

from __future__ import annotations

from typing import Any

from ..errors import MalformedExport
from ..models import NOT_A_CONVERSATION, Region, Span, Transcript
from . import documents
from .base import Confidence
from .heads import members, records
from .text import decode_head

NAME = "checkpoint-summary"
TITLE = "generated checkpoint summary"
PARSER_VERSION = 1
DETECTED_BY = "`metadata` with a `checkpoint_file`, and a `conversation` of `sections`"
VERSIONS = "2025-11"


def detect(head: bytes, name: str) -> Confidence:
    """Certain by the checkpoint file that the metadata name, and the sections of a summary."""
    text = decode_head(head).lstrip()
    top = members(text)
    named = "checkpoint_file" in members(text, top.get("metadata", len(text)))
    summary = any("sections" in own for own in records(text, top.get("conversation")))
    if named and summary:
        return Confidence(certain=True, reason="JSON with a checkpoint_file and sections")
    if named or summary:
        missing = "a conversation of sections" if named else "a checkpoint_file in its metadata"
        return Confidence(certain=False, reason=f"JSON without {missing}", is_near=True)
    return Confidence(certain=False, reason="no checkpoint_file with sections")


def parse(raw: bytes, name: str) -> Transcript:
    """No message: the whole file is set aside, with the reason.

    ``MalformedExport`` where the JSON is broken, or holds words of a user or an assistant:
    they would be lost.
    """
    _, found = documents.document(raw, ("conversation",))
    if spoken := sum(_is_spoken(value) for _, value in found):
        raise MalformedExport(
            f"a generated checkpoint summary with {spoken} records of another role than "
            "system; expected none, for they would be lost: export the conversation itself"
        )
    reason = "a generated checkpoint summary holds no messages"
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=(),
        regions=(Region(Span(0, len(raw)), "ignored", reason),),
        flags=(NOT_A_CONVERSATION,),
    )


def _is_spoken(record: Any) -> bool:
    return isinstance(record, dict) and record.get("role", "system") != "system"
