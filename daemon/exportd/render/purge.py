"""What a purge takes away, for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..formats.text import printable
from ..purge_plan import Plan
from .wording import size, some

_ROWS = (
    ("renderings", "other rendering"), ("anomalies", "anomaly"), ("alerts", "alert"),
    ("dead_letters", "damaged record"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    """A file of the memory folder, from there on, and what becomes of it.

    ``fate``: removed; written_anew, what else is in it stays, as ``becomes``; set_aside, what
    else is in it is no conversation, and goes to the dead letters as ``becomes``.
    """

    path: str
    size_bytes: int
    fate: str
    kept_exports: int = 0
    becomes: str | None = None
    export_id: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A plan with what only the disk knows; ``uuid`` is None until it is carried out."""

    plan: Plan
    files: tuple[File, ...]
    other_folders: tuple[str, ...]
    look_at: tuple[str, ...]
    uuid: str | None = None


def as_json(told: Told) -> dict[str, Any]:
    """As docs/reference/schemas/purge.schema.json has it."""
    return {
        "conversation_id": told.plan.conversation_id,
        "purged": told.uuid is not None,
        "purge": told.uuid,
        "rows": told.plan.counts.as_dict(),
        "files": [
            {name: getattr(file, name) for name in File.__slots__ if name != "export_id"}
            for file in told.files
        ],
        "decisions": {
            "removed": list(told.plan.overrides), "renamed": list(told.plan.reworded),
        },
        "other_folders": list(told.other_folders),
        "look_at": list(told.look_at),
    }  # fmt: skip


def as_text(told: Told) -> Iterator[str]:
    """The plan in lines, for a person who is to decide."""
    plan, counts = told.plan, told.plan.counts
    yield (
        f"{plan.conversation_id}: {some(counts.messages, 'message')} in "
        f"{some(counts.segments, 'segment')}, from {some(counts.exports, 'export')}"
    )
    parts = [_some(count, what) for name, what in _ROWS if (count := getattr(counts, name))]
    if decisions := len(plan.overrides):
        parts.append(some(decisions, "decision"))
    if parts:
        yield f"  and with them {', '.join(parts)}"
    yield ""
    yield "Files:" if told.files else "No file of it is in this memory folder."
    width = max((len(printable(file.path)) for file in told.files), default=0)
    for file in told.files:
        yield (f"  {printable(file.path):<{width}}  {size(file.size_bytes):>10}  {_fate(file)}")
    if told.plan.reworded:
        numbers = ", ".join(map(str, told.plan.reworded))
        yield f"\nIts name is struck from what stays of it elsewhere: decision {numbers}."
    yield from _listed("Its files in other memory folders go at the next start there:",
                       told.other_folders)  # fmt: skip
    yield from _listed(
        "Not touched, and may have something of it. Look there yourself:",
        told.look_at,
    )


def _fate(file: File) -> str:
    becomes = f", as {printable(file.becomes)}" if file.becomes else ""
    if file.fate == "removed":
        return "removed"
    if file.fate == "set_aside":
        return f"no other conversation is in it; the rest is set aside{becomes}"
    return (
        f"written anew without it; {some(file.kept_exports, 'other export')} in it "
        f"{'stays' if file.kept_exports == 1 else 'stay'}{becomes}"
    )


def _some(count: int, what: str) -> str:
    if count != 1 and what.endswith("y"):
        return f"{count:,} {what[:-1]}ies"
    return some(count, what)


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}"
    for line in lines:
        yield f"  {printable(line)}"
