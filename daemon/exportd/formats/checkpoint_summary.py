"""Generated checkpoint summaries (FORMATS 10): they lie where exports do and are none."""

from __future__ import annotations

import re

from ..models import NOT_A_CONVERSATION, Region, Span, Transcript
from .base import Confidence
from .text import decode

NAME = "checkpoint-summary"
TITLE = "generated checkpoint summary"
PARSER_VERSION = 1
DETECTED_BY = "`metadata` with a `checkpoint_file`, and a `conversation` of `sections`"
VERSIONS = "2025-11"

_BEGIN = re.compile(r'\s*\{\s*"metadata"\s*:\s*\{')


def detect(head: bytes, name: str) -> Confidence:
    """Certain by the checkpoint file that the metadata name, and the sections."""
    text = decode(head.removeprefix(b"\xef\xbb\xbf"))
    keys = ('"checkpoint_file"', '"conversation"', '"sections"')
    if _BEGIN.match(text) and all(key in text for key in keys):
        return Confidence(certain=True, reason="JSON with a checkpoint_file and sections")
    return Confidence(certain=False, reason="no checkpoint_file with sections")


def parse(raw: bytes, name: str) -> Transcript:
    """No message: the whole file is set aside, with the reason."""
    reason = "a generated checkpoint summary holds no messages"
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=(),
        regions=(Region(Span(0, len(raw)), "ignored", reason),),
        flags=(NOT_A_CONVERSATION,),
    )
