"""The bytes of a file that is too large to be held, read piece by piece."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import TransientError

# A file of up to so many bytes is held whole.
HELD_BYTES = 8 * 1024 * 1024


class FileBytes:
    """A regular file as ``Raw``; no symbolic link is followed.

    Not mapped into memory: a program that cuts a mapped file off kills whoever reads it.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def __len__(self) -> int:
        return self._size_bytes

    def __getitem__(self, part: slice, /) -> bytes:
        """``TransientError`` when the file has become shorter, ``OSError`` by the disk."""
        start, stop, _ = part.indices(self._size_bytes)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self._path, flags), "rb", buffering=0) as file:
            file.seek(start)
            pieces = []
            while start < stop:
                piece = file.read(stop - start)
                if not piece:
                    raise TransientError("a program cut it off while it was read")
                pieces.append(piece)
                start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
