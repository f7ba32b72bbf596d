"""Findings about messages, in words: hashes and lengths, never text."""

from __future__ import annotations

from collections.abc import Sequence

from .facts import Finding, MessageRow, Rendering, SegmentRow, Weight
from .sequence import Shown, differences

_REBUILD = "run exportd reindex: it reads the archived exports again"

Show = tuple[str, int, Shown]  # an export's name, and which of its messages it is


def changed(segment: SegmentRow, row: MessageRow, show: Show) -> Finding:
    """A row stands where the export shows another message."""
    name, number, message = show
    differing = ", ".join(differences(row, message))
    return Finding(
        Weight.DAMAGE,
        "message_changed",
        f"{_described(message)}, message {number + 1} of the export",
        f"{_stored(row)}, which differs in {differing}",
        _REBUILD,
        segment.conversation_id,
        row.index,
        name,
    )


def wrong_hash(segment: SegmentRow, row: MessageRow, own: str) -> Finding:
    return Finding(
        Weight.DAMAGE,
        "message_hash",
        f"content_hash {_short(own)}, the fingerprint of its role and content",
        _stored(row),
        _REBUILD,
        segment.conversation_id,
        row.index,
    )


def unknown(segment: SegmentRow, row: MessageRow) -> Finding:
    return Finding(
        Weight.DAMAGE,
        "message_unknown",
        "a message that an export of its segment shows at this place: the same role, kind "
        "and metadata, and the same text to the last space",
        f"{_stored(row)}, which none shows: it was changed, or put there",
        _REBUILD,
        segment.conversation_id,
        row.index,
    )


def rendering_changed(
    segment: SegmentRow, row: MessageRow, rendering: Rendering, shows: Show | None
) -> Finding:
    """``shows``: what an export shows at this place, and is not there."""
    if shows:
        expected = f"{_described(shows[2])}, message {shows[1] + 1} of the export"
    else:
        expected = "a rendering that an export of its segment shows, with its fingerprint"
    return Finding(
        Weight.DAMAGE,
        "rendering_changed",
        expected,
        f"one of {len(rendering.text)} characters, hash {_short(rendering.content_hash)}",
        f"the message's content is not concerned; {_REBUILD}",
        segment.conversation_id,
        row.index,
        shows[0] if shows else None,
    )


def lost(
    segment: SegmentRow,
    shows: Show,
    between: Sequence[int | None],
    elsewhere: Sequence[int],
    others: int,
) -> Finding:
    """``between``: the indices it should stand between, None at an end of the segment;
    ``elsewhere``: where the same content stands; ``others``: as many more exports show it."""
    name, number, message = shows
    after, before = between
    place = f"{_place(after, before)} of segment {segment.segment_id}"
    more = f" (exports that show it there, too: {others})" if others else ""
    found = f"neither it nor a rendering of it {place}"
    if elsewhere:
        indices = ", ".join(map(str, elsewhere[:3]))
        found += f"; the same content stands at index {indices}"
    return Finding(
        Weight.DAMAGE,
        "message_missing",
        f"{_described(message)}, message {number + 1} of the export{more}",
        found,
        _REBUILD,
        segment.conversation_id,
        after if after is not None else before,
        name,
    )


def head_wrong(segment: SegmentRow) -> Finding:
    return Finding(
        Weight.DAMAGE,
        "segment_head",
        f"segments.head_hash that is the fingerprint of a message of segment "
        f"{segment.segment_id}: later exports find it by that",
        _short(segment.head_hash or "none"),
        _REBUILD,
        segment.conversation_id,
    )


def _place(after: int | None, before: int | None) -> str:
    if after is None and before is None:
        return "anywhere"
    if after is None:
        return f"before index {before}"
    if before is None:
        return f"behind index {after}"
    return f"between index {after} and {before}"


def _described(message: Shown) -> str:
    return (
        f"{message.role} {message.kind} of {len(message.text)} characters, hash "
        f"{_short(message.content_hash)}"
    )


def _stored(row: MessageRow) -> str:
    return (
        f"{row.role} {row.kind} of {len(row.text)} characters, hash {_short(row.content_hash)}"
    )


def _short(content_hash: str) -> str:
    return content_hash[:12]
