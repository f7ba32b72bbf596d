"""What the archived bytes do not tell: names, times, and what people decided.

``exports-archive/manifest.jsonl`` gets one line for every drop that is archived and for
every override, so that the archive alone is enough to rebuild the database. Lines are
only added, each durable before the effect it tells of is final; a purge alone takes some
away, and leaves one of its own, so that a rebuild does not bring back what went.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import MAXYEAR, datetime
from pathlib import Path
from typing import Any

import structlog

from .crash import reach
from .errors import DiskTrouble
from .folders import fsync_directory, replace_file
from .identity import is_id

NAME = "manifest.jsonl"

log = structlog.get_logger()


class Manifest:
    """The list beside the archived files of one memory folder."""

    def __init__(self, archive: Path) -> None:
        self._path = archive / NAME

    def append(self, *records: Mapping[str, Any]) -> None:
        """Add a line for each, whole and durable; ``DiskTrouble`` where that is impossible.

        A line that a full disk or a kill cut short stays as it is, and the next one
        begins on a line of its own.
        """
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode()
        reach("manifest.begin")
        try:
            is_new = not self._path.exists()
            descriptor = self._opened()
            try:
                size = os.fstat(descriptor).st_size
                torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
                _write(descriptor, b"\n" + lines if torn else lines)
                reach("manifest.written")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                fsync_directory(self._path.parent)
            reach("manifest.durable")
        except OSError as error:
            raise DiskTrouble(f"{self._path}: cannot be written ({error.strerror})") from error

    def _opened(self) -> int:
        """To append, alone until it is closed; not one that was replaced meanwhile."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        while True:
            descriptor = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(descriptor), self._path.lstat()):
                    return descriptor
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def rewrite(self, change: Callable[[bytes], bytes | None], last: Mapping[str, Any]) -> None:
        """Every line as ``change`` gives it, without its end; None: it goes. Then ``last``.

        For a purge alone; whole or not at all. ``DiskTrouble`` where that is impossible.
        """
        try:
            descriptor = self._opened()
            try:
                changed = map(change, self._path.read_bytes().splitlines())
                lines = [line for line in changed if line is not None]
                lines.append(json.dumps(last, ensure_ascii=False).encode())
                replace_file(self._path, b"".join(line + b"\n" for line in lines), 0o600)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DiskTrouble(f"{self._path}: cannot be written ({error.strerror})") from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Every line that says what it should, in the order of writing, with its times.

        Any other one is logged and left: a torn line, or what somebody wrote into it.
        """
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            file = os.fdopen(os.open(self._path, flags), "rb")
        except FileNotFoundError:
            return
        except OSError as error:
            raise DiskTrouble(f"{self._path}: cannot be read ({error.strerror})") from error
        with file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DiskTrouble(f"{self._path}: cannot be read (a special file)")
            for number, line in enumerate(file, 1):
                try:
                    yield _checked(json.loads(line))
                except (ValueError, RecursionError) as error:
                    reason = str(error) if isinstance(error, _Foreign) else "no JSON"
                    log.warning("manifest.damaged", line=number, reason=reason)


def drop_record(
    sha256: str, name: str, modified_at: datetime, session_id: str | None
) -> dict[str, str]:
    """A drop as the archive's manifest has it; ``name`` with its escapes."""
    entry = {"type": "drop", "sha256": sha256, "name": name}
    entry["modified_at"] = modified_at.isoformat()
    return {**entry, "session_id": session_id} if session_id else entry


class _Foreign(ValueError):
    """A line that exportd did not write; the words quote nothing of it."""


def _checked(record: object) -> dict[str, Any]:
    kind = record.get("type") if isinstance(record, dict) else None
    rules = _RULES.get(kind) if isinstance(kind, str) else None
    if not isinstance(record, dict) or rules is None:
        raise _Foreign("no record of a known type")
    for key, fits in rules.items():
        if not fits(record.get(key)):
            raise _Foreign(f"{kind} without a proper {key}")
    if kind == "override" and record["from_id"] == record["into_id"]:
        raise _Foreign("override of a conversation into itself")
    times = {key: datetime.fromisoformat(record[key]) for key in rules if key.endswith("_at")}
    return {**record, **times}


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _is_name(value: object) -> bool:
    return _is_text(value) and value != ""


def _is_moment(value: object) -> bool:
    """ISO 8601 with a zone, of a year that has a neighbour: others cannot be compared."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None and 1 < moment.year < MAXYEAR


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _is_optional(value: object) -> bool:
    return value is None or _is_name(value)


def _is_conversation(value: object) -> bool:
    return isinstance(value, str) and is_id(value)


def _is_assignment(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_digest(sha256) and _is_optional(before) for sha256, before in value.items()
    )


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_text(name) and isinstance(count, int) for name, count in value.items()
    )


def _are_sizes(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_digest(sha256) and isinstance(size_bytes, int) and 0 <= size_bytes < 2**63
        for sha256, size_bytes in value.items()
    )


_RULES: dict[str, dict[str, Callable[[object], bool]]] = {
    "drop": {
        "sha256": _is_digest,
        "name": _is_name,
        "modified_at": _is_moment,
        "session_id": _is_optional,
    },
    "override": {
        "uuid": _is_uuid,
        "operation": lambda value: value in ("rename", "merge", "split"),
        "from_id": _is_conversation,
        "into_id": _is_conversation,
        "exports": _is_assignment,
        "made_by": _is_text,
        "created_at": _is_moment,
    },
    "undo": {"uuid": _is_uuid, "undone_at": _is_moment},
    "purge": {
        "uuid": _is_uuid,
        "digest": _is_digest,
        "reason": lambda value: value is None or _is_text(value),
        "made_by": _is_text,
        "made_at": _is_moment,
        "counts": _are_counts,
        "contents": _are_sizes,
    },
}


def _write(descriptor: int, data: bytes) -> None:
    """In one call, so that two processes do not write into each other's lines."""
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # it took a part only
