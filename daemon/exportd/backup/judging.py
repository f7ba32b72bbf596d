"""What a dump knows, held against the files that were copied behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..packed import SUFFIX
from ..store.backing import Content
from .listing import Entry

ARCHIVE = "exports-archive/"


def missing(contents: Sequence[Content], entries: Mapping[str, Entry]) -> list[str]:
    """Names that the archive should have had; the bytes under another name will do."""
    hashes = {entry.sha256 for entry in entries.values()}
    return sorted(
        str(content.archive_name)
        for content in contents
        if content.expected
        and content.sha256 not in hashes
        and not any(f"{ARCHIVE}{content.archive_name}{end}" in entries for end in ("", SUFFIX))
    )


def damaged(contents: Sequence[Content], entries: Mapping[str, Entry]) -> list[str]:
    """Names under which other bytes lay than were ingested."""
    known = {content.sha256 for content in contents}
    names = {content.archive_name for content in contents if content.expected}
    return sorted(
        name
        for name in names
        if name
        and not name.endswith(SUFFIX)
        and (entry := entries.get(f"{ARCHIVE}{name}"))
        and entry.sha256 not in known
    )


def strangers(contents: Sequence[Content], entries: Mapping[str, Entry]) -> list[Entry]:
    """Archived files that the dump does not know, by content or by name."""
    known = {content.sha256 for content in contents}
    names = {content.archive_name for content in contents}
    return [
        entry
        for path, entry in entries.items()
        if path.startswith(ARCHIVE)
        and entry.sha256 not in known
        and (name := path.removeprefix(ARCHIVE)) not in names
        and name.removesuffix(SUFFIX) not in names
    ]
