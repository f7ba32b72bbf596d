"""A session JSONL that is too long to be read at once: part by part.

A part ends where somebody begins to speak anew, so that answers, with their tool calls and
counts of tokens, stay whole. Where it ends follows from what stands before alone: a session
that grew has the same parts, and one more. Before each part but the first stands a line of
ours that tells what the file's first lines told of the session, and which message the part
follows: its own times need not say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..errors import MalformedExport
from ..formats import HEAD_BYTES, claude_code_jsonl, jsonl
from ..formats.values import inner
from ..models import Raw
from .base import Bounds, Member, Put

LONG_BYTES = 8 * 1024 * 1024  # what is shorter is read at once
PART_BYTES = 4 * 1024 * 1024
# Where nobody asks anything for so long, a part ends before an answer, or before any line.
_BEFORE_ANSWER_BYTES = 4 * PART_BYTES
_ANYWHERE_BYTES = 16 * PART_BYTES

_PIECE_BYTES = 1024 * 1024
_BREAK = re.compile(b"\n")
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{")
_TOLD = ("sessionId", "cwd", "version", "gitBranch")


class JsonlParts:
    """Locators are the bytes from and to, and the number of the first line."""

    NAME = "jsonl-parts"
    TITLE = "long session JSONL"
    DETECTED_BY = f"Claude Code session JSONL of more than {LONG_BYTES // 1024**2} MiB"
    HOLDS_ONE = True
    MEMBER = "part"

    def detect(self, head: bytes, size_bytes: int) -> bool:
        return (
            size_bytes > LONG_BYTES
            and _OBJECT.match(head) is not None
            and not claude_code_jsonl.is_document(head)
            and claude_code_jsonl.detect(head, "").certain
            and (b"\n" not in head or any(map(_session_id, jsonl.first_records(head))))
        )

    @staticmethod
    def has_ids(raw: Raw, start: int = 0) -> bool:
        """Whether each line that is spoken has an id of its own; all from ``start`` on.

        Without one, what is said again in another part could not be told from the same line.
        A line is only read where it does not look like one that has.
        """
        return all(
            (b'"uuid"' in line and b'"parentUuid"' in line) or _is_told_apart(line)
            for line in _lines(raw, start)
        )

    def members(self, raw: Raw, name: str, bounds: Bounds) -> Iterator[Member]:
        return self.members_from(raw, name, bounds, "0-0-1")

    def members_from(
        self, raw: Raw, name: str, bounds: Bounds, locator: str
    ) -> Iterator[Member]:
        """From the part on that begins where ``locator`` says."""
        told = _told(raw)
        begin, _, first = map(int, locator.split("-"))
        for start, end, line in _parts(raw, begin, first):
            where = f"{start}-{end}-{line}"
            if end - start > bounds.max_bytes:
                fault = (
                    f"line {line} and what follows it have {end - start:,} bytes; expected at "
                    f"most {bounds.max_bytes:,} (setting max_export_bytes)"
                )
                yield Member(name, where, fault=fault)
            else:
                yield Member(name, where, _part(raw, start, end, line, told))

    def extract(self, raw: Raw, locator: str) -> bytes:
        start, end, line = map(int, locator.split("-"))
        if end > len(raw):
            raise MalformedExport(f"bytes {start} to {end} are not there")
        return _part(raw, start, end, line, _told(raw))

    def rewrite(self, raw: Raw, name: str, bounds: Bounds, put: Put, out: BinaryIO) -> None:  # noqa: ARG002
        raise MalformedExport("the parts of one session cannot do without each other")


def _session_id(record: dict[str, Any]) -> bool:
    """Whether a line tells it: without it, parts would not find to each other."""
    return bool(record.get("sessionId"))


def _is_told_apart(line: bytes) -> bool:
    try:
        record = jsonl.record(line)
    except MalformedExport:
        return True  # a dead letter of its own
    return bool(record.get("uuid")) or not isinstance(record.get("message"), dict)


def _lines(raw: Raw, at: int) -> Iterator[bytes]:
    """Every line; of one that is too long to be held, what is held of it, and the rest."""
    held = b""
    while piece := raw[at : at + _PIECE_BYTES]:
        at += len(piece)
        *whole, held = (held + piece).split(b"\n")
        yield from whole
        if len(held) > _BEFORE_ANSWER_BYTES:
            yield held
            held = b""
    if held:
        yield held


def _part(raw: Raw, start: int, end: int, line: int, told: dict[str, Any]) -> bytes:
    content = raw[start:end]
    if start == 0:
        return content
    after = _last(raw, start)
    record = {"type": claude_code_jsonl.PART, "line": line, **told, "after": after}
    return json.dumps(record, ensure_ascii=True).encode() + b"\n" + content


def _last(raw: Raw, end: int) -> str | None:
    """The id of the last message before a place; None where lines of megabytes hide it."""
    for content in reversed(raw[max(end - _PIECE_BYTES, 0) : end].split(b"\n")):
        try:
            own = jsonl.record(content).get("uuid")
        except MalformedExport:
            continue
        if isinstance(own, str) and own:
            return own
    return None


def _told(raw: Raw) -> dict[str, Any]:
    """What the first lines say of the session, as the reader of a whole file takes it."""
    head = raw[:HEAD_BYTES]
    if b"\n" not in head:
        head = raw[: min(next(_line_ends(raw), 0), _ANYWHERE_BYTES)]
    found: dict[str, Any] = {}
    for record in jsonl.first_records(head):
        if "sessionId" not in found and record.get("isSidechain") and record.get("sessionId"):
            found |= {key: record.get(key) for key in ("agentId", "isSidechain")}
        for key in _TOLD:
            value = record.get(key)
            if isinstance(value, str) and value:
                found.setdefault(key, value)
    return found


def _parts(raw: Raw, start: int, first: int) -> Iterator[tuple[int, int, int]]:
    """From, to and the number of the first line of every part, from one on."""
    begin = start
    answers: set[object] = set()  # those in this part that were looked at
    for number, end in enumerate(_line_ends(raw, start), start=first):
        length = begin - start
        if length >= PART_BYTES:
            record = _record(raw, begin, end)
            answer = inner(record, "message").get("id")
            if (
                length >= _ANYWHERE_BYTES
                or claude_code_jsonl.begins_turn(record)
                or (length >= _BEFORE_ANSWER_BYTES and answer and answer not in answers)
            ):
                yield start, begin, first
                start, first, answers = begin, number, set()
            elif answer:
                answers.add(answer)
        begin = end
    if start < len(raw):
        yield start, len(raw), first


def _record(raw: Raw, start: int, end: int) -> dict[str, Any]:
    if end - start > _ANYWHERE_BYTES:
        return {}
    try:
        return jsonl.record(raw[start:end])
    except MalformedExport:
        return {}


def _line_ends(raw: Raw, at: int = 0) -> Iterator[int]:
    end = at
    while piece := raw[at : at + _PIECE_BYTES]:
        for found in _BREAK.finditer(piece):
            end = at + found.end()
            yield end
        at += len(piece)
    if end < at:
        yield at
