"""Reports for the status log: what happened to the files of one batch.

The form follows the specification's "BACKUP & DEDUPLICATION RESULTS"; a line
``Status: ✅ SUCCESS``, ``❌ FAILED`` (a dead letter) or ``⏳ WAITING`` can be searched for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ..formats.text import printable
from ..models import Fate, Report, Severity
from .wording import size, some

_RULE = "=" * 80
_PARTS_LOST = ("dead_letter", "damaged_records")
_MOST_NAMES = 5
_MOST_ANOMALIES = 10
_LOCKS = "🔐" * 40
_SIGNS = {Fate.DEAD_LETTER: "✗", Fate.DEFERRED: "…"}


def status_report(
    reports: Sequence[Report],
    *,
    memory_dir: str,
    started: datetime,
    completed: datetime,
    total_in_storage: int | None,
) -> str:
    """One report on a batch; ``total_in_storage`` is None while the database is down."""
    lines = [
        _RULE,
        "EXPORT-DEDUP EXECUTION REPORT",
        _RULE,
        f"Started: {started:%Y-%m-%dT%H:%M:%S} UTC",
        f"Memory folder: {printable(memory_dir)}",
        f"Files: {len(reports)}",
        _RULE,
        "",
        *(line for report in reports for line in _file(report)),
        *_results(reports, total_in_storage),
        "",
        _RULE,
        "EXECUTION SUMMARY",
        _RULE,
        *_summary(reports),
        f"Completed: {completed:%Y-%m-%dT%H:%M:%S} UTC",
        f"Duration: {(completed - started).total_seconds():.2f} seconds",
        _RULE,
    ]
    return "\n".join(lines) + "\n"


def _file(report: Report) -> Iterator[str]:
    sign = _SIGNS.get(report.fate, "✓")
    measured = report.size_bytes or report.fate is not Fate.DEFERRED
    told = f" ({size(report.size_bytes)})" if measured else ""
    yield f"{sign} {report.fate.value}: {printable(report.name)}{told}"
    if report.conversation_id:
        yield f"    Session: {printable(report.conversation_id)}"
    if others := [name for name in report.also_changed if name != report.conversation_id]:
        label = "Also changed" if report.conversation_id else "Sessions"
        yield f"    {label}: {_some_of(others)}"
    if report.total:
        yield f"    Messages: {_counts(report)}"
    if report.reason:
        yield f"    Why: {printable(report.reason)}"
    if report.kept_as:
        label = "Kept in" if report.fate is Fate.DEAD_LETTER else "Archived as"
        yield f"    {label}: {printable(report.kept_as)}"
    if report.session_file:
        yield f"    Session file: {printable(report.session_file)}"
    odd = [a for a in report.anomalies if a.kind != "new_conversation"]
    odd.sort(key=lambda a: a.severity is Severity.INFO)
    for anomaly in odd[:_MOST_ANOMALIES]:
        sign = "ℹ" if anomaly.severity is Severity.INFO else "⚠"
        yield f"    {sign} {printable(anomaly.message)}"
    if len(odd) > _MOST_ANOMALIES:
        yield f"    … and {len(odd) - _MOST_ANOMALIES:,} more like these: exportd alerts list"
    yield ""


def _some_of(names: Sequence[str]) -> str:
    """A file with a whole account in it may change thousands."""
    more = len(names) - _MOST_NAMES
    shown = ", ".join(map(printable, names[:_MOST_NAMES]))
    return f"{shown} and {more:,} more" if more > 0 else shown


def _counts(report: Report) -> str:
    parts = [
        f"{report.total:,} in the file",
        f"{report.new:,} new",
        some(report.duplicates, "duplicate"),
    ]
    if report.rerendered:
        parts.append(f"{report.rerendered:,} of them rendered anew")
    if report.completed:
        parts.append(f"{report.completed:,} of them completed")
    return ", ".join(parts)


def _results(reports: Sequence[Report], total_in_storage: int | None) -> list[str]:
    total, new = sum(r.total for r in reports), sum(r.new for r in reports)
    stored = "unknown" if total_in_storage is None else f"{total_in_storage:,}"
    share = f"{100 * (total - new) / total:.1f} %" if total else "no messages"
    return [
        _LOCKS,
        "📊 BACKUP & DEDUPLICATION RESULTS",
        _LOCKS,
        "",
        f"🆕 NEW UNIQUE MESSAGES ADDED & BACKED UP: {new:,}",
        f"🔄 Duplicate Messages Filtered: {total - new:,}",
        f"📨 Total Messages Processed: {total:,}",
        f"💾 Total Unique Messages in Storage: {stored}",
        f"   Dedup rate of this batch: {share}",
        _LOCKS,
    ]


def _summary(reports: Sequence[Report]) -> Iterator[str]:
    counts = {fate: sum(report.fate is fate for report in reports) for fate in Fate}
    told = ", ".join(f"{count} {fate.value}" for fate, count in counts.items() if count)
    dead, waiting = counts[Fate.DEAD_LETTER], counts[Fate.DEFERRED]
    files = some(len(reports), "file")
    if dead:
        yield f"Status: ❌ FAILED ({dead} of {files} could not be ingested)"
    elif waiting:
        are = "is" if waiting == 1 else "are"
        yield f"Status: ⏳ WAITING ({waiting} of {files} {are} taken up later)"
    elif partly := sum(any(a.kind in _PARTS_LOST for a in r.anomalies) for r in reports):
        yield f"Status: ⚠ PARTLY (a part of {partly} of {files} could not be ingested)"
    else:
        yield "Status: ✅ SUCCESS"
    for report in reports:
        if report.fate in (Fate.DEAD_LETTER, Fate.DEFERRED):
            yield f"  {report.fate.value}: {printable(report.name)}: {printable(report.reason)}"
    if warnings := sum(a.severity is not Severity.INFO for r in reports for a in r.anomalies):
        yield f"Warnings: {warnings}, marked ⚠ above"
    yield f"Files: {told or 'none'}"
