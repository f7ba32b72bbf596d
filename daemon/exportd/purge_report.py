"""What a purge means for the files of this memory folder: looked up, nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .folders import Folders, is_plain
from .formats.text import escape, unescape
from .purge import Parts, Purged
from .purge_plan import Content, Plan, is_talk_left
from .render.purge import File, Told
from .store import Rewritten


def tell(parts: Parts, found: Plan) -> Told:
    """The plan with its files, and with what else may hold something of it."""
    folders = parts.folders
    others = () if parts.alone else (d for d in found.memory_dirs if d != parts.memory_dir)
    return Told(
        found,
        (*_files(parts, found), *_sessions(folders, found)),
        tuple(others),
        tuple(_look_at(folders, found)),
    )


def outcome(told: Told, done: Purged, folders: Folders) -> Told:
    """What was told before, with what files that were written anew are called now."""
    anew = {one.export_id: _becomes(one, folders) for one in done.rewritten}
    files = [
        replace(file, becomes=anew[file.export_id]) if file.export_id in anew else file
        for file in told.files
    ]
    return replace(told, files=tuple(files), uuid=str(done.uuid))


def _becomes(one: Rewritten, folders: Folders) -> str | None:
    if one.failed_name:
        return f"{folders.failed.name}/{one.failed_name}"
    return f"{folders.archive.name}/{one.archive_name}" if one.archive_name else None


def _files(parts: Parts, found: Plan) -> Iterator[File]:
    rewritten = {holder.sha256: holder for holder in found.rewritten}
    sizes = {content.sha256: content.size_bytes for content in (*found.gone, *found.rewritten)}
    for path, sha256 in parts.archive.copies(sizes):
        holder = rewritten.get(sha256)
        fate = "removed"
        if holder:
            fate = "written_anew" if is_talk_left(found, holder) else "set_aside"
        yield File(
            escape(parts.folders.relative(path)),
            path.lstat().st_size,
            fate,
            _kept(found, holder) if holder else 0,
            export_id=holder.export_id if holder else None,
        )


def _kept(found: Plan, holder: Content) -> int:
    """How many exports stay in a file, those deeper inside of it, too."""
    by_id = {content.export_id: content for content in found.rewritten}
    stay = {one.export_id for one in found.inside_of(holder)} - set(found.gone_ids)
    return sum(_kept(found, by_id[n]) if n in by_id else 1 for n in stay)


def _sessions(folders: Folders, found: Plan) -> Iterator[File]:
    for conversation_id in found.ids:
        name = f"{conversation_id}.md"
        path = folders.sessions / name
        if is_plain(name) and path.is_file():
            yield File(folders.relative(path), path.lstat().st_size, "removed")


def _look_at(folders: Folders, found: Plan) -> Iterator[str]:
    """Dead letters that were called as its files, what waits, and copies of everything."""
    for name in dict.fromkeys(found.namesakes):
        if is_plain(unescape(name)) and (folders.failed / unescape(name)).exists():
            yield f"{folders.failed.name}/{name}"
    for folder in (folders.exports, folders.backups, folders.memory / "checkpoints"):
        if _has_files(folder):
            yield f"{folder.name}/"


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(not p.name.startswith(".") for p in folder.iterdir())
