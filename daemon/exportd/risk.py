"""The risk that messages of a conversation are lost, from what is stored alone.

Not from the anomalies, which tell of single arrivals: the same set of exports gives the
same risk, in whatever order they came.

* high: messages are known to be missing (a gap in the native indices, or one that another
  followed by its id);
* medium: messages may be missing, nobody knows how many (a compaction that no export
  bridges; at the beginning, too: of what was said before there is no export);
* low: an end may be incomplete (cut, or still running), or two exports contradict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import taken
from .identity import ExportFact
from .models import Risk, RiskLevel
from .render.wording import some


@dataclass(frozen=True, slots=True)
class History:
    """What is stored of one segment, as far as it tells of losses.

    Its exports are the ``whole`` ones and those whose tail was ``cut``. ``gaps`` (first
    and last, both missing) and ``conflicts`` are native indices; ``lost_parents`` are messages
    that others followed, by their ids, and that no export has.
    """

    first_index: int
    message_count: int
    whole: tuple[ExportFact, ...]
    cut: tuple[ExportFact, ...] = ()
    starts_compacted: bool = False
    ends_in_flight: bool = False
    gaps: tuple[tuple[int, int], ...] = ()
    conflicts: tuple[int, ...] = ()
    lost_parents: int = 0

    @property
    def exports(self) -> tuple[ExportFact, ...]:
        return self.whole + self.cut


def assess(segments: Sequence[History]) -> Risk:
    """The risk of a conversation, from its segments in their order."""
    found = [*_known(segments), *_possible(segments), *_ends(segments)]
    levels = list(RiskLevel)
    worst = max((level for level, _ in found), key=levels.index, default=RiskLevel.NONE)
    return Risk(worst, tuple(reason for _, reason in found))


def missing(first: int, last: int, where: str = "") -> str:
    """A run of native indices as the subject of a sentence: "messages 110 to 117 … were".

    It says whose count that is: everywhere else people see the indices of the store.
    """
    if first == last:
        return f"message {first}{where} by the export's own count was"
    return f"messages {first} to {last}{where} by the export's own count were"


_Found = Iterator[tuple[RiskLevel, str]]


def _known(segments: Sequence[History]) -> _Found:
    for number, segment in enumerate(segments, 1):
        for first, last in segment.gaps:
            what = missing(first, last, _where(number, segments))
            yield RiskLevel.HIGH, f"{what} in no export"
        if count := segment.lost_parents:
            what = f"{some(count, 'message')}{_where(number, segments)} that others followed"
            yield RiskLevel.HIGH, f"{what} {'is' if count == 1 else 'are'} in no export"


def _possible(segments: Sequence[History]) -> _Found:
    for number, segment in enumerate(segments):
        if not segment.starts_compacted:
            continue
        before = taken.latest(segments[number - 1].exports) if number else None
        when = taken.interval(before, taken.earliest(segment.exports))
        when = when and f" {when}"
        if before:
            at = f" (at message {segment.first_index})"
            yield RiskLevel.MEDIUM, f"compaction{when} with no overlap{at}: extent unknown"
        else:
            said = "what was said before is in no export of it, extent unknown"
            yield RiskLevel.MEDIUM, f"begins after a compaction{when}: {said}"


def _ends(segments: Sequence[History]) -> _Found:
    for number, segment in enumerate(segments, 1):
        end = segment.first_index + segment.message_count - 1
        if segment.ends_in_flight:
            yield RiskLevel.LOW, f"message {end} was still running when last exported"
        if export := _cut_end(segment):
            name = taken.label(export)
            yield RiskLevel.LOW, f"{name} was cut, so message {end} may be incomplete"
        for index in segment.conflicts:
            where = _where(number, segments)
            what = f"message {index}{where} by their own count"
            yield RiskLevel.LOW, f"exports contradict each other in {what}"


def _cut_end(segment: History) -> ExportFact | None:
    """The cut export that shows the most, unless a whole one shows as much."""
    longest = max(segment.cut, key=lambda e: (e.message_count, e.name), default=None)
    most = max((export.message_count for export in segment.whole), default=0)
    if longest is None or most >= longest.message_count:
        return None
    return longest


def _where(number: int, segments: Sequence[History]) -> str:
    """Native indices count anew in every segment."""
    return f" of segment {number}" if len(segments) > 1 else ""
