"""An import of the earlier state, both sides compared: what its report says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from . import earlier_state
from .earlier_state import Claims, Part
from .formats.text import escape, printable
from .models import Fate, Report
from .render.wording import some
from .store import Shown

# How far it is: what is being done, how much of it, of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Side:
    """One conversation, both sides: what the earlier state has, and what is stored.

    ``notes`` are differences within the earlier state, in words; ``arrived`` says whether
    every line of it is stored.
    """

    earlier_id: str
    conversation_id: str
    lines: int
    stored: int
    new: int
    highest_index: int | None
    watermark: int | None
    hashes: int | None
    arrived: bool
    reason: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What became of an import; ``dead_letter`` is the file that holds corrupt lines."""

    backup: str
    backup_is_new: bool
    lines: int
    blank_lines: int
    corrupt_lines: int
    dead_letter: str
    sides: tuple[Side, ...]
    warnings: tuple[str, ...]
    waiting: tuple[str, ...]

    @property
    def code(self) -> int:
        """0 when every line is stored or a dead letter; 75 when something waits; else 65."""
        if self.waiting:
            return os.EX_TEMPFAIL
        return os.EX_OK if all(side.arrived for side in self.sides) else os.EX_DATAERR


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback removed: messages by conversation; ``refused`` says why not."""

    removed: dict[str, int]
    exports: int
    refused: tuple[str, ...]

    @property
    def code(self) -> int:
        return os.EX_DATAERR if self.refused else os.EX_OK


def waiting(parts: Iterable[Part], reports: list[Report]) -> Iterator[str]:
    """Conversations that wait, each with why."""
    fates = {report.name: report for report in reports}
    for part in parts:
        report = fates.get(escape(part.name))
        if report is None or report.fate is Fate.DEFERRED:
            why = report.reason if report else "exportd was stopped before its turn came"
            yield f"{printable(part.conversation_id)}: {printable(why)}"


def sides(
    parts: Iterable[Part], reports: list[Report], claims: Claims, stored: Mapping[str, Shown]
) -> Iterator[Side]:
    """Each conversation of the log against what is stored of it, by SHA-256."""
    by_name: dict[str, list[Report]] = {}
    for report in reports:
        by_name.setdefault(report.name, []).append(report)
    for part in parts:
        told = by_name.get(escape(part.name), [])
        yield _side(part, told, stored.get(part.sha256), claims)


def _side(part: Part, told: list[Report], shown: Shown | None, claims: Claims) -> Side:
    messages = min(shown.messages, shown.stored) if shown else 0
    return Side(
        earlier_id=part.conversation_id,
        conversation_id=shown.conversation_id if shown else "",
        lines=part.lines,
        stored=messages,
        new=sum(report.new for report in told),
        highest_index=part.highest_index,
        watermark=claims.watermarks.get(part.conversation_id),
        hashes=claims.hashes.get(part.conversation_id),
        arrived=messages == part.lines,
        reason="; ".join(report.reason for report in told if report.reason),
        notes=tuple(_differences(part, claims)),
    )


def _differences(part: Part, claims: Claims) -> Iterator[str]:
    """Where the earlier state disagrees with itself; its log is what counts."""
    watermark = claims.watermarks.get(part.conversation_id)
    hashes = claims.hashes.get(part.conversation_id)
    if watermark is not None and (watermark, watermark + 1) != (part.highest_index, part.lines):
        upto = f" (up to index {part.highest_index})" if part.highest_index is not None else ""
        yield f"{_claim(watermark)}, its log holds {part.lines}{upto}"
    if watermark is None and claims.watermarks:
        yield f"{earlier_state.WATERMARKS} does not know it"
    if hashes is not None and hashes != part.lines:
        lines = some(part.lines, "line")
        yield f"{earlier_state.HASHES} has {_hashes(hashes)} for {lines}"
    if hashes is None and claims.hashes:
        yield f"{earlier_state.HASHES} does not know it"


def _claim(watermark: int) -> str:
    messages = some(watermark + 1, "message")
    return f"the earlier state claims {messages} (watermark {watermark})"


def _hashes(count: int) -> str:
    return f"{count:,} {'hash' if count == 1 else 'hashes'}"


def missing(parts: Iterable[Part], claims: Claims) -> Iterator[str]:
    """Conversations that the earlier state counts, and its log does not have."""
    known = {part.conversation_id for part in parts}
    for name, watermark in claims.watermarks.items():
        if name not in known and watermark >= 0:
            yield f"{printable(name)}: {_claim(watermark)}, its log holds none"
            known.add(name)
    for name, hashes in claims.hashes.items():
        if name not in known and hashes:
            has = f"{earlier_state.HASHES} has {_hashes(hashes)}"
            yield f"{printable(name)}: {has}, its log holds no message"
