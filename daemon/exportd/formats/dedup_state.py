"""One conversation of the earlier scripts' log, ``conversation_log.jsonl``.

A line is ``{"conversation_id", "timestamp", "content_hash", "message": {"index", "role" or
"type", "content" or "message"}}``. Those scripts left messages out, gave roles by glyph and
counted anew after a compaction, so index and role are what they say and no more: the index
is a place only where it grows from line to line, and ``extra`` keeps all that is not used.
A whole log holds several conversations; ``exportd import-state`` takes it apart.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any

from ..errors import MalformedExport
from ..models import Kind, Message, Region, Role, Span, Transcript
from .base import Confidence
from .heads import members
from .records import DECODER, KINDS, ROLES, depth, is_index, text_of
from .text import decode, escape, escape_value, printable

NAME = "dedup-state"
TITLE = "log of the earlier deduplication scripts"
PARSER_VERSION = 1
DETECTED_BY = "lines with `conversation_id` and `message`"
VERSIONS = "both that are known"

_BOM = b"\xef\xbb\xbf"
_DETECTED_LINES = 5
_KEYS = ('"conversation_id"', '"message"')
_ADVICE = "take the folder over with 'exportd import-state DIR'"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log: whose it is, and its message as if it stood alone."""

    conversation_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class Fault:
    """A line, counted from 1, that is no record, and why."""

    line: int
    reason: str


def detect(head: bytes, name: str) -> Confidence:
    """Certain when one of the first lines is an object with conversation_id and message.

    A first line that is longer than ``head`` must show both keys at its top level.
    """
    lines = head.removeprefix(_BOM).split(b"\n")
    first = list(islice(filter(bytes.strip, lines), _DETECTED_LINES))
    if any(map(_is_record, first)) or (len(lines) == 1 and _begins_record(decode(head))):
        return Confidence(certain=True, reason="has lines with conversation_id and message")
    return Confidence(
        certain=False,
        reason="no line has conversation_id and message",
        is_near=any(_is_near(members(decode(line).lstrip())) for line in first),
    )


def _is_near(keys: Container[str]) -> bool:
    """ChatGPT's conversations have a conversation_id, too; they are not meant."""
    return "conversation_id" in keys and ("content_hash" in keys or "message" in keys)


def _is_record(line: bytes) -> bool:
    try:
        record(line)
    except MalformedExport:
        return False
    return True


def _begins_record(text: str) -> bool:
    places = [text.find(key) for key in _KEYS]
    return all(at > 0 and depth(text[:at]) == 1 for at in places)


def parse(raw: bytes, name: str) -> Transcript:
    """Read one conversation; ``MalformedExport`` names the lines that are not of it."""
    rows, regions, faults = [], [], []
    for number, span in enumerate(_lines(raw), 1):
        line = raw[span.start : span.end]
        if not line.strip():
            regions.append(Region(span, "separator", "blank line"))
            continue
        try:
            found = record(line)
        except MalformedExport as error:
            faults.append(Fault(number, str(error)))
        else:
            rows.append((number, replace(found, message=replace(found.message, span=span))))
    if faults:
        raise MalformedExport(f"{summary(faults)}; {_ADVICE}, which sets such lines aside")
    conversation_id = _only_conversation(rows)
    if raw.startswith(_BOM):
        rows[0] = (rows[0][0], _without_mark(rows[0][1]))
        regions.insert(0, Region(Span(0, len(_BOM)), "header", "byte order mark"))
    return _transcript(conversation_id, [row.message for _, row in rows], regions)


