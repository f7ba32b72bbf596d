"""A folder of exports as exportd stored it: the files, and the canonical dump."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exportd import formats
from exportd.alignment import align
from exportd.fingerprint import places
from exportd.models import Kind, Place, Role, Transcript


@dataclass(frozen=True, slots=True)
class Export:
    """A distinct content; ``number`` counts from 1 in the order of the paths."""

    number: int
    path: Path
    size_bytes: int
    drops: int
    transcript: Transcript

    @property
    def text_bytes(self) -> int:
        return sum(len(message.text.encode()) for message in self.transcript.messages)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment: its messages as the dump has them, its exports, shorter first."""

    conversation_id: str
    ordinal: int
    starts_compacted: bool
    exports: tuple[Export, ...]
    messages: tuple[dict[str, Any], ...]

    @property
    def seen(self) -> int:
        return sum(len(export.transcript.messages) for export in self.exports)


def read_stored(files: Sequence[Path], dump: str) -> list[Segment]:
    """The segments of a canonical dump; ``files`` are all that were dropped."""
    exports = _exports(files, dump)
    segments: list[Segment] = []
    messages: dict[tuple[str, int], list[dict[str, Any]]] = {}
    records = [json.loads(line) for line in dump.splitlines()]
    for record in records:
        if record["type"] == "message":
            where = record["conversation_id"], record["segment"]
            messages.setdefault(where, []).append(record)
    for record in records:
        for segment in record.get("segments", ()):
            where = record["conversation_id"], segment["ordinal"]
            segments.append(
                Segment(
                    *where,
                    segment["starts_compacted"],
                    tuple(exports[export["sha256"]] for export in segment["exports"]),
                    tuple(messages.get(where, ())),
                )
            )
    return segments


def _exports(files: Sequence[Path], dump: str) -> dict[str, Export]:
    """Every content that the dump knows, parsed again, by its SHA-256."""
    raws: dict[str, tuple[Path, bytes]] = {}
    drops: Counter[str] = Counter()
    for path in files:
        raw = path.read_bytes()
        sha256 = hashlib.sha256(raw).hexdigest()
        raws.setdefault(sha256, (path, raw))
        drops[sha256] += 1
    known = [(sha256, *found) for sha256, found in raws.items() if sha256 in dump]
    return {
        sha256: Export(n, path, len(raw), drops[sha256], formats.parse(raw, path.name))
        for n, (sha256, path, raw) in enumerate(known, 1)
    }


def placed(segment: Segment, export: Export) -> list[int | None]:
    """For each message of an export its place in the segment, None where none is found."""
    plan = align([_place(m) for m in segment.messages], places(export.transcript.messages))
    return [step.known for step in plan.steps]


def hashes(message: dict[str, Any]) -> frozenset[str]:
    """The fingerprints of a stored message, those of its other renderings included."""
    return frozenset(
        {message["content_hash"], *(r["content_hash"] for r in message["renderings"])}
    )


def _place(message: dict[str, Any]) -> Place:
    return Place(
        role=Role(message["role"]),
        kind=Kind(message["kind"]),
        tool=message["metadata"].get("tool"),
        hashes=hashes(message),
        text=message["content"],
        source_index=message["source_index"],
        in_flight=message["in_flight"],
    )
