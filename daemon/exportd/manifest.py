"""What the archived bytes do not tell: names, times, and what people decided.

``exports-archive/manifest.jsonl`` gets one line for every drop that is archived and for
every override, so that the archive alone is enough to rebuild the database. Lines are
only ever added, each durable before the effect it tells of is final.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from .errors import DiskTrouble
from .folders import fsync_directory

NAME = "manifest.jsonl"

log = structlog.get_logger()


class Manifest:
    """The list beside the archived files of one memory folder."""

    def __init__(self, archive: Path) -> None:
        self._path = archive / NAME

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line, whole and durable; ``DiskTrouble`` where that is impossible.

        A line that a full disk or a kill cut short stays as it is, and the next one
        begins on a line of its own.
        """
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        try:
            is_new = not self._path.exists()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
                _write(descriptor, b"\n" + line if torn else line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                fsync_directory(self._path.parent)
        except OSError as error:
            raise DiskTrouble(f"{self._path}: cannot be written ({error.strerror})") from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Every whole line, in the order of writing; a damaged one is logged and left."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                except ValueError:
                    log.warning("manifest.damaged", line=number)
                    continue
                if isinstance(record, dict):
                    yield record


def _write(descriptor: int, data: bytes) -> None:
    """In one call, so that two processes do not write into each other's lines."""
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # it took a part only
