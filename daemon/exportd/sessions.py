"""What people know better: conversations renamed, merged and split, and that undone.

An override is a row that stays. A rename or merge sends everything that belongs to one
conversation to another, later arrivals included; a split assigns the exports of some
segments. Nothing is rewritten: segments are laid out where they belong now.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from .errors import RefusedRequest, UnknownConversation
from .identity import safe_id
from .listed import Override
from .manifest import Manifest
from .placement import SegmentFact
from .residence import follow, rehome
from .store import Store, Transaction

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """What came of a decision: its number, and every conversation that changed by it."""

    override: Override
    changed: frozenset[str]


def rename(tx: Transaction, old: str, new: str, made_by: str) -> Change:
    """Give a conversation another id; what arrives for the old one follows."""
    into_id = safe_id(new)
    tx.lock([old, into_id])
    _require(tx, old)
    if tx.segments_of([into_id]):
        raise RefusedRequest(
            f"there is a conversation {into_id} already; to make them one: exportd sessions "
            f"merge {old} --into {into_id}"
        )
    return _redirect(tx, "rename", old, into_id, made_by)


def merge(tx: Transaction, source: str, into_id: str, made_by: str) -> Change:
    """Make one conversation part of another; what arrives for it follows."""
    tx.lock([source, into_id])
    for conversation_id in (source, into_id):
        _require(tx, conversation_id)
    return _redirect(tx, "merge", source, into_id, made_by)


def split(
    tx: Transaction, source: str, ordinals: Sequence[int], into: str, made_by: str
) -> Change:
    """Move segments, by their numbers from 1, to a conversation of their own or another."""
    into_id = safe_id(into)
    tx.lock([source, into_id])
    segments = _require(tx, source)
    wrong = [n for n in ordinals if not 1 <= n <= len(segments)]
    if wrong:
        raise RefusedRequest(
            f"{source} has no segment {wrong[0]}; it has {len(segments)}, numbered from 1 "
            "as in its session file"
        )
    if len(set(ordinals)) == len(segments):
        raise RefusedRequest(
            f"these are all segments of {source}; to move all of it: exportd sessions rename"
        )
    _refuse_itself(source, into_id)
    chosen = [segments[n - 1].segment_id for n in sorted(set(ordinals))]
    exports = dict(tx.rows("exports_of_segments", segment_ids=chosen))
    override = _add(tx, "split", source, into_id, made_by, exports)
    return _carried_out(tx, override)


def undo(tx: Transaction, override_id: int) -> Change:
    """Take a decision back; everything belongs where it did without it."""
    override = _load(tx, override_id)
    if override.undone_at is not None:
        raise RefusedRequest(
            f"decision {override_id} was undone at {override.undone_at:%Y-%m-%d %H:%M} UTC"
        )
    later = tx.rows("later_splits", override_id=override_id, sha256s=list(override.exports))
    if later:
        raise RefusedRequest(
            f"decision {later[0][0]} moved the same segments later; undo that one first"
        )
    return _taken_back(tx, override)


def history(tx: Transaction) -> list[Override]:
    """All decisions, the oldest first."""
    return [_override(row) for row in tx.rows("overrides")]


def replay(tx: Transaction, record: Mapping[str, Any]) -> None:
    """Carry out a decision that was written down, in a store that is built anew."""
    facts = {name: record[name] for name in _RECORD}
    tx.execute("replay_override", **{**facts, "exports": tx.json(record["exports"])})
    if record["undone_at"] is not None:
        return
    if record["operation"] == "split":
        sha256s = list(record["exports"])
        tx.execute("assign_exports", sha256s=sha256s, explicit_id=record["into_id"])
        rehome(tx, tx.segments_of_contents(sha256s))
    else:
        _settled(tx, record["from_id"])


_RECORD = ("uuid", "operation", "from_id", "into_id", "made_by", "created_at", "undone_at")


def _redirect(
    tx: Transaction, operation: str, source: str, into_id: str, made_by: str
) -> Change:
    _refuse_itself(source, into_id)
    if into_id in tx.redirects():  # so no circle can ever arise
        found = next(
            o
            for o in history(tx)
            if o.from_id == into_id and o.operation != "split" and o.undone_at is None
        )
        raise RefusedRequest(
            f"{into_id} was made {found.into_id} by decision {found.override_id}; undo that "
            f"first: exportd sessions undo {found.override_id}"
        )
    return _carried_out(tx, _add(tx, operation, source, into_id, made_by, {}))


def _refuse_itself(source: str, into_id: str) -> None:
    if source == into_id:
        raise RefusedRequest(f"{source} is that conversation already")


def _require(tx: Transaction, conversation_id: str) -> list[SegmentFact]:
    segments = tx.segments_of([conversation_id])
    if not segments:
        raise UnknownConversation(f"there is no conversation {conversation_id}")
    return segments


def _add(
    tx: Transaction,
    operation: str,
    from_id: str,
    into_id: str,
    made_by: str,
    exports: Mapping[str, str | None],
) -> Override:
    return _override(
        tx.rows(
            "add_override",
            uuid=uuid.uuid4(),
            operation=operation,
            from_id=from_id,
            into_id=into_id,
            exports=tx.json(exports),
            made_by=made_by,
        )[0]
    )


def _carried_out(tx: Transaction, override: Override) -> Change:
    tx.execute("assign_exports", sha256s=list(override.exports), explicit_id=override.into_id)
    return Change(override, frozenset(_settled(tx, override.from_id)))


def _taken_back(tx: Transaction, override: Override) -> Change:
    tx.execute("undo_override", override_id=override.override_id)
    for sha256, before in override.exports.items():
        tx.execute("assign_exports", sha256s=[sha256], explicit_id=before)
    redirects = tx.redirects()
    home = override.into_id
    while home in redirects:
        home = redirects[home]
    return Change(_load(tx, override.override_id), frozenset(_settled(tx, home)))


def _settled(tx: Transaction, conversation_id: str) -> set[str]:
    """Everything in a conversation goes where it belongs now, and what mentions it, too."""
    tx.lock([conversation_id])
    segments = tx.segments_of([conversation_id])
    names = {name for s in segments for export in s.exports for name in export.names}
    changed = rehome(tx, segments) | follow(tx, names)
    tx.execute("mark_untold", conversation_ids=sorted(changed))  # told after the commit
    return changed


def _load(tx: Transaction, override_id: int) -> Override:
    found = [o for o in history(tx) if o.override_id == override_id]
    if not found:
        raise RefusedRequest(
            f"there is no decision {override_id}; 'exportd sessions history' lists them"
        )
    return found[0]


def _override(row: tuple[Any, ...]) -> Override:
    override_id, its_uuid, operation, from_id, into_id, exports, *rest = row
    return Override(override_id, its_uuid, operation, from_id, into_id, exports or {}, *rest)


def write_down(store: Store, manifest: Manifest) -> None:
    """Put decisions that the archive's manifest does not have yet into it."""
    for row in store.run(lambda tx: tx.rows("unwritten_overrides")):
        override = _override(row)
        manifest.append(
            {
                "type": "override",
                "uuid": str(override.uuid),
                "operation": override.operation,
                "from_id": override.from_id,
                "into_id": override.into_id,
                "exports": dict(override.exports),
                "made_by": override.made_by,
                "created_at": override.created_at.isoformat(),
            }
        )
        if override.undone_at is not None:
            undone_at = override.undone_at.isoformat()
            manifest.append(
                {"type": "undo", "uuid": str(override.uuid), "undone_at": undone_at}
            )
        store.run(
            lambda tx, found=override: tx.execute(  # type: ignore[misc]
                "mark_override_written", override_id=found.override_id
            )
        )


