"""A Claude Code text export that is too long to be read at once: part by part.

A part ends before a prompt, so that no block is cut. Where it ends follows from what stands
before alone: an export that grew has the same parts, but for the last. Before each part but
the first stands a line of ours with what the file's header told and the SHA-256 of the part
before: its messages stand behind those of that one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..errors import MalformedExport
from ..formats import HEAD_BYTES, claude_code_text
from ..models import Raw
from .base import Bounds, Member, Put

LONG_BYTES = 8 * 1024 * 1024  # what is shorter is read at once
PART_BYTES = 4 * 1024 * 1024
# Where nobody asks anything for so long, a part ends before an answer, or before any line.
_BEFORE_ANSWER_BYTES = 4 * PART_BYTES
_ANYWHERE_BYTES = 16 * PART_BYTES

_PIECE_BYTES = 1024 * 1024
_SIGN_BYTES = 8  # so much has what is looked for at most
_PROMPT = re.compile(rb"\n(?=(?:>|\xe2\x9d\xaf)(?: |\xc2\xa0|\n))")
_ANSWER = re.compile(rb"\n(?=(?:\xe2\x8f\xba|\xe2\x97\x8f)(?: |\xc2\xa0))")
_LINE = re.compile(rb"\n")


class TextParts:
    """Locators are the bytes from and to, and the SHA-256 of the part before."""

    NAME = "text-parts"
    TITLE = "long Claude Code text export"
    DETECTED_BY = f"Claude Code `/export` text of more than {LONG_BYTES // 1024**2} MiB"
    HOLDS_ONE = True
    MEMBER = "part"

    def detect(self, head: bytes, size_bytes: int) -> bool:
        return (
            size_bytes > LONG_BYTES
            and not head.startswith(claude_code_text.PART)
            and claude_code_text.detect(head, "").certain
        )

    def members(self, raw: Raw, name: str, bounds: Bounds) -> Iterator[Member]:
        return self.members_from(raw, name, bounds, "0-0-")

    def members_from(
        self, raw: Raw, name: str, bounds: Bounds, locator: str
    ) -> Iterator[Member]:
        """From the part on that begins where ``locator`` says."""
        told = _told(raw)
        begin, _, before = locator.split("-")
        start = int(begin)
        while start < len(raw):
            end = _end(raw, start)
            where = f"{start}-{end}-{before}"
            if end - start > bounds.max_bytes:
                fault = (
                    f"bytes {start:,} to {end:,} are one line; expected at most "
                    f"{bounds.max_bytes:,} (setting max_export_bytes)"
                )
                yield Member(name, where, fault=fault)
            else:
                content = _part(raw, start, end, before, told)
                before = hashlib.sha256(content).hexdigest()
                yield Member(name, where, content)
            start = end

    def extract(self, raw: Raw, locator: str) -> bytes:
        start, end, before = locator.split("-")
        if int(end) > len(raw):
            raise MalformedExport(f"bytes {start} to {end} are not there")
        return _part(raw, int(start), int(end), before, _told(raw))

    def rewrite(self, raw: Raw, name: str, bounds: Bounds, put: Put, out: BinaryIO) -> None:  # noqa: ARG002
        raise MalformedExport("the parts of one session cannot do without each other")


def _told(raw: Raw) -> dict[str, Any]:
    """What the header says, as the reader of a whole file takes it."""
    head, _, _ = raw[:HEAD_BYTES].rpartition(b"\n")
    found = claude_code_text.parse(head, "")
    return {"header": dict(found.header), "starts_compacted": found.starts_compacted}


def _part(raw: Raw, start: int, end: int, before: str, told: dict[str, Any]) -> bytes:
    content = raw[start:end]
    if start == 0:
        return content
    line = json.dumps({"before": before, **told}, ensure_ascii=True).encode()
    return claude_code_text.PART + line + b"\n" + content


def _end(raw: Raw, start: int) -> int:
    """Where the part ends that begins at ``start``."""
    least = start + PART_BYTES
    for pattern, most in (
        (_PROMPT, start + _BEFORE_ANSWER_BYTES),
        (_ANSWER, start + _ANYWHERE_BYTES),
        (_LINE, len(raw)),
    ):
        found = _search(pattern, raw, least, min(most, len(raw)))
        if found is not None:
            return found
        least = most
    return len(raw)


def _search(pattern: re.Pattern[bytes], raw: Raw, start: int, end: int) -> int | None:
    """The first line from ``start`` on, and before ``end``, that begins so."""
    while start < end:
        stop = min(start + _PIECE_BYTES, end)
        if found := pattern.search(raw[start : stop + _SIGN_BYTES]):
            return start + found.end()
        start = stop
    return None
