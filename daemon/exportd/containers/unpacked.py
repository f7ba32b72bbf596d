"""Something packed, as ``Raw``: unpacked while it is read, and never held whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..errors import MalformedExport

_PIECE_BYTES = 1024 * 1024
# Whoever goes back further waits for all of it to be unpacked once more.
_HELD_BYTES = 16 * 1024 * 1024


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Unpacked:
    """``broken`` are the errors by which the file that ``opened`` gives says that it is
    damaged; they become ``MalformedExport``.
    """

    def __init__(
        self,
        opened: Callable[[], _Readable],
        size_bytes: int,
        broken: tuple[type[Exception], ...],
    ) -> None:
        self._opened = opened
        self._size_bytes = size_bytes
        self._broken = broken
        self._file: _Readable | None = None
        self._begin = 0
        self._held = bytearray()

    def __len__(self) -> int:
        return self._size_bytes

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, _ = part.indices(self._size_bytes)
        if start >= stop:
            return b""
        try:
            self._read(start, stop)
        except self._broken as error:
            raise MalformedExport(f"it is damaged ({type(error).__name__})") from error
        return bytes(self._held[start - self._begin : stop - self._begin])

    def _read(self, start: int, stop: int) -> None:
        if self._file is None or start < self._begin:
            self._file, self._begin = self._opened(), 0
            self._held.clear()
        self._forget(start)
        while self._begin + len(self._held) < stop:
            piece = self._file.read(_PIECE_BYTES)
            if not piece:
                raise MalformedExport("it is cut off")
            self._held += piece
            self._forget(start)

    def _forget(self, start: int) -> None:
        count = min(start - self._begin, len(self._held) - _HELD_BYTES)
        if count > 0:
            del self._held[:count]
            self._begin += count
