"""What became of the files of one command, as a table; of many files by session. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..formats.text import printable
from ..models import Fate, Report, Severity
from .wording import some

_MOST_ROWS = 40  # of files; more are told by session
_MOST_NOTES = 20
_MOST_NAMES = 5
_MOST_CELLS = 40  # of a session's id
_ADDED = ("total", "new")


@dataclass(slots=True)
class _Session:
    files: int = 0
    total: int = 0
    new: int = 0


def batch(reports: Sequence[Report], *, is_rehearsal: bool = False) -> str:
    """A row for each file, what needs a look, and the sum."""
    rows = list(_files(reports) if len(reports) <= _MOST_ROWS else _sessions(reports))
    lines = [*_table(rows), "", *_notes(reports), *_sum(reports)]
    if is_rehearsal:
        lines.append("Nothing was stored, and no file was moved (--dry-run).")
    return "\n".join(lines) + "\n"


def _files(reports: Sequence[Report]) -> Iterator[tuple[str, ...]]:
    yield "Fate", "New", "Messages", "Session", "File"
    for report in reports:
        counted = (f"{report.new:,}", f"{report.total:,}") if report.total else ("", "")
        yield report.fate.value, *counted, _session(report), printable(report.name)


def _session(report: Report) -> str:
    if report.conversation_id:
        return _short(printable(report.conversation_id))
    return some(len(report.also_changed), "session") if report.also_changed else ""


def _sessions(reports: Sequence[Report]) -> Iterator[tuple[str, ...]]:
    """The ones with most news first."""
    yield "Files", "New", "Messages", "Session"
    found: dict[str, _Session] = {}
    for report in reports:
        into = found.setdefault(_session(report) or f"({report.fate.value})", _Session())
        into.files += 1
        into.total += report.total
        into.new += report.new
    ranked = sorted(found.items(), key=lambda item: (-item[1].new, -item[1].total, item[0]))
    for name, of in ranked[:_MOST_ROWS]:
        yield f"{of.files:,}", f"{of.new:,}", f"{of.total:,}", name
    if len(ranked) > _MOST_ROWS:
        yield "", "", "", f"and {some(len(ranked) - _MOST_ROWS, 'more session')}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Numbers to the right; the last column is as wide as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = {"Files", "New", "Messages"}
    for row in rows:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(row, widths, rows[0], strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _notes(reports: Sequence[Report]) -> Iterator[str]:
    """What was said of several files is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        for note in _notes_of(report):
            found.setdefault(note, []).append(printable(report.name))
    for (sign, what), names in list(found.items())[:_MOST_NOTES]:
        yield f"{sign} {_named(names)}: {what}"
    if len(found) > _MOST_NOTES:
        yield f"… and {len(found) - _MOST_NOTES:,} more"
    if found:
        yield ""


def _notes_of(report: Report) -> Iterator[tuple[str, str]]:
    if report.fate in (Fate.DEAD_LETTER, Fate.DEFERRED):
        yield "✗" if report.fate is Fate.DEAD_LETTER else "…", printable(report.reason)
    for anomaly in report.anomalies:
        if anomaly.severity is not Severity.INFO:
            yield "⚠", printable(anomaly.message)


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {more:,} more" if more > 0 else shown


def _sum(reports: Sequence[Report]) -> Iterator[str]:
    counts = {fate: sum(report.fate is fate for report in reports) for fate in Fate}
    fates = ", ".join(f"{count:,} {fate.value}" for fate, count in counts.items() if count)
    yield f"{some(len(reports), 'file')}: {fates}."
    total, new = (sum(getattr(report, name) for report in reports) for name in _ADDED)
    if total:
        yield f"{some(total, 'message')}: {new:,} new, {total - new:,} known."


def _short(name: str) -> str:
    return name if len(name) <= _MOST_CELLS else f"{name[: _MOST_CELLS - 1]}…"
