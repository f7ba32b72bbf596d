"""The status log, read back: its reports, and what each says of every file. Pure.

``render.status`` writes them. What a file or a conversation is called stands there on one
line with its control characters escaped, so that no name can pass for a line of a report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from .listed import plain
from .models import Fate

_RULE = "=" * 80
TITLE = "EXPORT-DEDUP EXECUTION REPORT"
STATUSES = {"SUCCESS": "success", "FAILED": "failed", "WAITING": "waiting", "PARTLY": "partly"}

_MOMENT = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d) UTC"
_STARTED = re.compile(rf"Started: {_MOMENT}")
_COMPLETED = re.compile(rf"Completed: {_MOMENT}")
_STATUS = re.compile(r"Status: \S+ ([A-Z]+)")
_FILE = re.compile(rf"[✓✗…] ({'|'.join(Fate)}): (.*?)(?: \(([\d,.]+ (?:bytes?|KB|MB|GB))\))?$")
_FACT = re.compile(
    r"    (Session|Sessions|Also changed|Messages|Why|Archived as|Kept in): (.*)$"
)
_COUNTS = re.compile(r"([\d,]+) in the file, ([\d,]+) new, ([\d,]+) duplicates?")
_TOLD = re.compile(r"    ([⚠ℹ]) (.*)$")  # the signs of render.status


@dataclass(frozen=True, slots=True)
class ReportedFile:
    """What a report says of one file; ``sessions`` are its own, then what also changed."""

    name: str
    fate: str
    size: str | None = None
    sessions: tuple[str, ...] = ()
    messages: int | None = None
    new: int | None = None
    duplicates: int | None = None
    reason: str | None = None
    kept_as: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoggedReport:
    """One report: its text as it stands there, and what can be looked for.

    ``status`` is success, failed, waiting or partly; None where the report was cut off.
    """

    text: str
    started: datetime | None
    completed: datetime | None
    status: str | None
    files: tuple[ReportedFile, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: without the text, moments as ISO 8601."""
        return {
            "started": self.started.isoformat() if self.started else None,
            "completed": self.completed.isoformat() if self.completed else None,
            "status": self.status,
            "files": [plain(file) for file in self.files],
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; None is anything. ``name`` may be a pattern with * and ?."""

    status: str | None = None
    session: str | None = None
    name: str | None = None
    since: datetime | None = None

    def fits(self, report: LoggedReport) -> bool:
        return (
            self.status in (None, report.status)
            and (self.since is None or (report.started or self.since) >= self.since)
            and (self.session is None or any(self.session in f.sessions for f in report.files))
            and (self.name is None or any(self._is_named(f.name) for f in report.files))
        )

    def _is_named(self, name: str) -> bool:
        return name == self.name or fnmatchcase(name, self.name or "")


def reports(lines: Iterable[str]) -> Iterator[LoggedReport]:
    """The reports of a status log, from its lines; what stands before the first is left out."""
    held: list[str] = []
    is_report = False
    for raw in lines:
        line = raw.rstrip("\n")
        if line == TITLE and held and held[-1] == _RULE:
            if is_report:
                yield _report(held[:-1])
            held, is_report = [_RULE], True
        held.append(line)
        if not is_report:
            held = held[-1:]
    if is_report:
        yield _report(held)


def _report(lines: list[str]) -> LoggedReport:
    status = next(
        (STATUSES.get(found[1]) for found in map(_STATUS.match, lines) if found), None
    )
    return LoggedReport(
        "\n".join(lines).rstrip("\n") + "\n",
        _moment(_STARTED, lines),
        _moment(_COMPLETED, lines),
        status,
        tuple(_files(lines)),
    )


def _moment(pattern: re.Pattern[str], lines: list[str]) -> datetime | None:
    found = next(filter(None, map(pattern.match, lines)), None)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None  # a line that someone changed


def _files(lines: list[str]) -> Iterator[ReportedFile]:
    entry: list[str] = []
    for line in [*lines, ""]:
        if entry and not line.startswith("    "):
            yield _file(entry)
            entry = []
        if entry or _FILE.match(line):
            entry.append(line)


def _file(entry: list[str]) -> ReportedFile:
    head = _FILE.match(entry[0])
    assert head is not None  # noqa: S101  # by its caller
    facts = {found[1]: found[2] for found in map(_FACT.match, entry) if found}
    told = [found for found in map(_TOLD.match, entry) if found]
    counts = _COUNTS.match(facts.get("Messages", ""))
    total, new, duplicates = (
        [int(count.replace(",", "")) for count in counts.groups()] if counts else [None] * 3
    )
    return ReportedFile(
        head[2],
        head[1],
        head[3],
        tuple(_sessions(facts)),
        total,
        new,
        duplicates,
        facts.get("Why"),
        facts.get("Archived as") or facts.get("Kept in"),
        tuple(found[2] for found in told if found[1] == "⚠"),
    )


def _sessions(facts: dict[str, str]) -> Iterator[str]:
    """Its own first; of many others, the report names a few."""
    if "Session" in facts:
        yield facts["Session"]
    for label in ("Also changed", "Sessions"):
        names = re.sub(r" and [\d,]+ more$", "", facts.get(label, ""))
        yield from (name for name in names.split(", ") if name)
