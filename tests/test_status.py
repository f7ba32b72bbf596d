"""The report for the status log: what an operator reads and greps for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exportd.models import Anomaly, Fate, Report, Severity
from exportd.render.status import status_report

STARTED = datetime(2025, 11, 20, 12, tzinfo=UTC)


def _report(*reports: Report, stored: int | None = 100, memory_dir: str = "/memory") -> str:
    return status_report(
        reports,
        memory_dir=memory_dir,
        started=STARTED,
        completed=STARTED + timedelta(seconds=1.25),
        total_in_storage=stored,
    )


GROWN = Report(
    "2025-11-20-EXPORT-DECK.txt",
    Fate.INGESTED,
    size_bytes=2048,
    conversation_id="deck",
    total=10,
    new=4,
    rerendered=2,
    completed=1,
    kept_as="exports-archive/2025-11-20-EXPORT-DECK.txt",
    session_file="sessions/deck.md",
)
BROKEN = Report(
    "notes.txt",
    Fate.DEAD_LETTER,
    size_bytes=10,
    reason="no known export format",
    kept_as="exports-failed/notes.txt",
)
WAITING = Report("late.txt", Fate.DEFERRED, reason="the database does not answer")


def test_an_ingested_file_is_told_with_its_counts() -> None:
    text = _report(GROWN)
    counts = "10 in the file, 4 new, 6 duplicates, 2 of them rendered anew, 1 of them completed"
    for line in (
        "✓ ingested: 2025-11-20-EXPORT-DECK.txt (2.0 KB)",
        "    Session: deck",
        f"    Messages: {counts}",
        "    Archived as: exports-archive/2025-11-20-EXPORT-DECK.txt",
        "    Session file: sessions/deck.md",
        "Status: ✅ SUCCESS",
        "Files: 1 ingested",
    ):
        assert f"{line}\n" in text


def test_the_results_are_summed_over_all_files() -> None:
    text = _report(GROWN, Report("b.txt", Fate.UNCHANGED, total=30, new=0), stored=1234)
    for line in (
        "🆕 NEW UNIQUE MESSAGES ADDED & BACKED UP: 4",
        "🔄 Duplicate Messages Filtered: 36",
        "📨 Total Messages Processed: 40",
        "💾 Total Unique Messages in Storage: 1,234",
        "   Dedup rate of this batch: 90.0 %",
        "Files: 1 ingested, 1 unchanged",
    ):
        assert f"{line}\n" in text


def test_start_end_and_duration_are_told() -> None:
    text = _report()
    assert "Started: 2025-11-20T12:00:00 UTC\n" in text
    assert "Completed: 2025-11-20T12:00:01 UTC\n" in text
    assert "Duration: 1.25 seconds\n" in text
    assert "Memory folder: /memory\n" in text


def test_an_empty_batch_is_a_success() -> None:
    text = _report(stored=0)
    assert "Status: ✅ SUCCESS\n" in text
    assert "Files: none\n" in text
    assert "Dedup rate of this batch: no messages\n" in text


def test_a_failure_is_told_with_its_reason_and_place() -> None:
    text = _report(GROWN, BROKEN, WAITING)
    for line in (
        "✗ dead_letter: notes.txt (10 bytes)",
        "    Why: no known export format",
        "    Kept in: exports-failed/notes.txt",
        "… deferred: late.txt",
        "Status: ❌ FAILED (1 of 3 files could not be ingested)",
        "  dead_letter: notes.txt: no known export format",
        "  deferred: late.txt: the database does not answer",
        "Files: 1 ingested, 1 dead_letter, 1 deferred",
    ):
        assert f"{line}\n" in text
    assert "SUCCESS" not in text
    assert "WAITING" not in text


def test_files_that_are_only_deferred_are_waited_for() -> None:
    text = _report(GROWN, WAITING)
    assert "Status: ⏳ WAITING (1 of 2 files is taken up later)\n" in text
    assert "(1 of 1 file is taken up later)\n" in _report(WAITING)
    assert "(2 of 2 files are taken up later)\n" in _report(WAITING, WAITING)
    assert "  deferred: late.txt: the database does not answer\n" in text
    assert "FAILED" not in text
    assert "SUCCESS" not in text


@pytest.mark.parametrize("fate", list(Fate))
def test_a_report_has_one_status(fate: Fate) -> None:
    status = {Fate.DEAD_LETTER: "❌ FAILED", Fate.DEFERRED: "⏳ WAITING"}
    (line,) = [
        line for line in _report(Report("a.txt", fate)).splitlines() if "Status:" in line
    ]
    assert line.startswith(f"Status: {status.get(fate, '✅ SUCCESS')}")


def test_other_conversations_that_changed_are_named() -> None:
    text = _report(replace(GROWN, also_changed=("deck", "mill", "old\ndeck")))
    assert "    Also changed: mill, old\\ndeck\n" in text
    assert "Also changed" not in _report(GROWN)
    assert "Also changed" not in _report(replace(GROWN, also_changed=("deck",)))


def test_one_of_a_thing_is_told_in_the_singular() -> None:
    text = _report(Report("a.txt", Fate.UNCHANGED, size_bytes=1, total=1))
    assert "✓ unchanged: a.txt (1 byte)\n" in text
    assert "    Messages: 1 in the file, 0 new, 1 duplicate\n" in text


def test_a_failed_file_shows_no_message_counts() -> None:
    assert "Messages: " not in _report(BROKEN).split("RESULTS")[0]


def test_the_store_is_unknown_while_the_database_is_down() -> None:
    assert "💾 Total Unique Messages in Storage: unknown\n" in _report(WAITING, stored=None)


@pytest.mark.parametrize("severity", list(Severity))
def test_every_anomaly_is_told_by_its_severity(severity: Severity) -> None:
    report = Report("a.txt", Fate.INGESTED, anomalies=(Anomaly("x", severity, "it is odd"),))
    sign = "ℹ" if severity is Severity.INFO else "⚠"
    assert f"    {sign} it is odd\n" in _report(report)


def test_a_new_conversation_is_not_told_twice() -> None:
    new = Anomaly("new_conversation", Severity.INFO, "new conversation deck")
    assert "new conversation" not in _report(replace(GROWN, anomalies=(new,)))


def test_warnings_are_counted_over_all_files() -> None:
    odd = [Anomaly("x", severity, "it is odd") for severity in Severity]
    text = _report(replace(GROWN, anomalies=tuple(odd)), replace(GROWN, anomalies=(odd[1],)))
    assert "Warnings: 3, marked ⚠ above\n" in text
    assert text.count("⚠ it is odd") == 3
    assert "Warnings" not in _report(replace(GROWN, anomalies=(odd[0],)))


@pytest.mark.parametrize("fate", list(Fate))
def test_every_fate_has_its_line(fate: Fate) -> None:
    text = _report(Report("a.txt", fate))
    size = "" if fate is Fate.DEFERRED else " (0 bytes)"
    assert f" {fate.value}: a.txt{size}\n" in text
    assert f"Files: 1 {fate.value}\n" in text


HOSTILE = st.text(st.sampled_from("a \n\r\x1b\u2028\u202eé"))


@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_names_cannot_forge_a_line(name: str, reason: str, memory_dir: str) -> None:
    hostile = _report(Report(name, Fate.DEAD_LETTER, reason=reason), memory_dir=memory_dir)
    plain = _report(Report("a", Fate.DEAD_LETTER, reason="a" if reason else ""), memory_dir="a")
    assert len(hostile.splitlines()) == len(plain.splitlines())
    assert "\x1b" not in hostile


@given(
    st.lists(
        st.builds(
            lambda total, known: Report("a", Fate.INGESTED, total=total + known, new=total),
            st.integers(0, 5000),
            st.integers(0, 5000),
        )
    )
)
def test_new_and_duplicates_sum_to_all(reports: list[Report]) -> None:
    text = _report(*reports)
    new = sum(report.new for report in reports)
    duplicates = sum(report.duplicates for report in reports)
    assert f"BACKED UP: {new:,}\n" in text
    assert f"Filtered: {duplicates:,}\n" in text
    assert f"Processed: {new + duplicates:,}\n" in text


def test_a_file_of_which_a_part_is_missing_is_no_success() -> None:
    cut = Anomaly("damaged_records", Severity.WARNING, "1 record could not be read")
    text = _report(GROWN, replace(GROWN, anomalies=(cut,)))
    assert "Status: ⚠ PARTLY (a part of 1 of 2 files could not be ingested)" in text
    assert "SUCCESS" not in text


def test_a_file_with_an_account_in_it_is_told_in_a_few_lines() -> None:
    odd = [Anomaly("escaped_characters", Severity.INFO, f"odd {n}") for n in range(999)]
    late = Anomaly("dead_letter", Severity.WARNING, "one was damaged")
    whole = replace(
        GROWN,
        conversation_id=None,
        also_changed=tuple(f"talk-{n}" for n in range(3000)),
        anomalies=(*odd, late),
    )
    text = _report(whole)
    assert "talk-0, talk-1, talk-2, talk-3, talk-4 and 2,995 more" in text
    assert "⚠ one was damaged" in text
    assert "… and 990 more like these" in text
    assert len(text.splitlines()) < 60
