"""Take a conversation out for good, because a person asked for it (privacy).

The order of effects: files that hold something else as well are written anew in the archive;
one transaction removes everything from the database and notes what is left to do; then
the archive's list forgets what went, the files go, and names are struck from the status log.
Killed before the commit nothing has happened, killed after it the next start goes on.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from .archive import Archive
from .archived import as_raw
from .containers import Bounds
from .crash import reach
from .errors import RefusedRequest, TransientError
from .folders import Folders, fsync_directory, is_plain
from .formats.text import escape, printable, unescape
from .manifest import Manifest, drop_record
from .packed import packed_name
from .purge_plan import Content, Plan, is_talk_left
from .render.redaction import redacted
from .residence import follow
from .rewriting import Anew, Rewriting
from .statuslog import StatusLog
from .store import Rewritten, Store, Todo, Transaction, purging

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a purge works with; ``alone``: the database serves this memory folder only.

    ``vacuum`` lets the server clean up behind it.
    """

    folders: Folders
    store: Store
    archive: Archive
    manifest: Manifest
    status_log: StatusLog
    vacuum: Callable[[], None]
    alone: bool

    @property
    def memory_dir(self) -> str:
        return escape(str(self.folders.memory))


@dataclass(frozen=True, slots=True)
class Purged:
    """What was done: its id, what other conversations changed, and what was written anew."""

    uuid: uuid.UUID
    changed: frozenset[str]
    rewritten: tuple[Rewritten, ...]


def plan(parts: Parts, conversation_id: str) -> Plan:
    """What would go. ``RefusedRequest`` where it cannot without taking something else along."""
    shared = parts.store.run(lambda tx: purging.shared_exports(tx, conversation_id))
    if shared:
        name, other = shared[0]
        raise RefusedRequest(
            f"{printable(name)} is an export of {conversation_id} and of {other} as well; "
            f"make them one first: exportd sessions merge {other} --into {conversation_id}"
        )
    _refuse_in_flight(parts.folders)
    found = parts.store.run(lambda tx: purging.plan_purge(tx, conversation_id))
    for holder in found.rewritten:
        if holder.own_names:
            _place_of(parts, holder)
        elif not any(h.own_names for h in _above(found, holder)):
            raise RefusedRequest(f"nobody knows where {printable(holder.name)} lies")
    return found


def purge(
    parts: Parts, found: Plan, bounds: Bounds, made_by: str, reason: str | None
) -> Purged:
    """Carry a plan out. ``RefusedRequest`` when the conversation changed since it was made."""
    reach("purge.begin")
    parts.archive.check()
    its_uuid = uuid.uuid4()
    rewriting = Rewriting(
        parts.folders.archive,
        {content.sha256 for content in found.gone},
        {content.sha256 for content in found.rewritten},
        bounds,
    )
    try:
        rewritten = list(_written_anew(parts, found, rewriting))
        reach("purge.rewritten")
        work = partial(
            _remove, found=found, rewritten=rewritten, its_uuid=its_uuid, made_by=made_by,
            reason=reason,
        )  # fmt: skip
        changed = parts.store.run(work)
    finally:
        rewriting.clear()
    reach("purge.committed")
    log.info("purge.committed", uuid=str(its_uuid), **found.counts.as_dict())
    try:
        finish(parts)
    except TransientError as error:
        raise TransientError(
            "it is purged in the database; its files wait for the next start of exportd "
            f"({error})"
        ) from error
    return Purged(its_uuid, frozenset(changed), tuple(rewritten))


def finish(parts: Parts) -> int:
    """Do what committed purges left to do in this memory folder; how many there were."""
    memory_dir = None if parts.alone else parts.memory_dir
    left = parts.store.run(lambda tx: purging.unfinished(tx, memory_dir))
    for todo in left:
        _finish(parts, todo)
    return len(left)


def _refuse_in_flight(folders: Folders) -> None:
    for place in folders.inflight.glob("*/*"):
        raise RefusedRequest(
            f"{printable(escape(place.name))} is in flight, and may be of this conversation; "
            "run 'exportd run --once' first"
        )


def _above(found: Plan, holder: Content) -> Iterator[Content]:
    """The files that a file lies in, and the files that these lie in."""
    for one in found.rewritten:
        if any(inside.export_id == holder.export_id for inside in found.inside_of(one)):
            yield one
            yield from _above(found, one)


def _place_of(parts: Parts, holder: Content) -> Path:
    """Where a file that is to be written anew lies in this archive."""
    name = printable(holder.name)
    if not parts.alone and parts.memory_dir not in holder.memory_dirs:
        raise RefusedRequest(
            f"{name}, which also holds what is to stay, was dropped in another memory folder; "
            f"purge it there: --memory-dir {printable(holder.memory_dirs[0])}"
        )
    names = [holder.archive_name, *holder.own_names]
    for known in (unescape(one) for one in names if one):
        if found := parts.archive.find(known, holder.sha256):
            path = parts.folders.archive / found
            return path if path.exists() else path.with_name(packed_name(found) or found)
    raise RefusedRequest(
        f"{name}, which also holds what is to stay, is not in {parts.folders.archive} as it "
        "was ingested; 'exportd verify' says more. Restore it from a backup first"
    )


def _written_anew(parts: Parts, found: Plan, rewriting: Rewriting) -> Iterator[Rewritten]:
    for holder in found.rewritten:
        if holder.own_names:
            with as_raw(_place_of(parts, holder), parts.folders.state) as raw:
                rewriting.write(raw, holder.name, holder.sha256)
    for holder in found.rewritten:
        anew = rewriting.done.get(holder.sha256)
        if anew is None:
            raise RefusedRequest(
                f"{printable(holder.name)}, which also holds what is to stay, lies in a file "
                "of another memory folder; purge it there, with --memory-dir"
            )
        done = Rewritten(
            holder.export_id, anew.sha256, anew.size_bytes, _locators(found, holder, anew)
        )
        yield _placed(parts, holder, anew, done, is_talk=is_talk_left(found, holder))


