"""``backup.json``: what a backup holds, as data, and what may stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from ..errors import DamagedBackup, RefusedRequest
from ..folders import is_plain
from ..formats.text import unescape

FORMAT = 1
NAME = "backup.json"
SUMS = "SHA256SUMS"
DUMP = "database.dump"
MEMORY = "memory"

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0)]
_Nanoseconds = Annotated[int, Field(ge=-(2**63), lt=2**63)]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. ``path``: below the memory folder, escaped, with slashes.

    ``stamp`` is the original's inode and the time of its last change: a file that still
    has it is the one that was copied.
    """

    path: str
    size_bytes: _Count
    sha256: _Sha256
    modified_ns: _Nanoseconds = 0
    stamp: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(unescape(self.path).split("/"))


@dataclass(frozen=True, slots=True)
class Listing:
    """``backup.json``. Counts are those of the dump; paths and names are escaped.

    ``missing`` should have lain in the archive and did not, ``damaged`` lay there with other
    bytes, ``skipped`` are no regular files, or could not be read: each with the reason.
    """

    format: int
    exportd: str
    name: str
    created_at: AwareDatetime
    memory_dir: str
    archive_id: str | None
    schema: str
    migrations: tuple[str, ...]
    server_version_num: int
    conversations: _Count
    messages: _Count
    exports: _Count
    database: Entry
    files: tuple[Entry, ...]
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return self.database.size_bytes + sum(entry.size_bytes for entry in self.files)


_LISTING = TypeAdapter(Listing)


def encode(listing: Listing) -> bytes:
    return _LISTING.dump_json(listing, indent=1) + b"\n"


def decode(raw: bytes, where: str) -> Listing:
    """``DamagedBackup`` when it is none, ``RefusedRequest`` when a newer exportd wrote it."""
    try:
        listing = _LISTING.validate_json(raw)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise DamagedBackup(
            f"{where}: is not the list of a backup ({place or 'JSON'}: {problem['msg']})"
        ) from error
    if listing.format > FORMAT:
        raise RefusedRequest(
            f"{where}: was written by exportd {listing.exportd}, in a form that this one does "
            "not know; use that version or a newer one"
        )
    seen: set[str] = set()
    for entry in listing.files:
        if entry.path in seen or not _is_restorable(entry.parts):
            raise DamagedBackup(f"{where}: a file with a path that no backup has")
        seen.add(entry.path)
    return listing


def sums(listing: Listing, listing_sha256: str) -> bytes:
    """``SHA256SUMS`` in the form of GNU coreutils: a name with odd signs is escaped."""
    lines = [_sum(listing_sha256, NAME), _sum(listing.database.sha256, DUMP)]
    lines += (_sum(e.sha256, f"{MEMORY}/{unescape(e.path)}") for e in listing.files)
    return b"".join(lines)


def _sum(sha256: str, name: str) -> bytes:
    odd = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if odd != name else ""
    return f"{mark}{sha256}  {odd}\n".encode("utf-8", "surrogateescape")


def _is_restorable(parts: tuple[str, ...]) -> bool:
    """Whether a path stays in the memory folder, and off what is made anew there."""
    if not all(map(is_plain, parts)) or parts[0] == "sessions":
        return False
    return parts[0] != ".exportd" or (len(parts) > 2 and parts[1] == "inflight")


def by_place(listing: Listing) -> Iterator[tuple[str, int, int]]:
    """How many files and bytes each folder has; what lies beside them counts for ""."""
    counts: dict[str, list[int]] = {}
    for entry in listing.files:
        top, slash, below = entry.path.partition("/")
        if top == ".exportd":
            top = "/".join([top, below.partition("/")[0]])
        count = counts.setdefault(top if slash else "", [0, 0])
        count[0] += 1
        count[1] += entry.size_bytes
    for top in sorted(counts):
        yield top, *counts[top]  # type: ignore[misc]
