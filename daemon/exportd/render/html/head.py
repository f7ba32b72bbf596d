"""What stands above the messages: what this is, where it comes from, what may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ...dumped import ConversationRecord, ExportRecord, Outline, SegmentRecord
from ..wording import size, some
from .markup import Markup, element
from .message import moment

_ROLES = ("user", "assistant", "tool", "system")
_REASONS = 5
_RISKS = ("none", "low", "medium", "high")


def title_of(conversation: ConversationRecord) -> str:
    title = conversation["metadata"].get("title")
    return title if isinstance(title, str) and title else conversation["conversation_id"]


def head(conversation: ConversationRecord, outline: Outline) -> Markup:
    title, conversation_id = title_of(conversation), conversation["conversation_id"]
    return element(
        "header",
        element("h1", title, dir="auto"),
        element("p", element("code", conversation_id), class_="id")
        if title != conversation_id
        else None,
        element("dl", *_facts(conversation, outline)),
        _risk(conversation),
        _origin(conversation["segments"]),
        class_="head",
    )


def segment_head(segment: SegmentRecord, count: int) -> Markup:
    """A break that nobody overlooks; hidden from the eye where there is but one segment."""
    ordinal = segment["ordinal"]
    if count == 1:
        return element("h2", "Messages", class_="unseen", id=_segment_id(segment))
    names = ", ".join(one["name"] for one in segment["exports"])
    return element(
        "header",
        element("h2", f"Segment {ordinal + 1} of {count}", id=_segment_id(segment)),
        element(
            "p",
            "It begins after a compaction: what was said just before may be missing.",
            class_="warning",
        )
        if segment["starts_compacted"]
        else None,
        element("p", f"{_run(segment)}, from {names}" if names else _run(segment)),
        class_="break",
    )


def _facts(conversation: ConversationRecord, outline: Outline) -> Iterator[Markup]:
    roles = ", ".join(
        f"{outline.roles[role]:,} {role}" for role in _ROLES if outline.roles.get(role)
    )
    total = f"{conversation['total_messages']:,}"
    yield _fact("Messages", f"{total} ({roles})" if roles else total)
    if outline.first_at and outline.last_at:
        yield _fact("Said", _span(outline.first_at, outline.last_at))
    directory = conversation["metadata"].get("cwd")
    if isinstance(directory, str) and directory:
        yield _fact("Directory", element("code", directory))
    if conversation["aliases"]:
        yield _fact("Also known as", ", ".join(conversation["aliases"]))


def _fact(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", value))


def _span(first: datetime, last: datetime) -> Markup:
    return element("span", moment(first), " to ", moment(last))


def _risk(conversation: ConversationRecord) -> Markup:
    level, reasons = conversation["risk"]["level"], conversation["risk"]["reasons"]
    shown, rest = reasons[:_REASONS], reasons[_REASONS:]
    words = f"Risk of data loss: {level}"
    return element(
        "div",
        element("p", element("strong", words)),
        element("ul", *(element("li", reason) for reason in shown)) if shown else None,
        element(
            "details",
            element("summary", f"{len(rest):,} more"),
            element("ul", *(element("li", reason) for reason in rest)),
        )
        if rest
        else None,
        class_=f"risk {level if level in _RISKS else 'high'}",
    )


def _origin(segments: list[SegmentRecord]) -> Markup | None:
    count = len({one["sha256"] for segment in segments for one in segment["exports"]})
    if not count:
        return None
    merged = "Merged from" if count > 1 else "From"
    return element(
        "details",
        element("summary", f"{merged} {some(count, 'export')}"),
        *(_sources(segment, len(segments)) for segment in segments),
        class_="origin",
    )


def _sources(segment: SegmentRecord, count: int) -> Markup:
    where = f"Segment {segment['ordinal'] + 1}: {_run(segment).lower()}"
    return element(
        "div",
        element("p", element("a", where, href=f"#{_segment_id(segment)}"))
        if count > 1
        else None,
        element("ul", *(_export(one) for one in segment["exports"])),
    )


def _export(export: ExportRecord) -> Markup:
    when = export["modified_at"]
    return element(
        "li",
        element("code", export["name"], title=f"SHA-256 {export['sha256']}"),
        f" {some(export['message_count'], 'message')}, {size(export['size_bytes'])}",
        ", " if when else None,
        moment(datetime.fromisoformat(when)) if when else None,
    )


def _run(segment: SegmentRecord) -> str:
    first, count = segment["first_index"], segment["message_count"]
    return f"Message {first}" if count == 1 else f"Messages {first} to {first + count - 1}"


def _segment_id(segment: SegmentRecord) -> str:
    return f"s{segment['ordinal'] + 1}"
