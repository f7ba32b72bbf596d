"""What ``exportd backup`` and ``exportd restore`` say, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.text import printable
from .wording import size, some

# So many names are told; --json tells all.
_SHOWN = 10


def made(facts: Mapping[str, Any]) -> str:
    """The backup that was made."""
    return "\n".join(_made(facts)) + "\n"


def _made(facts: Mapping[str, Any]) -> Iterator[str]:
    lacking = facts["missing"] or facts["damaged"]
    sign, words = ("✗", "Backup made, but not all is well") if lacking else ("✓", "Backup made")
    yield f"{sign} {words}: {printable(facts['backup'])}"
    yield (
        f"  database: {some(facts['messages'], 'message')} of "
        f"{some(facts['conversations'], 'conversation')} from "
        f"{some(facts['exports'], 'export')}, {size(facts['database_bytes'])}"
    )
    yield f"  files: {_files(facts['places'])}"
    how = ", read back from the disk" if facts["verified"] else ""
    yield (
        f"  {size(facts['size_bytes'])} in all, {size(facts['new_bytes'])} of it new{how}, in "
        f"{facts['duration_s']:.1f} s"
    )
    yield "  not in it: settings, secrets, and session files, which a restore writes anew"
    yield from _names("left out", facts["skipped"])
    yield from _names("removed", facts["removed"])
    yield from _names("✗ missing in the archive", facts["missing"])
    yield from _names("✗ other bytes in the archive than were ingested", facts["damaged"])
    if lacking:
        yield "  run exportd verify; an earlier backup may have what is lacking"


def _files(places: list[Mapping[str, Any]]) -> str:
    told = (f"{one['files']:,} in {one['place'] or 'the folder itself'}" for one in places)
    return ", ".join(map(printable, told)) or "none"


def _names(what: str, names: list[str]) -> Iterator[str]:
    for name in names[:_SHOWN]:
        yield f"  {what}: {printable(name)}"
    if len(names) > _SHOWN:
        yield f"  {what}: … and {len(names) - _SHOWN:,} more; --json lists all"


def checked(facts: Mapping[str, Any]) -> str:
    """Backups that were read back."""
    return "\n".join(_checked(facts)) + "\n"


def _checked(facts: Mapping[str, Any]) -> Iterator[str]:
    for one in facts["checked"]:
        if one["healthy"]:
            yield f"✓ {printable(one['backup'])}: every byte is as written"
            continue
        yield f"✗ {printable(one['backup'])}: {some(len(one['damaged']), 'damaged file')}"
        yield from _names(
            "damaged", [f"{damage['path']}: {damage['found']}" for damage in one["damaged"]]
        )


def restored(facts: Mapping[str, Any]) -> str:
    """What was, or would be, restored."""
    return "\n".join(_restored(facts)) + "\n"


def _restored(facts: Mapping[str, Any]) -> Iterator[str]:
    into = printable(facts["memory_dir"])
    if facts["dry_run"]:
        yield f"✓ {printable(facts['backup'])} is whole, and can be restored into {into}"
    else:
        yield f"{printable(facts['backup'])} is restored into {into}"
    what = some(facts["files"], "file")
    if not facts["from_archive"]:
        what += (
            f", and {some(facts['messages'], 'message')} of "
            f"{some(facts['conversations'], 'conversation')}"
        )
    yield f"  of {facts['created_at'][:19].replace('T', ' ')} UTC: {what}"
    yield from _names("left out", facts["left_out"])
    yield from _names("schema brought up to date", facts["migrated"])
    yield from _names("missing in the archive since before the backup", facts["missing"])
    if facts["moved_from"]:
        yield f"  the database says {into} where it said {printable(facts['moved_from'])}"
    if facts["dry_run"]:
        yield "  nothing was changed (--dry-run)"
    for step in facts["next"]:
        yield f"  next: {step}"
