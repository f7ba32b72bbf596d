"""What was measured on a folder of exports, as numbers; the page is made of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exportd.fingerprint import places
from exportd.identity import MIN_ANCHORS, leading_anchors

from .earlier_rule import Loss, losses, unplaced
from .overlap import Overlap, overlaps
from .stored import Export, Segment

# Two files that share a quarter of the text of the smaller one deserve an explanation.
TELLING_SHARE = 0.25
FEW_RUNS = 100


@dataclass(frozen=True, slots=True)
class Amount:
    """Files and what is in them; texts in UTF-8."""

    files: int
    file_bytes: int
    messages: int
    text_bytes: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files in different segments that share text, and why they are apart."""

    a: Export
    b: Export
    share: float
    why: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that the page tells. ``fates`` and ``outcomes`` are of this one run.

    ``risks`` counts conversations by their risk of data loss.
    ``repeats`` are stored messages with the text of another one, in the whole store,
    within their conversation and within their segment. ``least_within`` is the smallest
    share of text that two files of one segment have in common, None without such files.
    """

    fates: Mapping[str, int]
    outcomes: Mapping[str, int]
    risks: Mapping[str, int]
    dropped: Amount
    distinct: Amount
    stored_messages: int
    stored_text_bytes: int
    renderings: int
    rendering_bytes: int
    repeats: tuple[int, int, int]
    segments: Sequence[Segment]
    losses: Sequence[Loss]
    unplaced: int
    apart: Sequence[Pair]
    false_merges: Sequence[Pair]
    least_within: float | None

    @property
    def series(self) -> list[Segment]:
        """Segments that were exported more than once; the most messages first."""
        found = [segment for segment in self.segments if len(segment.exports) > 1]
        return sorted(found, key=lambda s: (-s.seen, s.exports[0].number))


def measure(
    reports: Sequence[Mapping[str, Any]], segments: Sequence[Segment], risks: Iterable[str]
) -> Measured:
    """The numbers of a run: its reports, what was stored by it, and a risk for each
    conversation.
    """
    exports = sorted((e for s in segments for e in s.exports), key=lambda e: e.number)
    messages = [message for segment in segments for message in segment.messages]
    others = [rendering for message in messages for rendering in message["renderings"]]
    pairs, within = _pairs(exports, segments)
    return Measured(
        fates=Counter(report["fate"] for report in reports),
        risks=Counter(risks),
        outcomes={key: sum(r[key] for r in reports) for key in ("rerendered", "completed")},
        dropped=_amount(exports, lambda export: export.drops),
        distinct=_amount(exports, lambda _: 1),
        stored_messages=len(messages),
        stored_text_bytes=sum(len(m["content"].encode()) for m in messages),
        renderings=len(others),
        rendering_bytes=sum(len(r["content"].encode()) for r in others),
        repeats=_repeats(segments),
        segments=segments,
        losses=losses(segments),
        unplaced=unplaced(segments),
        apart=pairs,
        false_merges=[pair for pair in within if pair.share < TELLING_SHARE],
        least_within=min((pair.share for pair in within), default=None),
    )


def _amount(exports: Sequence[Export], times: Callable[[Export], int]) -> Amount:
    return Amount(
        sum(times(e) for e in exports),
        sum(times(e) * e.size_bytes for e in exports),
        sum(times(e) * len(e.transcript.messages) for e in exports),
        sum(times(e) * e.text_bytes for e in exports),
    )


def _repeats(segments: Sequence[Segment]) -> tuple[int, int, int]:
    everywhere: Counter[str] = Counter()
    in_conversation: Counter[tuple[str, str]] = Counter()
    in_segment = 0
    for segment in segments:
        found = [message["content_hash"] for message in segment.messages]
        everywhere.update(found)
        in_conversation.update((segment.conversation_id, text) for text in found)
        in_segment += len(found) - len(set(found))
    total = everywhere.total()
    return total - len(everywhere), total - len(in_conversation), in_segment


def _pairs(
    exports: Sequence[Export], segments: Sequence[Segment]
) -> tuple[list[Pair], list[Pair]]:
    """Pairs in different segments that share much text, and all pairs of one segment."""
    group = {e.number: n for n, segment in enumerate(segments) for e in segment.exports}
    groups = [group[export.number] for export in exports]
    texts = [export.path.read_text(encoding="utf-8", errors="replace") for export in exports]
    apart: list[Pair] = []
    within: list[Pair] = []
    for overlap in overlaps(texts, groups):
        a, b = exports[overlap.a], exports[overlap.b]
        if groups[overlap.a] == groups[overlap.b]:
            within.append(Pair(a, b, overlap.share, ""))
        elif overlap.share >= TELLING_SHARE:
            apart.append(Pair(a, b, overlap.share, _why(a, b, overlap)))
    return sorted(apart, key=lambda pair: -pair.share), within


def _why(a: Export, b: Export, overlap: Overlap) -> str:
    """Why two files that share text are no series, by what their parser saw."""
    flags = {*a.transcript.flags, *b.transcript.flags}
    if "scrollback" in flags:
        return SCROLLBACK
    if "pasted_transcript" in flags:
        return PASTED
    if overlap.smaller < FEW_RUNS:
        return SHORT
    runs = places(a.transcript.messages), places(b.transcript.messages)
    return PARTED if leading_anchors(*runs) >= MIN_ANCHORS else UNEXPLAINED


SCROLLBACK = (
    "one is a copy of a terminal, with several runs in it, drawn more than once and out of "
    "order: it begins at no place where an export begins"
)
PASTED = (
    "a transcript was pasted into a prompt of one: it repeats what was said in another "
    "segment, and is kept as said again"
)
SHORT = (
    "the smaller file has fewer than 100 runs of words: a start screen, or a few lines that "
    "the client prints in every session"
)
PARTED = (
    "they begin alike, then say something else: a session that was rewound or edited; both "
    "branches are kept whole"
)
UNEXPLAINED = "**unexplained**: neither begins where the other begins"
