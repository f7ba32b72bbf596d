"""A conversation for reading in a terminal, piece by piece. Pure.

Prose stands whole, what tools were asked and answered in a few lines. Whatever a message
says, no control character of it reaches the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC

from ..formats.text import printable
from ..models import StoredConversation, StoredMessage, StoredSegment
from .wording import some

_TITLES = {
    ("assistant", "thinking"): "Thinking",
    ("user", "command"): "Command",
    ("system", "notice"): "Notice",
}
_COLOURS = {"user": "36", "assistant": "32", "tool": "33", "system": "35"}
_BRIEF = ("tool_call", "tool_result", "notice", "attachment")
_BRIEF_LINES = 3
_BRIEF_CHARS = 160

# What Claude Code's own export says of lines that it left out.
_LEFT_OUT = re.compile(r"\s*… \+(\d{1,9}) lines?(?: \(.*\))?\s*")

# What a terminal would act upon, but line ends and tabs.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def conversation_text(
    of: StoredConversation, messages: Iterable[StoredMessage], *, colourful: bool
) -> Iterator[str]:
    """The head, then these of its messages; where a segment begins, that is said."""
    yield f"{_styled(printable(of.conversation_id), '1', colourful)}\n{_facts(of)}\n"
    segments = list(of.segments) if len(of.segments) > 1 else []
    count = 0
    for message in messages:
        if segments and message.index >= segments[0].first_index:
            while len(segments) > 1 and message.index >= segments[1].first_index:
                segments.pop(0)
            begin = _break(segments.pop(0), len(of.segments), message.index)
            yield f"\n{_styled(begin, '1', colourful)}\n"
        yield f"\n{_message(message, colourful=colourful)}"
        count += 1
    if not count:
        yield "\nNo message of it is such a one.\n"


def _facts(of: StoredConversation) -> str:
    total = sum(of.roles.values())
    roles = ", ".join(
        f"{count:,} {printable(role)}" for role, count in sorted(of.roles.items())
    )
    facts = [f"{some(total, 'message')} ({roles})" if roles else "no message"]
    facts.append(some(len(of.segments), "segment"))
    if of.first_at and of.last_at:
        first, last = of.first_at.astimezone(UTC), of.last_at.astimezone(UTC)
        facts.append(f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")
    facts.append(f"risk of data loss: {of.risk.level.value}")
    lines = [printable(of.title)] if of.title else []
    return "\n".join([*lines, " · ".join(facts)])


def _break(segment: StoredSegment, count: int, index: int) -> str:
    is_begin = segment.starts_compacted and index == segment.first_index
    why = ", which begins after a compaction" if is_begin else ""
    return f"── Segment {segment.ordinal + 1} of {count}{why} ──"


def _message(message: StoredMessage, *, colourful: bool) -> str:
    title = _TITLES.get((message.role, message.kind), message.role.capitalize())
    if message.kind == "tool_call":
        title += " calls"
    tool = message.metadata.get("tool")
    name = f" {printable(str(tool))}" if tool else ""
    when = (
        f"  {message.occurred_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if message.occurred_at
        else ""
    )
    head = _styled(f"{title}{name}", f"1;{_COLOURS.get(message.role, '0')}", colourful)
    place = _styled(f"  #{message.index}{when}", "2", colourful)
    text = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), message.text)
    if message.kind in _BRIEF:
        return f"{head}{place}\n{_brief(text)}"
    return f"{head}{place}\n{text.rstrip()}\n"


def _brief(text: str) -> str:
    """The first lines, and how many more there are, or were before the export."""
    lines = text.strip("\n").split("\n")
    more = 0
    if told := _LEFT_OUT.fullmatch(lines[-1]):
        lines.pop()
        more = int(told[1])
    shown = [_short(line) for line in lines[:_BRIEF_LINES]]
    if more := more + max(len(lines) - _BRIEF_LINES, 0):
        shown.append(f"… {some(more, 'more line')}")
    return "".join(f"    {line}\n" for line in shown if line)


def _short(line: str) -> str:
    return line if len(line) <= _BRIEF_CHARS else f"{line[:_BRIEF_CHARS]}…"


def _styled(text: str, style: str, colourful: bool) -> str:  # noqa: FBT001
    return f"\x1b[{style}m{text}\x1b[0m" if colourful else text
