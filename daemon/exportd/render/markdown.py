"""A conversation as the readable session file ``sessions/<conversation_id>.md``.

The form is the specification's: a header block, then ``## User (index: 0)`` sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from ..formats.text import printable
from ..models import Risk, StoredConversation, StoredMessage, StoredSegment
from .wording import some

_REASONS_SHOWN = 3
_ROLES = ("user", "assistant", "tool", "system")

_TITLES = {
    ("assistant", "tool_call"): "Tool call",
    ("assistant", "thinking"): "Thinking",
    ("tool", "tool_result"): "Tool result",
    ("user", "command"): "User command",
    ("system", "notice"): "Notice",
}

# What a renderer or terminal would act upon: control characters but tab and newline.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Code fences by CommonMark 4.5: nothing behind a closing one, no backtick in the info.
# The first may stand behind the signs of list items.
_OPENING = re.compile(
    r"(?P<column> {0,3}(?:(?:[-*+]|\d{1,9}[.)]) {1,4})*)(?:(?P<a>`{3,})[^`]*|(?P<b>~{3,}).*)$"
)
_CLOSING = re.compile(r" {0,3}(`{3,}|~{3,}) *$")
# Lines of a message that would pass for our own titles and segment breaks.
_INSIDE = r"((?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*)"  # quotes and list items
_TITLE = re.compile(rf"{_INSIDE}(#{{1,6}}[ \t].*index|(?:\*\*+|__+)(?:Segment|&))")
_UNDERLINE = re.compile(rf"{_INSIDE}(=+|-+)[ \t]*$")
_BACKTICKS = re.compile("`+")
_TAG = re.compile(r"<(?=[a-zA-Z/!?])")


def markdown(conversation: StoredConversation) -> Iterator[str]:
    """The session file, piece by piece."""
    yield _header(conversation)
    messages = iter(conversation.messages)
    for segment in conversation.segments:
        yield f"\n\n{_break(segment) if len(conversation.segments) > 1 else '---'}"
        for message in islice(messages, segment.message_count):
            yield f"\n\n{_section(message)}"
    yield from (f"\n\n{_section(message)}" for message in messages)
    yield "\n"


def _header(conversation: StoredConversation) -> str:
    title = f"# Session: {printable(conversation.conversation_id)}"
    return "\n".join([title, "", *_facts(conversation)])


def _facts(conversation: StoredConversation) -> Iterator[str]:
    roles = {role: conversation.roles.get(role, 0) for role in _ROLES}
    seen, duplicates = conversation.messages_seen, conversation.duplicates
    first_at, last_at = conversation.first_at, conversation.last_at
    yield f"- **Session ID:** {printable(conversation.conversation_id)}"
    if conversation.title:
        yield f"- **Title:** {printable(conversation.title)}"
    yield f"- **Named by:** {printable(conversation.reason)}"
    if conversation.aliases:
        yield f"- **Also known as:** {', '.join(map(printable, conversation.aliases))}"
    yield f"- **First export stored:** {conversation.created_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"- **Last updated:** {conversation.last_updated:%Y-%m-%d %H:%M:%S} UTC"
    if first_at and last_at:
        span = f"{first_at:%Y-%m-%d %H:%M} to {last_at:%Y-%m-%d %H:%M}"
        yield f"- **Messages from:** {span} UTC"
    counts = ", ".join(f"{count:,} {role}" for role, count in roles.items())
    yield f"- **Messages:** {sum(roles.values()):,} ({counts})"
    share = f" ({100 * duplicates / seen:.1f} %)" if seen else ""
    yield (
        f"- **Exports:** {conversation.export_count:,}, {some(seen, 'message')} seen, "
        f"{some(duplicates, 'duplicate')} filtered{share}"
    )
    yield f"- **Segments:** {len(conversation.segments):,}"
    yield f"- **Risk of data loss:** {printable(_risk(conversation.risk))}"


def _risk(risk: Risk) -> str:
    """The level and its worst reasons: eighteen are nothing that anybody reads."""
    more = len(risk.reasons) - _REASONS_SHOWN
    shown = "; ".join(risk.reasons[:_REASONS_SHOWN])
    rest = f"; and {more} more, see exportd stats" if more > 0 else ""
    return f"{risk.level.value}{shown and ': '}{shown}{rest}"


def _break(segment: StoredSegment) -> str:
    """A line that no one can overlook: what precedes may be incomplete."""
    why = ""
    if segment.starts_compacted:
        why = " begins after a compaction; what was said just before it may be missing"
    names = ", ".join(f"`{printable(name)}`" for name in segment.export_names)
    last = segment.first_index + segment.message_count - 1
    run = f"Messages {segment.first_index} to {last}"
    if segment.message_count == 1:
        run = f"Message {last}"
    return f"---\n\n> **Segment {segment.ordinal + 1}**{why}. {run}, from {names}"


def _section(message: StoredMessage) -> str:
    title = _TITLES.get((message.role, message.kind), message.role.capitalize())
    if tool := message.metadata.get("tool"):
        title += f" · {printable(str(tool))}"
    when = f" · {message.occurred_at:%Y-%m-%d %H:%M:%S} UTC" if message.occurred_at else ""
    return f"## {title} (index: {message.index}){when}\n\n{_body(message)}"


def _body(message: StoredMessage) -> str:
    """Prose as it is; what a tool printed inside a fence that nothing in it can close."""
    text = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), message.text)
    if message.role == "tool" or message.kind in ("tool_call", "notice"):
        longest = max((len(fence) for fence in re.findall(r"`{3,}", text)), default=2)
        fence = "`" * (longest + 1)
        return f"{fence}text\n{text}\n{fence}"
    return "\n".join(_prose(text.split("\n")))


def _prose(lines: list[str]) -> Iterator[str]:
    """Markdown as it was said, but nothing in it acts: no title, no HTML, no open fence."""
    fence = ""  # with its indentation
    titled = False  # whether an underline would make a title of ours of the lines before it
    for line in lines:
        column = len(fence) - len(fence.lstrip())
        if fence and line.strip() and line[:column].strip():
            yield fence  # where a list item ends, so does a fence in it
            fence = ""
        if fence:
            closing = _CLOSING.match(line[max(column - 3, 0) :])
            yield line
            fence = "" if closing and closing[1].startswith(fence.lstrip()) else fence
        elif opening := _OPENING.match(line):
            fence = " " * len(opening["column"]) + (opening["a"] or opening["b"])
            titled = False
            yield line
        else:
            yield _inert(line, titled=titled)
            titled = bool(line.strip()) and (titled or "index" in line)
    if fence:
        yield fence


def _inert(line: str, *, titled: bool) -> str:
    line = _TITLE.sub(r"\1\\\2", line, count=1) if _TITLE.match(line) else line
    if titled and _UNDERLINE.match(line):
        line = _UNDERLINE.sub(r"\1\\\2", line)
    spans = _code_spans(line)
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(line)]
    texts = [_TAG.sub(r"\<", line[a:b]) for a, b in zip(ends, starts, strict=True)]
    codes = [*(line[start:end] for start, end in spans), ""]
    return "".join(text + code for text, code in zip(texts, codes, strict=True))


def _code_spans(line: str) -> list[tuple[int, int]]:
    """Where code is: from a run of backticks to the next one of its length (CommonMark 6.1).

    A regular expression would look through the rest of the line for every run that none
    answers, which takes hours for a line of 60 MB.
    """
    runs = [found.span() for found in _BACKTICKS.finditer(line)]
    answers: list[int | None] = []
    last: dict[int, int] = {}
    for number in range(len(runs) - 1, -1, -1):
        length = runs[number][1] - runs[number][0]
        answers.append(last.get(length))
        last[length] = number
    answers.reverse()
    spans: list[tuple[int, int]] = []
    number = 0
    while number < len(runs):
        start, answer = runs[number][0], answers[number]
        if answer is not None and line[max(start - 1, 0) : start] != "\\":
            spans.append((start, runs[answer][1]))
            number = answer
        number += 1
    return spans
