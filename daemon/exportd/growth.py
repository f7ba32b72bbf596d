"""An export that has grown: from where on it is to be read, and when that is the same.

The beginning of a file says nothing new when its bytes were stored before. What holds then
is proved when the earlier file is stored: each message up to some anchor stands in the segment
at its own place, in the shape in which it was read. That anchor is a point from which a later
file is read on, as long as nothing that stands before it changes (``forget_resume_points``).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from .fingerprint import compact, is_anchor
from .formats.text import count_escaped
from .models import Before, Mark, Message, Place, Plan, Raw, Transcript

# What is told apart by it is looked up; what is shorter is read at once.
HEAD_BYTES = 4096

_PIECE_BYTES = 1024 * 1024

# Size and SHA-256 of known beginnings of files, by the SHA-256 of their heads.
Beginnings = Callable[[str], Iterable[tuple[int, str]]]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first bytes of a file, known by their SHA-256; ``digest`` is hashlib's, to go on."""

    size_bytes: int
    sha256: str
    digest: hashlib._Hash


class Hashing:
    """SHA-256 of a file, piece by piece, and of the longest of its beginnings that is known.

    All is hashed once.
    """

    def __init__(self, beginnings: Beginnings | None = None) -> None:
        self.digest = hashlib.sha256()
        self.prefix: Prefix | None = None
        self._beginnings = beginnings
        self._known: list[tuple[int, str]] = []
        self._size_bytes = 0

    def update(self, piece: bytes) -> None:
        """The first piece is as long as a head, unless the file is not."""
        if self._beginnings and not self._size_bytes and len(piece) >= HEAD_BYTES:
            self._known = sorted(self._beginnings(head_of(piece)), reverse=True)
        view, start = memoryview(piece), 0
        while self._known and self._known[-1][0] <= self._size_bytes + len(piece):
            size_bytes, sha256 = self._known.pop()
            self.digest.update(view[start : size_bytes - self._size_bytes])
            start = size_bytes - self._size_bytes
            if self.digest.hexdigest() == sha256:
                self.prefix = Prefix(size_bytes, sha256, self.digest.copy())
        self.digest.update(view[start:])
        self._size_bytes += len(piece)


@dataclass(frozen=True, slots=True)
class Point:
    """Where a stored export can be gone on from.

    ``head`` is the SHA-256 of the first ``HEAD_BYTES`` of the file, ``sha256`` that of its
    first ``size_bytes``: up to the end of the line that ends the anchor at byte ``offset``.
    ``known`` is what was read before that anchor, ``head_hash`` that of the segment.
    """

    head: str
    size_bytes: int
    sha256: str
    offset: int
    head_hash: str
    known: Transcript
    segment_id: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes that an export was read from, with the prefix of them that is known.

    ``offset`` is where its transcript begins.
    """

    raw: bytes
    prefix: Prefix | None = None
    offset: int = 0


def point(
    transcript: Transcript,
    places: Sequence[Place],
    sizes: Sequence[int],
    plan: Plan,
    known: Sequence[Place],
    head_hash: str | None,
    source: Source,
) -> Point | None:
    """The last point of an export from which it can be gone on; None without one.

    ``sizes`` are the characters of each text without whitespace, ``known`` the stored places
    that the plan counts.
    """
    if head_hash is None or not transcript.marks:
        return None
    settled = _settled(plan, places, known)
    marks = transcript.marks
    # The message behind it is settled, too, and not the last: that one may still go on.
    most = min(settled, len(transcript.messages) - 1) - 1
    number = bisect_left(marks, most, key=lambda mark: mark.messages)
    return (
        _point(transcript, marks[number - 1], places, sizes, head_hash, source)
        if number
        else None
    )


def _settled(plan: Plan, places: Sequence[Place], known: Sequence[Place]) -> int:
    """How many messages stand, from the first on, at their own place as they were read."""
    for number, (step, at) in enumerate(zip(plan.steps, plan.order, strict=False)):
        place = places[number]
        if place.in_flight or at != (-1 - number if step.known is None else step.known):
            return number
        if step.known is not None and not step.replace and not _alike(known[at], place):
            return number
    return len(plan.steps)


def _alike(stored: Place, place: Place) -> bool:
    shapes = [(p.role, p.kind, p.tool, p.in_flight) for p in (stored, place)]
    return shapes[0] == shapes[1]


def _point(
    transcript: Transcript,
    mark: Mark,
    places: Sequence[Place],
    sizes: Sequence[int],
    head_hash: str,
    source: Source,
) -> Point | None:
    before, count = transcript.before, mark.messages
    start = source.offset + transcript.messages[count + 1].span.start
    end = source.raw.find(b"\n", start) + 1
    if end < HEAD_BYTES:
        return None
    known = Transcript(
        transcript.format,
        transcript.parser_version,
        (),
        (),
        starts_compacted=transcript.starts_compacted,
        lineage=transcript.lineage[: mark.lineage],
        flags=mark.flags,
        header=transcript.header,
        before=Before(
            before.messages + count,
            before.anchors + sum(map(is_anchor, islice(places, count))),
            before.chars + sum(islice(sizes, count)),
            before.escaped
            + sum(
                count_escaped(message.text) for message in islice(transcript.messages, count)
            ),
        ),
    )
    head = head_of(source.raw)
    sha256 = beginning(source.raw, end, source.prefix)
    return Point(head, end, sha256, source.offset + mark.offset, head_hash, known)


def head_of(raw: Raw) -> str:
    """SHA-256 of what files are looked up by."""
    return hashlib.sha256(raw[:HEAD_BYTES]).hexdigest()


def beginning(raw: Raw, size_bytes: int, prefix: Prefix | None) -> str:
    """SHA-256 of the first bytes; what was hashed of them is not hashed again."""
    if prefix is None or prefix.size_bytes > size_bytes:
        start, digest = 0, hashlib.sha256()
    else:
        start, digest = prefix.size_bytes, prefix.digest.copy()
    while start < size_bytes:
        stop = min(start + _PIECE_BYTES, size_bytes)
        digest.update(raw[start:stop])
        start = stop
    return digest.hexdigest()


def text_sizes(messages: Sequence[Message]) -> list[int]:
    """The characters of each text, without whitespace."""
    return [len(compact(message.text)) for message in messages]


def first_change(plan: Plan, before: int) -> int:
    """The first place of a segment, counted as it was, at which a plan changes something.

    What is written behind the last message changes nothing that stands.
    """
    replaced = (step.known for step in plan.steps if step.known is not None and step.replace)
    first_new = next((n for n, at in enumerate(plan.order) if at < 0), len(plan.order))
    return before + min(first_new, min(replaced, default=first_new))
