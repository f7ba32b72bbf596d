"""What every container offers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from ..models import Raw

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a container may hold: bytes of what is read at once (setting max_export_bytes),
    unfolded bytes for each packed one, members.
    """

    max_bytes: int = 256 * 1024 * 1024
    max_ratio: int = 1_000
    max_members: int = 100_000

    @property
    def max_unfolded(self) -> int:
        """Bytes in all that are unfolded piece by piece."""
        return 16 * self.max_bytes


@dataclass(frozen=True, slots=True)
class Member:
    """Something inside a container; ``locator`` finds it there again.

    ``fault`` says why it cannot be read, and then there are no bytes.
    """

    name: str
    locator: str
    raw: Raw = b""
    fault: str = ""


# What is to stand in the place of a member: its own bytes, others, or None for nothing.
Put = Callable[[Member], Raw | None]


class Container(Protocol):
    """``HOLDS_ONE``: all of it is one conversation, so that a sidecar may name it.

    ``MEMBER`` is what people are told that its members are.
    """

    NAME: str
    TITLE: str
    DETECTED_BY: str
    HOLDS_ONE: bool
    MEMBER: str

    def detect(self, head: bytes, size_bytes: int) -> bool:
        """Whether a content of this size begins like one."""
        ...

    def members(self, raw: Raw, name: str, bounds: Bounds) -> Iterator[Member]:
        """Each member in turn; ``MalformedExport`` where the container itself is broken."""
        ...

    def extract(self, raw: Raw, locator: str) -> bytes:
        """The bytes of a member; ``MalformedExport`` where it is not there."""
        ...

    def rewrite(self, raw: Raw, name: str, bounds: Bounds, put: Put, out: BinaryIO) -> None:
        """Write it to ``out`` anew, with what ``put`` says in the place of each member.

        ``MalformedExport`` where that cannot be done without a loss.
        """
        ...


def as_file(raw: Raw) -> BinaryIO:
    """For libraries that read files."""
    return io.BytesIO(raw) if isinstance(raw, bytes) else io.BufferedReader(_Reader(raw))


def copy(raw: Raw, out: Writable, start: int = 0, end: int | None = None) -> None:
    """Write bytes that may be too many to be held."""
    end = len(raw) if end is None else end
    while start < end:
        stop = min(start + _PIECE_BYTES, end)
        out.write(raw[start:stop])
        start = stop


class Writable(Protocol):
    """All that ``copy`` needs of a file."""

    def write(self, data: bytes, /) -> object: ...


class _Reader(io.RawIOBase):
    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._raw)}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        piece = self._raw[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
