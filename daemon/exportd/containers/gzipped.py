"""``.gz``: one compressed file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from ..errors import MalformedExport
from ..models import Raw
from .base import Bounds, Member, as_file

_SMALL_BYTES = 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


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
        most = min(bounds.max_bytes, max(_SMALL_BYTES, bounds.max_ratio * len(raw)))
        yield Member(inner, "0", _unpacked(raw, most))

    def extract(self, raw: Raw, locator: str) -> bytes:  # noqa: ARG002
        return _unpacked(raw, None)


def _unpacked(raw: Raw, most: int | None) -> bytes:
    chunks, size = [], 0
    try:
        with gzip.GzipFile(fileobj=as_file(raw)) as file:
            while chunk := file.read(_CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if most is not None and size > most:
                    raise MalformedExport(
                        f"it unfolds to more than {most:,} bytes, which no conversation does "
                        "(setting max_export_bytes, and 1,000 times its packed size)"
                    )
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedExport(
            f"the compressed data is damaged or cut off behind {size:,} bytes; copy it again"
        ) from error
    return b"".join(chunks)
