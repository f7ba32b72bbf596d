"""Conversations in a list for a terminal: two or three lines each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.cells import cell_len

from ..formats.text import printable
from ..listed import Session
from .wording import some

_HEAD = "Newest      Risk    Messages  Segments  Conversation"
_BEFORE = len("Newest      Risk    Messages  Segments  ")
_INDENT = " " * len("Newest      ")


def table(sessions: Sequence[Session], width: int | None = None) -> str:
    """The whole list; ``width``: cells of the terminal, None leaves every line whole."""
    if not sessions:
        return "No conversation.\n"
    lines = [_HEAD, *(line for session in sessions for line in _entry(session, width))]
    messages = sum(session.messages for session in sessions)
    lines += ["", f"{some(len(sessions), 'conversation')}, {some(messages, 'message')}"]
    return "\n".join(lines) + "\n"


def _entry(of: Session, width: int | None) -> Iterator[str]:
    numbers = f"{of.messages:>8,}  {of.segments:>8,}"
    before = f"{_day(of.last_at or of.exported_at):<10}  {of.risk.level.value:<6}  {numbers}  "
    name = printable(of.conversation_id)
    if width and _BEFORE + cell_len(name) > width:
        yield before.rstrip()
        yield f"    {name}"  # whole: it is what the next command is given
    else:
        yield f"{before}{name}"
    facts = [", ".join(of.formats)] if of.formats else []
    if of.first_at and of.last_at:
        facts.append(_span(of.first_at, of.last_at))
    yield _cut(f"{_INDENT}{' · '.join(facts)}", width)
    if of.last_export:
        export = f"last export {_day(of.exported_at)}: {printable(of.last_export)}"
        yield _cut(f"{_INDENT}{export}", width)
    if of.title:
        yield _cut(f"{_INDENT}“{printable(of.title)}”", width)


def _span(first: datetime, last: datetime) -> str:
    if _day(first) == _day(last):
        return f"{_minute(first)} to {last.astimezone(UTC):%H:%M} UTC"
    return f"{_minute(first)} to {_minute(last)} UTC"


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}" if moment else "-"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _cut(line: str, width: int | None) -> str:
    """What is not an id ends with the terminal."""
    if not width or cell_len(line) <= width:
        return line
    while cell_len(line) >= width:
        line = line[:-1]
    return f"{line}…"
