"""What is stored of conversations, in numbers and as far as it tells of losses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ..fingerprint import compact
from ..identity import ExportFact
from ..models import Risk
from ..risk import History, assess
from ..statistics import Amounts, Statistics

_Rows = Callable[..., list[tuple[Any, ...]]]


def read_statistics(rows: _Rows, conversation_ids: Sequence[str] | None) -> list[Statistics]:
    """Of the conversations given, or of all; in the order of their ids."""
    ids = None if conversation_ids is None else list(conversation_ids)
    histories = read_histories(rows, ids)
    return [
        Statistics(
            conversation_id,
            watermark=-1 if watermark is None else watermark,
            amounts=Amounts(*amounts),
            gaps=tuple(gap for history in histories[conversation_id] for gap in history.gaps),
            risk=assess(histories[conversation_id]),
        )
        for conversation_id, watermark, *amounts in rows("amounts", conversation_ids=ids)
    ]


def read_risk(rows: _Rows, conversation_id: str) -> Risk:
    return assess(read_histories(rows, [conversation_id])[conversation_id])


def read_histories(
    rows: _Rows, conversation_ids: list[str] | None
) -> defaultdict[str, list[History]]:
    """The segments of each conversation, in their order."""
    whole, cut = _exports(rows, conversation_ids)
    gaps: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for segment_id, first, last in rows("history_gaps", conversation_ids=conversation_ids):
        gaps[segment_id].append((first, last))
    conflicts = _conflicts(rows, conversation_ids)
    parents = rows("history_parents", conversation_ids=conversation_ids)
    lost = {segment_id: int(count) for segment_id, count in parents}
    found: defaultdict[str, list[History]] = defaultdict(list)
    for conversation_id, segment_id, first_index, count, compacted, in_flight in rows(
        "history_segments", conversation_ids=conversation_ids
    ):
        found[conversation_id].append(
            History(
                first_index,
                count,
                whole=tuple(whole[segment_id]),
                cut=tuple(cut[segment_id]),
                starts_compacted=compacted,
                ends_in_flight=in_flight,
                gaps=tuple(gaps[segment_id]),
                conflicts=tuple(sorted(conflicts[segment_id])),
                lost_parents=lost.get(segment_id, 0),
            )
        )
    return found


_Exports = defaultdict[int, list[ExportFact]]


def _exports(rows: _Rows, conversation_ids: list[str] | None) -> tuple[_Exports, _Exports]:
    """The exports of each segment: whole ones, and those whose tail was cut."""
    whole: _Exports = defaultdict(list)
    cut: _Exports = defaultdict(list)
    for segment_id, name, count, modified_at, is_cut in rows(
        "history_exports", conversation_ids=conversation_ids
    ):
        (cut if is_cut else whole)[segment_id].append(ExportFact(name, count, modified_at))
    return whole, cut


def _conflicts(rows: _Rows, conversation_ids: list[str] | None) -> defaultdict[int, set[int]]:
    """Native indices at which exports say different things; a text that grew is none."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for segment_id, index, content, other in rows(
        "history_renderings", conversation_ids=conversation_ids
    ):
        if not compact(content).startswith(compact(other)):
            found[segment_id].add(index)
    return found
