"""``.zip``: what account exports come as."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator

from ..errors import MalformedExport
from ..formats.text import escape
from ..models import Raw
from .base import Bounds, Member, as_file

# What a damaged or hostile archive makes zipfile raise.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError,
    NotImplementedError, OverflowError, UnicodeError,
)  # fmt: skip
_SMALL_BYTES = 1024 * 1024  # so little may be packed however tightly
_ENCRYPTED = 1
_JUNK = ("__MACOSX/", ".DS_Store")


class Zip:
    """Members are files; folders and what macOS adds are none."""

    NAME = "zip"
    TITLE = "zip archive"
    DETECTED_BY = "its first bytes, `PK`"
    HOLDS_ONE = False
    MEMBER = "conversation"

    def detect(self, head: bytes, size_bytes: int) -> bool:  # noqa: ARG002
        return head.startswith(b"PK\x03\x04")

    def members(self, raw: Raw, name: str, bounds: Bounds) -> Iterator[Member]:  # noqa: ARG002
        """Sizes are counted as they are read, for the archive's own list may lie."""
        archive = _opened(raw)
        left = bounds.max_bytes
        listed = archive.infolist()
        if len(listed) > bounds.max_members:
            raise MalformedExport(
                f"the archive has {len(listed):,} members; expected at most "
                f"{bounds.max_members:,}"
            )
        for number, info in enumerate(listed):
            if info.is_dir() or info.filename.startswith(_JUNK[0]):
                continue
            member = _read(archive, info, str(number), left, bounds.max_ratio)
            left -= len(member.raw)
            if not member.name.endswith(_JUNK[1]):
                yield member

    def extract(self, raw: Raw, locator: str) -> bytes:
        archive = _opened(raw)
        try:
            return archive.read(archive.infolist()[int(locator)])
        except (*_BROKEN, IndexError) as error:
            raise MalformedExport(f"member {locator} cannot be read") from error


def _opened(raw: Raw) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(as_file(raw))
    except _BROKEN as error:
        raise MalformedExport(
            "the archive is damaged or cut off (its list of members cannot be read); download "
            "it again"
        ) from error


def _read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, locator: str, left: int, max_ratio: int
) -> Member:
    name = escape(info.filename.replace("\\", "/").rsplit("/", 1)[-1])
    if info.flag_bits & _ENCRYPTED:
        return Member(name, locator, fault="it is encrypted; unpack it yourself")
    most = min(left, max(_SMALL_BYTES, max_ratio * info.compress_size))
    try:
        with archive.open(info) as file:
            raw = file.read(most + 1)
    except _BROKEN as error:
        return Member(name, locator, fault=f"it is damaged ({type(error).__name__})")
    if len(raw) > most:
        return Member(
            name,
            locator,
            fault=f"it unfolds to more than {most:,} bytes, which no conversation does "
            "(setting max_export_bytes, and 1,000 times its packed size)",
        )
    return Member(name, locator, raw)
