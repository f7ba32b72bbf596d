"""``.gz``: one compressed file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import MalformedExport
from ..models import Raw
from .base import Bounds, Member, Put, as_file, copy
from .unpacked import Unpacked

_SMALL_BYTES = 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_BROKEN = (OSError, EOFError, zlib.error)


class Gzip:
    """Its one member is named as the file is, without ``.gz``."""

    NAME = "gzip"
    TITLE = "gzip-compressed file"
    DETECTED_BY = "its first bytes, `1f 8b`"
    HOLDS_ONE = True
    MEMBER = "conversation"

    def detect(self, head: bytes, size_bytes: int) -> bool:  # noqa: ARG002
        return head.startswith(b"\x1f\x8b")

    def members(self, raw: Raw, name: str, bounds: Bounds) -> Iterator[Member]:
        inner = name[:-3] if name.lower().endswith(".gz") else name
        most = min(bounds.max_unfolded, max(_SMALL_BYTES, bounds.max_ratio * len(raw)))
        size_bytes = _size(raw, most)
        yield Member(inner, "0", Unpacked(lambda: _opened(raw), size_bytes, _BROKEN))

    def extract(self, raw: Raw, locator: str) -> bytes:  # noqa: ARG002
        return Unpacked(lambda: _opened(raw), _size(raw, None), _BROKEN)[:]

    def rewrite(self, raw: Raw, name: str, bounds: Bounds, put: Put, out: BinaryIO) -> None:
        for member in self.members(raw, name, bounds):
            found = put(member)
            if found is not None:
                with gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed:
                    copy(found, packed)


def _opened(raw: Raw) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=as_file(raw), mode="rb")


def _size(raw: Raw, most: int | None) -> int:
    """Counted, for the file does not tell it truly."""
    size = 0
    try:
        with _opened(raw) as file:
            while chunk := file.read(_CHUNK_BYTES):
                size += len(chunk)
                if most is not None and size > most:
                    raise MalformedExport(
                        f"it unfolds to more than {most:,} bytes, which no conversation does "
                        "(16 times the setting max_export_bytes, and 1,000 times its packed "
                        "size)"
                    )
    except _BROKEN as error:
        raise MalformedExport(
            f"the compressed data is damaged or cut off behind {size:,} bytes; copy it again"
        ) from error
    return size
