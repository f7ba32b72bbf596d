"""``.zip``: what account exports come as."""

from __future__ import annotations

import lzma
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import MalformedExport
from ..formats.text import escape, printable
from ..models import Raw
from .base import Bounds, Member, Put, as_file, copy
from .unpacked import Unpacked

# What a damaged or hostile archive makes zipfile raise.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError,
    NotImplementedError, OverflowError, UnicodeError,
)  # fmt: skip
_SMALL_BYTES = 1024 * 1024  # so little may be packed however tightly
_ENCRYPTED = 1
_HUGE_BYTES = 2 * 1024**3
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
        """No more is unfolded than the archive's own list says, and only when it is read."""
        archive = _opened(raw)
        listed = archive.infolist()
        if len(listed) > bounds.max_members:
            raise MalformedExport(
                f"the archive has {len(listed):,} members; expected at most "
                f"{bounds.max_members:,}"
            )
        for number, info in enumerate(listed):
            if not _is_junk(info):
                yield _member(archive, info, str(number), bounds)

    def extract(self, raw: Raw, locator: str) -> bytes:
        archive = _opened(raw)
        try:
            return archive.read(archive.infolist()[int(locator)])
        except (*_BROKEN, IndexError) as error:
            raise MalformedExport(f"member {locator} cannot be read") from error

    def rewrite(self, raw: Raw, name: str, bounds: Bounds, put: Put, out: BinaryIO) -> None:  # noqa: ARG002
        archive = _opened(raw)
        with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as written:
            warnings.simplefilter("ignore")  # two members may have one name
            for number, info in enumerate(archive.infolist()):
                member = _member(archive, info, str(number), bounds)
                if member.fault:
                    raise MalformedExport(f"{printable(member.name)} in it: {member.fault}")
                found = member.raw if _is_junk(info) else put(member)
                if found is not None:
                    is_huge = len(found) > _HUGE_BYTES
                    with written.open(_alike(info), "w", force_zip64=is_huge) as place:
                        copy(found, place)


def _is_junk(info: zipfile.ZipInfo) -> bool:
    name = info.filename.replace("\\", "/")
    return info.is_dir() or info.filename.startswith(_JUNK[0]) or name.endswith(_JUNK[1])


def _alike(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(info.filename, info.date_time)
    made.external_attr, made.comment = info.external_attr, info.comment
    made.compress_type = (
        zipfile.ZIP_STORED if info.compress_type == zipfile.ZIP_STORED else zipfile.ZIP_DEFLATED
    )
    return made


def _opened(raw: Raw) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(as_file(raw))
    except _BROKEN as error:
        raise MalformedExport(
            "the archive is damaged or cut off (its list of members cannot be read); download "
            "it again"
        ) from error


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, locator: str, bounds: Bounds
) -> Member:
    name = escape(info.filename.replace("\\", "/").rsplit("/", 1)[-1])
    if info.flag_bits & _ENCRYPTED:
        return Member(name, locator, fault="it is encrypted; unpack it yourself")
    most = min(bounds.max_unfolded, max(_SMALL_BYTES, bounds.max_ratio * info.compress_size))
    if info.file_size > most:
        return Member(
            name,
            locator,
            fault=f"it unfolds to more than {most:,} bytes, which no conversation does "
            "(16 times the setting max_export_bytes, and 1,000 times its packed size)",
        )
    raw = Unpacked(lambda: archive.open(info), info.file_size, _BROKEN)
    return Member(name, locator, raw)