def _placed(
    parts: Parts, holder: Content, anew: Anew, done: Rewritten, *, is_talk: bool
) -> Rewritten:
    """The new file in the archive, or among the dead letters; its own name in neither."""
    if not holder.own_names:
        return done
    facts = (done.export_id, done.sha256, done.size_bytes, done.locators)
    if not is_talk:
        name = parts.archive.keep_rest(
            anew.path, unescape(holder.own_names[0]), anew.sha256, datetime.now(UTC)
        )
        return Rewritten(*facts, failed_name=escape(name), claim_id=uuid.uuid4())
    moment = holder.modified_at.timestamp()
    os.utime(anew.path, (moment, moment))  # as without the list a rebuild would take it
    for name in holder.own_names:
        parts.manifest.append(
            drop_record(anew.sha256, name, holder.modified_at, holder.explicit_id)
        )
    archived = unescape(holder.archive_name or holder.own_names[0])
    return Rewritten(*facts, escape(parts.archive.put(anew.path, archived, anew.sha256)))


def _locators(found: Plan, holder: Content, anew: Anew) -> dict[int, str]:
    """The new place of each arrival that stays, by its drop.

    Behind the last stroke alone, for what stands before it is the place of the holder.
    """
    places: dict[str, list[str]] = {}
    for sha256, locator in anew.places:
        places.setdefault(sha256, []).append(locator)
    before: dict[str, list[str]] = {}
    moved = {}
    for one in found.inside_of(holder):
        above, stroke, last = one.locator.rpartition("/")
        known = before.setdefault(one.sha256, [])
        if last not in known:
            known.append(last)
        if len(known) <= len(places.get(one.sha256, ())):
            moved[one.drop_id] = above + stroke + places[one.sha256][known.index(last)]
    return moved


def _remove(
    tx: Transaction,
    found: Plan,
    rewritten: Sequence[Rewritten],
    its_uuid: uuid.UUID,
    made_by: str,
    reason: str | None,
) -> set[str]:
    """Everything in one transaction; the conversations that changed by it."""
    tx.lock([found.conversation_id])
    if purging.plan_purge(tx, found.conversation_id) != found:
        raise RefusedRequest(
            f"{found.conversation_id} changed meanwhile; nothing was removed, run it again"
        )
    purging.purge(tx, found, rewritten, its_uuid, made_by, reason)
    changed = follow(tx, {name for content in found.gone for name in content.names})
    tx.execute("mark_untold", conversation_ids=sorted(changed))
    reach("purge.written")
    return changed


def _finish(parts: Parts, todo: Todo) -> None:
    """Files, then names, then what the server keeps of them; each step bears a repetition."""
    where = {"purge_id": todo.purge_id, "memory_dir": todo.memory_dir}
    if todo.names is not None:
        _finish_files(parts, todo, todo.names)
        parts.store.run(lambda tx: tx.execute("forget_purged_names", **where))
    reach("purge.struck")
    parts.vacuum()
    parts.store.run(lambda tx: tx.execute("finish_purge", **where))
    reach("purge.done")
    log.info("purge.finished", uuid=str(todo.uuid))


def _finish_files(parts: Parts, todo: Todo, names: Mapping[str, Any]) -> None:
    contents = parts.store.run(lambda tx: purging.contents_of(tx, todo.purge_id))
    gone = {sha256: size for sha256, (size, is_back) in contents.items() if not is_back}
    _forget(parts.manifest, todo, names, gone)
    reach("purge.listed")
    parts.archive.erase(gone)
    reach("purge.erased")
    _remove_sessions(parts, names["ids"])
    parts.status_log.rewrite(lambda text: redacted(text, names["ids"], names["names"]))


def _forget(
    manifest: Manifest, todo: Todo, names: Mapping[str, Any], gone: Mapping[str, int]
) -> None:
    """The archive's list has the purge in the place of what went."""
    if any(r["type"] == "purge" and r["uuid"] == str(todo.uuid) for r in manifest.records()):
        return
    record = {
        "type": "purge",
        "uuid": str(todo.uuid),
        "digest": todo.digest,
        "reason": todo.reason,
        "made_by": todo.made_by,
        "made_at": todo.made_at.isoformat(),
        "counts": dict(todo.counts),
        "contents": dict(gone),
    }
    manifest.rewrite(partial(_line, names=names, gone=gone), record)


def _line(line: bytes, names: Mapping[str, Any], gone: Mapping[str, int]) -> bytes | None:
    """A line of the list, or what becomes of it; what is none of ours stays."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(record, dict):
        return line
    if record.get("type") == "drop" and record.get("sha256") in gone:
        return None
    if record.get("uuid") in names["overrides"]:
        return None
    if record.get("type") == "override" and record.get("uuid") in names["reworded"]:
        from_id, exports = names["reworded"][record["uuid"]]
        changed = {**record, "from_id": from_id, "exports": exports}
        return json.dumps(changed, ensure_ascii=False).encode()
    return line


def _remove_sessions(parts: Parts, ids: Sequence[str]) -> None:
    there = set(parts.store.conversation_ids())
    for conversation_id in ids:
        name = f"{conversation_id}.md"
        if conversation_id not in there and is_plain(name):
            (parts.folders.sessions / name).unlink(missing_ok=True)
    fsync_directory(parts.folders.sessions)
