"""The risk of data loss: what raises it, what does not, and how it is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exportd.identity import ExportFact
from exportd.models import Risk, RiskLevel
from exportd.risk import History, assess, missing

NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)


def _export(name: str = "EXPORT-DECK.txt", count: int = 10) -> ExportFact:
    return ExportFact(name, count, NOON)


def _segment(*names: str, first_index: int = 0) -> History:
    exports = tuple(_export(name) for name in names or ("EXPORT-DECK.txt",))
    return History(first_index, 10, whole=exports)


def _only(segments: list[History]) -> tuple[RiskLevel, str]:
    risk = assess(segments)
    (reason,) = risk.reasons
    return risk.level, reason


def test_a_session_from_its_beginning_has_no_risk() -> None:
    assert assess([_segment(), _segment(first_index=10)]) == Risk(RiskLevel.NONE, ())
    assert assess([]) == Risk(RiskLevel.NONE, ())


def test_a_gap_in_the_native_indices_is_a_high_risk() -> None:
    assert _only([replace(_segment(), gaps=((110, 117),))]) == (
        RiskLevel.HIGH,
        "messages 110 to 117 by the export's own count were in no export",
    )


def test_native_indices_are_told_with_their_segment_when_there_are_several() -> None:
    segments = [_segment(), replace(_segment(first_index=10), gaps=((5, 5),))]
    reason = _only(segments)[1]
    assert reason == "message 5 of segment 2 by the export's own count was in no export"


def test_a_compaction_that_no_export_bridges_is_a_medium_risk() -> None:
    before = _segment("2025-11-16-EXPORT-DECK.txt", "2025-11-17-EXPORT-DECK.txt")
    behind = replace(
        _segment("2025-11-19-EXPORT-DECK.txt", "2025-11-18-EXPORT-DECK.txt", first_index=10),
        starts_compacted=True,
    )
    level, reason = _only([before, behind])
    assert level is RiskLevel.MEDIUM
    assert reason == (
        "compaction between 2025-11-17 and 2025-11-18 with no overlap (at message 10): extent "
        "unknown"
    )


def test_a_compaction_without_dates_is_told_by_its_place() -> None:
    segments = [_segment(), replace(_segment(first_index=10), starts_compacted=True)]
    assert _only(segments)[1] == "compaction with no overlap (at message 10): extent unknown"


@pytest.mark.parametrize(
    ("name", "when"), [("EXPORT-DECK.txt", ""), ("2025-11-18-DECK.txt", " by 2025-11-18")]
)
def test_a_conversation_that_begins_after_a_compaction_has_a_medium_risk(
    name: str, when: str
) -> None:
    level, reason = _only([replace(_segment(name), starts_compacted=True)])
    assert level is RiskLevel.MEDIUM
    assert reason == (
        f"begins after a compaction{when}: what was said before is in no export of it, extent "
        "unknown"
    )


def test_an_end_that_was_still_running_is_a_low_risk() -> None:
    segments = [_segment(), replace(_segment(first_index=10), ends_in_flight=True)]
    assert _only(segments) == (
        RiskLevel.LOW,
        "message 19 was still running when last exported",
    )


def _cut(*counts: int, whole: tuple[int, ...] = ()) -> History:
    return History(
        0,
        10,
        whole=tuple(_export(f"EXPORT-WHOLE-{n}.txt", n) for n in whole),
        cut=tuple(_export(f"EXPORT-CUT-{n}.txt", n) for n in counts),
    )


@pytest.mark.parametrize("history", [_cut(10), _cut(10, 9), _cut(10, whole=(9,))])
def test_a_cut_export_that_shows_the_most_is_a_low_risk(history: History) -> None:
    assert _only([history]) == (
        RiskLevel.LOW,
        "EXPORT-CUT-10.txt was cut, so message 9 may be incomplete",
    )


@pytest.mark.parametrize("history", [_cut(9, whole=(10,)), _cut(10, whole=(10,))])
def test_a_cut_export_is_made_good_by_one_that_shows_as_much(history: History) -> None:
    assert assess([history]) == Risk()


def test_the_date_of_a_cut_export_counts_like_that_of_a_whole_one() -> None:
    cut = History(0, 10, whole=(), cut=(_export("2025-11-18-DECK.txt"),))
    reasons = assess([replace(cut, starts_compacted=True)]).reasons
    assert reasons[0].startswith("begins after a compaction by 2025-11-18:")


def test_exports_that_contradict_each_other_are_a_low_risk() -> None:
    assert _only([replace(_segment(), conflicts=(4,))]) == (
        RiskLevel.LOW,
        "exports contradict each other in message 4 by their own count",
    )


def test_the_worst_reason_gives_the_level_and_comes_first() -> None:
    every = replace(
        _segment(), starts_compacted=True, ends_in_flight=True, gaps=((1, 2),), conflicts=(4,)
    )
    risk = assess([every])
    assert risk.level is RiskLevel.HIGH
    assert [reason.split()[0] for reason in risk.reasons] == [
        "messages", "begins", "message", "exports",
    ]  # fmt: skip
    assert assess([replace(every, gaps=())]).level is RiskLevel.MEDIUM


def test_a_hostile_file_name_stays_on_its_line() -> None:
    history = History(0, 1, whole=(), cut=(_export("a\n- **Risk**\x1b[2J.txt"),))
    assert "\n" not in _only([history])[1]
    assert "\x1b" not in _only([history])[1]


def test_one_message_is_no_run() -> None:
    assert missing(3, 3) == "message 3 by the export's own count was"
    assert missing(3, 4, " of deck") == "messages 3 to 4 of deck by the export's own count were"
