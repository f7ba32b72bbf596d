"""What the exports of a segment show is stored, and what is stored was shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..fingerprint import matching
from ..models import Kind, Message, Role
from . import words
from .facts import Finding, MessageRow, SegmentRow
from .sequence import Rows, Shown, is_hash_of, is_shown, shape_of, shown


@dataclass(frozen=True, slots=True)
class _Due:
    """Message ``number`` of an export, which belongs between two positions of the rows."""

    name: str
    number: int
    message: Shown
    after: int
    before: int

    @property
    def show(self) -> words.Show:
        return self.name, self.number, self.message

    def lies_at(self, position: int) -> bool:
        return self.after < position < self.before


class SegmentCheck:
    """Collects what one export after the other shows of a segment, then judges.

    ``rows`` are the segment's messages in the order of their indices.
    """

    def __init__(self, segment: SegmentRow, rows: Sequence[MessageRow]) -> None:
        self._segment = segment
        self._rows = Rows(rows)
        self._shown: set[int] = set()
        self._shown_renderings: set[tuple[int, str]] = set()
        self._missing: list[_Due] = []
        self._near: dict[int, _Due] = {}  # shown there, but not exactly so
        # Of every export: its fingerprints, placeholders left out, and where they stand.
        self._runs: list[tuple[tuple[str, ...], frozenset[int]]] = []
        self._repeats = dict.fromkeys(self._rows.repeats(), 0)  # and how many one showed

    def compare(self, name: str, messages: Sequence[Message]) -> None:
        """Look for the messages of one export, all of them and in order."""
        run = [shown(message) for message in messages]
        places = self._rows.leftmost(run)
        stand = range(len(self._rows)) if places is None else places
        said = tuple(m.content_hash for m in run if not m.in_flight)
        self._runs.append((said, frozenset(stand)))
        if places is None:
            self._compare_parts(name, run)
        else:
            self._compare_whole(name, run, places)

    def _compare_whole(self, name: str, run: Sequence[Shown], leftmost: Sequence[int]) -> None:
        """A message can stand anywhere behind the earliest place of the one before it and
        before the latest place of the next: what is stored there it may have shown.
        """
        rightmost = self._rows.rightmost(run)
        lows = [-1, *leftmost]
        highs = [*rightmost[1:], len(self._rows)]
        places = zip(run, lows, highs, strict=False)
        for number, (message, low, high) in enumerate(places):
            self._note(_Due(name, number, message, low, high))
        for repeat, most in self._repeats.items():
            own = self._rows.own[repeat.start]
            count = sum(
                m.content_hash == own and first < repeat.stop and last >= repeat.start
                for m, first, last in zip(run, leftmost, rightmost, strict=True)
            )
            self._repeats[repeat] = max(most, count)

    def _note(self, show: _Due) -> None:
        """What is stored between two positions of a message that an export shows there."""
        message = show.message
        for position in self._rows.between(message, show.after + 1, show.before - 1):
            row = self._rows.rows[position]
            if position not in self._shown:
                if is_shown(row, message):
                    self._shown.add(position)
                elif self._rows.own[position] == message.content_hash:
                    self._near[position] = show
            if row.renderings and not message.in_flight:
                self._shown_renderings |= {
                    (position, r.content_hash)
                    for r in row.renderings
                    if (r.content_hash, r.text) == (message.content_hash, message.text)
                }

    def _compare_parts(self, name: str, run: Sequence[Shown]) -> None:
        """Something is wrong: what it is shows by what still stands in order."""
        pairs = [*_paired(self._rows, run), (len(self._rows), len(run))]
        row = number = 0
        missing: list[_Due] = []
        for next_row, next_number in pairs:
            missing += [
                _Due(name, lost, run[lost], row - 1, next_row)
                for lost in range(number, next_number)
                if not self._fits_between(run[lost], row, next_row)
            ]
            row, number = next_row + 1, next_number + 1
        self._missing += missing or [_Due(name, 0, run[0], -1, len(self._rows))]
        for number, message in enumerate(run):
            self._note(_Due(name, number, message, -1, len(self._rows)))
        self._repeats.clear()

    def _fits_between(self, message: Shown, low: int, high: int) -> bool:
        """Whether a placeholder's place can be one of these rows."""
        rows = self._rows.rows[low:high]
        return message.in_flight and any(shape_of(row) == message.shape for row in rows)

    # -- judge -------------------------------------------------------------------

    def findings(self, *, complete: bool) -> Iterator[Finding]:
        """Everything wrong with the segment's messages.

        ``complete``: all exports of the segment could be compared. Else what no export
        shows may be from one of the others, and is not judged.
        """
        found = [
            *self._rows_wrong(complete=complete),
            *self._renderings_wrong(complete=complete),
            *self._lost(),
        ]
        yield from found or self._head_wrong()

    def _rows_wrong(self, *, complete: bool) -> Iterator[Finding]:
        unshown = self._unshown()
        for position, row in enumerate(self._rows.rows):
            wrong_hash = row.content_hash != self._rows.own[position]
            if position not in unshown and not wrong_hash:
                continue
            if missing := self._claim(position):
                yield words.changed(self._segment, row, missing.show)
            elif wrong_hash:
                yield words.wrong_hash(self._segment, row, self._rows.own[position])
            elif complete and position not in self._shown and position in self._near:
                yield words.changed(self._segment, row, self._near[position].show)
            elif complete:
                yield words.unknown(self._segment, row)

    def _unshown(self) -> set[int]:
        """Positions of rows that no export shows; also of one too many of equal rows.

        Equal rows side by side are as many as one export shows there. And when the longest
        export shows, in order, all that the others show, then no row has a reason to be
        there but those of the longest.
        """
        everywhere = set(range(len(self._rows)))
        for repeat, most in self._repeats.items():
            self._shown -= set(repeat[most:])
            for position in repeat[most:]:
                self._near.pop(position, None)
        longest, stand = max(
            self._runs, key=lambda pair: len(pair[0]), default=((), everywhere)
        )
        if len(stand) < len(everywhere):
            alike = self._rows.alike()
            whole = [alike.get(h, h) for h in longest]
            if all(_is_part([alike.get(h, h) for h in said], whole) for said, _ in self._runs):
                return everywhere - (self._shown & stand)
        return everywhere - self._shown

    def _claim(self, position: int) -> _Due | None:
        """What is missing where a row stands, once for all exports that show it there."""
        row = self._rows.rows[position]
        here = [m for m in self._missing if m.lies_at(position)]
        here.sort(key=lambda m: (m.message.role, m.message.kind) != (row.role, row.kind))
        if not here:
            return None
        content_hash = here[0].message.content_hash
        self._missing = [
            m
            for m in self._missing
            if not (m.message.content_hash == content_hash and m.lies_at(position))
        ]
        return here[0]

    def _renderings_wrong(self, *, complete: bool) -> Iterator[Finding]:
        for position, row in enumerate(self._rows.rows):
            for rendering in row.renderings:
                wrong = not is_hash_of(rendering.content_hash, rendering.text)
                unshown = (position, rendering.content_hash) not in self._shown_renderings
                if not wrong and not unshown:
                    continue
                missing = self._claim(position)
                if missing or wrong or complete:
                    show = missing.show if missing else None
                    yield words.rendering_changed(self._segment, row, rendering, show)

    def _lost(self) -> Iterator[Finding]:
        """What is still missing: once for all exports that show it at that place."""
        places: dict[tuple[str, int], list[_Due]] = {}
        for missing in self._missing:
            key = missing.message.content_hash, missing.after
            places.setdefault(key, []).append(missing)
        for (content_hash, _), (missing, *others) in places.items():
            elsewhere = [p for p, own in enumerate(self._rows.own) if own == content_hash]
            between = [self._index(missing.after), self._index(missing.before)]
            yield words.lost(
                self._segment,
                missing.show,
                between,
                [self._rows.rows[p].index for p in elsewhere],
                len(others),
            )

    def _index(self, position: int) -> int | None:
        inside = 0 <= position < len(self._rows)
        return self._rows.rows[position].index if inside else None

    def _head_wrong(self) -> Iterator[Finding]:
        """Re-exports find the segment by it; without an anchor it may be a placeholder's."""
        head = self._segment.head_hash
        if any(map(_is_anchor, self._rows.rows)) and not any(
            head in hashes for hashes in self._rows.hashes
        ):
            yield words.head_wrong(self._segment)


def _paired(rows: Rows, run: Sequence[Shown]) -> list[tuple[int, int]]:
    """Rows and messages that are the same and stand in the same order, most of them."""
    wanted = {message.content_hash for message in run}
    keys = [min(hashes & wanted, default="") for hashes in rows.hashes]
    return matching(keys, [message.content_hash for message in run])


def _is_part(run: Sequence[str], whole: Sequence[str]) -> bool:
    rest = iter(whole)
    return all(content_hash in rest for content_hash in run)


def _is_anchor(row: MessageRow) -> bool:
    return row.role == Role.USER or (row.role, row.kind) == (Role.ASSISTANT, Kind.TEXT)
