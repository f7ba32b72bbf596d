"""Aider's Markdown history (FORMATS 9): every line says by its first signs whose it is.

There are no ids, and one file holds all runs in one folder; each begins with a line that
has the local time. ``####`` and ``>`` may stand in what the model wrote as well: they are
read as what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..models import Kind, Message, Region, Role, Span, Transcript
from .base import Confidence
from .text import decode, decode_head

NAME = "aider"
TITLE = "Aider chat history"
PARSER_VERSION = 1
DETECTED_BY = "a line `# aider chat started at` with a time"
VERSIONS = "0.50 to 0.86"

_START = re.compile(r"# aider chat started at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[ \t]*\r?\n?$")
_ANY_START = re.compile(
    r"^# aider chat started at(?P<time> \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[ \t]*\r?$)?",
    re.MULTILINE,
)
_BREAK = re.compile(r"\r\n?|\n")  # as bytes.splitlines breaks them
_KINDS = {
    "start": (Role.SYSTEM, Kind.NOTICE),
    "user": (Role.USER, Kind.PROMPT),
    "tool": (Role.TOOL, Kind.TOOL_RESULT),
    "model": (Role.ASSISTANT, Kind.TEXT),
}


def detect(head: bytes, name: str) -> Confidence:
    """Certain when the first line that is not blank begins a run, with its time."""
    text = decode_head(head)
    found = _ANY_START.search(text)
    if found and found["time"] and not text[: found.start()].strip():
        return Confidence(certain=True, reason="begins with # aider chat started at")
    if found:
        what = "other text before" if found["time"] else "no time in"
        reason = f"has {what} its first line # aider chat started at"
        return Confidence(certain=False, reason=reason, is_near=True)
    return Confidence(certain=False, reason="does not begin with # aider chat started at")


def parse(raw: bytes, name: str) -> Transcript:
    """Read the whole history; everything is something, so nothing is malformed."""
    messages: list[Message] = []
    regions: list[Region] = []
    if raw.startswith(b"\xef\xbb\xbf"):
        regions.append(Region(Span(0, 3), "header", "byte order mark"))
    for kind, span in _blocks(raw):
        text = decode(raw[span.start : span.end])
        if not text.strip() or kind == "blank":
            regions.append(Region(span, "separator", "blank lines"))
            continue
        role, what = _KINDS[kind]
        stamp = _START.match(text)
        extra = {"started_at": stamp[1]} if stamp else {}
        messages.append(Message(role, what, _said(kind, text), span, extra=extra))
    return Transcript(NAME, PARSER_VERSION, tuple(messages), tuple(regions))


def _blocks(raw: bytes) -> Iterator[tuple[str, Span]]:
    """Runs of lines of one kind; blank lines inside a run belong to it, else to nobody."""
    begin = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    kind, start, last, at = "blank", begin, begin, begin  # ``last``: where its last line ends
    for line in raw[begin:].splitlines(keepends=True):
        end = at + len(line)
        found = _kind(decode(line))
        goes_on = (
            found == kind and kind not in ("start", "blank") and (kind == "model" or last == at)
        )
        if found != "blank" and not goes_on:
            if last > start:
                yield kind, Span(start, last)
            if at > last:
                yield "blank", Span(last, at)
            kind, start = found, at
        if found != "blank":
            last = end
        at = end
    if last > start:
        yield kind, Span(start, last)
    if at > last:
        yield "blank", Span(last, at)


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    if _START.match(line):
        return "start"
    if line.startswith("#### ") or line.rstrip() == "####":
        return "user"
    return "tool" if line.startswith("> ") or line.rstrip() == ">" else "model"


def _said(kind: str, text: str) -> str:
    signs = {"user": "#### ", "tool": "> "}
    sign = signs.get(kind, "")
    lines = [line.rstrip().removeprefix(sign) for line in _BREAK.split(text.strip("\r\n"))]
    bare = [("" if line == sign.strip() else line) for line in lines] if sign else lines
    return "\n".join(bare)
