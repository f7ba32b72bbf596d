"""From where stored exports can be gone on: written with them, read when they have grown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid5

from psycopg2.extras import Json

from ..growth import Point, first_change
from ..models import Before, Transcript
from .rows import Decision, Drop, Part
from .transaction import Transaction


def read_point(tx: Transaction, sha256: str) -> Point | None:
    """The point behind the bytes of this SHA-256; None without one."""
    for segment_id, head_hash, facts, *place in tx.rows("resume_point", sha256=sha256):
        head, size_bytes, offset, messages, format_name, parser_version = place
        counts = (facts[name] for name in ("anchors", "chars", "escaped"))
        known = Transcript(
            format_name,
            parser_version,
            (),
            (),
            starts_compacted=facts["starts_compacted"],
            lineage=tuple(facts["lineage"]),
            flags=tuple(facts["flags"]),
            header=facts["header"],
            before=Before(messages, *counts),
        )
        return Point(head, size_bytes, sha256, offset, head_hash, known, segment_id)
    return None


def keep_point(tx: Transaction, decision: Decision, segment_id: int) -> None:
    """Write where the export can be gone on from; points that a change comes before go."""
    placement = decision.placement
    if placement.segment:
        first = first_change(placement.plan, placement.before)
        if first < placement.segment.message_count:
            tx.execute("forget_resume_points", segment_id=segment_id, first=first)
    keep_points(tx, [(decision, segment_id)])


def keep_points(tx: Transaction, placed: Sequence[tuple[Decision, int]]) -> None:
    """Write from where exports can be gone on, each with the id of its segment."""
    tx.insert(
        "set_resume_point",
        [_row(one.export_id, n, one.point) for one, n in placed if one.point],
    )


def _row(export_id: int, segment_id: int, point: Point) -> dict[str, Any]:
    known = point.known
    return {
        "export_id": export_id,
        "segment_id": segment_id,
        "head": point.head,
        "size_bytes": point.size_bytes,
        "sha256": point.sha256,
        "offset_bytes": point.offset,
        "messages": known.before.messages,
        "facts": Json(
            {
                "anchors": known.before.anchors,
                "chars": known.before.chars,
                "escaped": known.before.escaped,
                "starts_compacted": known.starts_compacted,
                "lineage": list(known.lineage),
                "flags": list(known.flags),
                "header": dict(known.header),
            }
        ),
    }


def parts(tx: Transaction, export_id: int) -> list[Part]:
    """The parts of a file, in their order."""
    return [Part(*row) for row in tx.rows("parts", export_id=export_id)]


def known_parts(tx: Transaction, sha256: str) -> list[Part]:
    """The parts of the file that has these bytes before its last part; that one, too."""
    for (export_id,) in tx.rows("file_in_parts", sha256=sha256):
        return parts(tx, export_id)
    return []


def take_parts(tx: Transaction, parent: Drop, export_id: int, known: list[Part]) -> None:
    """Write that parts came again, in a file that has more."""
    tx.execute(
        "take_parts",
        claim_ids=[uuid5(parent.claim_id, part.locator) for part in known],
        export_ids=[part.export_id for part in known],
        locators=[part.locator for part in known],
        name=parent.name,
        memory_dir=parent.memory_dir,
        parent_export_id=export_id,
    )