def record(line: bytes) -> Record:
    """Read one line; ``MalformedExport`` says in a few words why it is no record."""
    try:
        value = DECODER.decode(line.removeprefix(_BOM).decode())
        return _record(value)
    except UnicodeDecodeError as error:
        raise MalformedExport("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise MalformedExport("not JSON (cut off or damaged)") from error
    except RecursionError as error:
        raise MalformedExport("JSON nested too deeply") from error


def summary(faults: Iterable[Fault]) -> str:
    """Every line number, by reason: ``lines 3, 7 to 9: not UTF-8``."""
    by_reason: dict[str, list[int]] = {}
    for fault in faults:
        by_reason.setdefault(fault.reason, []).append(fault.line)
    return "; ".join(f"{_numbers(lines)}: {reason}" for reason, lines in by_reason.items())


def _numbers(lines: list[int]) -> str:
    runs: list[list[int]] = []
    for line in lines:
        if runs and runs[-1][-1] == line - 1:
            runs[-1][1:] = [line]
        else:
            runs.append([line])
    shown = ", ".join(" to ".join(map(str, run)) for run in runs)
    return f"line {shown}" if len(lines) == 1 else f"lines {shown}"


def _lines(raw: bytes) -> Iterator[Span]:
    start = 0
    while start < len(raw):
        end = raw.find(b"\n", start) + 1 or len(raw)
        yield Span(start, end)
        start = end


def _record(value: Any) -> Record:
    if not isinstance(value, dict):
        raise MalformedExport("no JSON object")
    line = dict(value)
    conversation_id, said = line.pop("conversation_id", None), line.pop("message", None)
    if not isinstance(conversation_id, str) or not conversation_id:
        raise MalformedExport("no conversation_id")
    if not isinstance(said, dict):
        raise MalformedExport("no message object")
    return Record(escape(conversation_id), _message(line, dict(said)))


def _message(line: dict[str, Any], rest: dict[str, Any]) -> Message:
    """``rest`` of the message and of the line go to ``extra``, what they say to fields."""
    body = rest.pop("message" if "message" in rest else "content", "")
    key = "role" if "role" in rest else "type"
    role = ROLES.get(rest[key]) if isinstance(rest.get(key), str) else None
    if role:
        del rest[key]
    index = rest.get("index")
    stamp = line.get("timestamp")
    occurred_at, zone = _moment(stamp)
    if zone:
        line["timestamp_read_as"] = zone
    elif occurred_at:
        del line["timestamp"]
    return Message(
        role=role or Role.SYSTEM,
        kind=KINDS.get(role, Kind.TEXT) if role else Kind.TEXT,
        text=escape(text_of(body)),
        span=Span(0, 0),
        source_index=index if is_index(index) else None,
        occurred_at=occurred_at,
        extra=escape_value({"line": line, "message": rest}),
    )


def _moment(stamp: object) -> tuple[datetime | None, str]:
    """ISO 8601 as UTC; what was assumed of a time without a zone."""
    try:
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
        if moment is None:
            return None, ""
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC), "UTC, for it names no time zone"
        return moment.astimezone(UTC), ""
    except (ValueError, OverflowError):
        return None, ""


def _only_conversation(rows: list[tuple[int, Record]]) -> str:
    first: dict[str, int] = {}
    for number, row in rows:
        first.setdefault(row.conversation_id, number)
    if len(first) > 1:
        (one, at), (other, other_at) = list(first.items())[:2]
        raise MalformedExport(
            f"{len(first)} conversations in one file (line {at} is of {printable(one)}, line "
            f"{other_at} of {printable(other)}); expected one: {_ADVICE}"
        )
    return next(iter(first), "")


def _without_mark(row: Record) -> Record:
    span = Span(row.message.span.start + len(_BOM), row.message.span.end)
    return replace(row, message=replace(row.message, span=span))


def _transcript(
    conversation_id: str, messages: list[Message], regions: list[Region]
) -> Transcript:
    flags = []
    if not _grows([message.source_index for message in messages]):
        messages = [replace(message, source_index=None) for message in messages]
        flags.append("indices_not_growing")
    return Transcript(
        format=NAME,
        parser_version=PARSER_VERSION,
        messages=tuple(messages),
        regions=tuple(regions),
        flags=tuple(flags),
        header={"conversation_id": conversation_id},
        session_id=conversation_id,
    )


def _grows(indices: list[int | None]) -> bool:
    known = [index for index in indices if index is not None]
    return len(known) == len(indices) and all(a < b for a, b in pairwise(known))