def decisions(stored: Store, listed: Manifest) -> list[dict[str, Any]]:
    """Every decision that is stored or written down, in the order of their making."""
    found: dict[str, dict[str, Any]] = {}
    for record in listed.records():
        if record.get("type") == "override":
            found.setdefault(record["uuid"], {**record, "undone_at": None})
        elif record.get("type") == "undo" and record["uuid"] in found:
            found[record["uuid"]]["undone_at"] = record["undone_at"]
    for row in stored.run(lambda tx: tx.rows("override_records")):
        found[str(row[0])] = dict(zip(_COLUMNS, row, strict=True))
    return _agreeing(sorted(found.values(), key=lambda record: record["created_at"]))


def _agreeing(overrides: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a line of the manifest is lost, two decisions may contradict each other.

    The later one could be made only after the earlier one was undone (``sessions``), so
    that it was; without that, renames could go round in a circle.
    """
    inforce: dict[str, dict[str, Any]] = {}
    for record in overrides:
        if record["operation"] == "split" or record["undone_at"] is not None:
            continue
        for conversation_id in (record["from_id"], record["into_id"]):
            if earlier := inforce.pop(conversation_id, None):
                earlier["undone_at"] = record["created_at"]
                log.warning("manifest.undo_missing", uuid=str(earlier["uuid"]))
        inforce[record["from_id"]] = record
    return overrides


_COLUMNS = (
    "uuid",
    "operation",
    "from_id",
    "into_id",
    "exports",
    "made_by",
    "created_at",
    "undone_at",
)
