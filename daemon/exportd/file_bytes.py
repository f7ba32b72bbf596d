"""The bytes of a file that is too large to be held, read piece by piece."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .errors import DiskTrouble, TransientError
from .models import Raw

# A file of up to so many bytes is held whole.
HELD_BYTES = 8 * 1024 * 1024

_PIECE_BYTES = 1024 * 1024


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
        """``TransientError`` when the file became shorter, or the disk does not give it."""
        start, stop, _ = part.indices(self._size_bytes)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        pieces = []
        try:
            with os.fdopen(os.open(self._path, flags), "rb", buffering=0) as file:
                file.seek(start)
                while start < stop:
                    piece = file.read(stop - start)
                    if not piece:
                        raise TransientError("a program cut it off while it was read")
                    pieces.append(piece)
                    start += len(piece)
        except OSError as error:  # not to be taken for damage of an archive
            raise DiskTrouble(f"{self._path}: {error.strerror}") from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def sha256(raw: Raw) -> str:
    """In hex; of what may be too large to be held."""
    digest = hashlib.sha256()
    for start in range(0, len(raw), _PIECE_BYTES):
        digest.update(raw[start : start + _PIECE_BYTES])
    return digest.hexdigest()
