"""``.exportd/spool/``: alerts while the database is away, one durable file each (DESIGN 6).

A file says what is wrong since when, and on which channels that was told. When the database
answers, the relay takes it into the outbox, and the file goes. Where the disk refuses, too, the
alert is kept in memory and told from there: after a kill, what is still wrong is found anew.
"""

from __future__ import annotations

import json
import stat
import threading
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

import structlog
from pydantic import TypeAdapter

from .alerts.rules import RULES
from .folders import write_file

log = structlog.get_logger()

SENDING, SENT = "sending", "sent"

# What exportd writes has a few hundred bytes.
_LARGEST = 100_000


@dataclass(frozen=True, slots=True)
class Spooled:
    """An alert that waits for the database; ``told`` has the channels that were told.

    Of a channel in state ``sending`` nobody knows whether it was. ``references`` are what
    the channels call their messages. Times are ISO 8601, with a zone.
    """

    kind: str
    body: str
    since: str
    over_at: str | None = None
    spool_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    told: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def began_at(self) -> datetime:
        return datetime.fromisoformat(self.since)


class Spool:
    """The alerts of one memory folder that the database does not have yet.

    Used by the worker, which adds and ends them, and by the relay, which tells them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._unreadable: set[str] = set()
        self._unwritten: dict[str, Spooled] = {}

    def entries(self) -> list[Spooled]:
        """All of them; what is no file of ours is left alone."""
        with self._lock:
            paths = {*self._folder.glob("*.json"), *map(self._path, self._unwritten)}
            found = [self._read(path) for path in sorted(paths)]
        return [entry for entry in found if entry is not None]

    def add(self, entry: Spooled) -> None:
        """Keep an alert."""
        with self._lock:
            self._write(entry)

    def end(self, spool_id: str, over_at: str) -> bool:
        """It is over; False when the file is gone, because the outbox has it by now."""
        with self._lock:
            entry = self._read(self._path(spool_id))
            if entry is not None:
                self._write(replace(entry, over_at=over_at))
            return entry is not None

    def note(
        self, spool_id: str, channel: str, state: str, reference: Mapping[str, str]
    ) -> None:
        """What became of it on one channel; an empty state takes an attempt back."""
        with self._lock:
            if (entry := self._read(self._path(spool_id))) is None:
                return
            told = {name: was for name, was in entry.told.items() if name != channel}
            self._write(
                replace(
                    entry,
                    told=told | ({channel: state} if state else {}),
                    references={**entry.references, channel: dict(reference)},
                )
            )

    def remove(self, entry: Spooled) -> None:
        """The outbox has it, as it stands here; what changed meanwhile is taken next time."""
        with self._lock:
            path = self._path(entry.spool_id)
            if self._read(path) == entry:
                self._unwritten.pop(entry.spool_id, None)
                path.unlink(missing_ok=True)

    def _path(self, spool_id: str) -> Path:
        return self._folder / f"{spool_id}.json"

    def _write(self, entry: Spooled) -> None:
        try:
            write_file(self._path(entry.spool_id), [json.dumps(asdict(entry), indent=1), "\n"])
        except OSError as error:
            if entry.spool_id not in self._unwritten:
                log.warning("spool.failed", kind=entry.kind, reason=error.strerror)
            self._unwritten[entry.spool_id] = entry
        else:
            self._unwritten.pop(entry.spool_id, None)

    def _read(self, path: Path) -> Spooled | None:
        if path.stem in self._unwritten:
            return self._unwritten[path.stem]
        try:
            return _checked(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            if path.name not in self._unreadable:  # it is met in every turn of the relay
                self._unreadable.add(path.name)
                log.warning(
                    "spool.unreadable", file=path.name, error_class=type(error).__name__
                )
            return None


_SPOOLED = TypeAdapter(Spooled)


def _checked(path: Path) -> Spooled:
    """What stands in a file; ``ValueError`` where no exportd of this version wrote it.

    Whatever passes can be told and taken into the database: one file that cannot would keep
    the relay from all the others.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
        raise ValueError("expected a small file")
    entry = _SPOOLED.validate_python(json.loads(path.read_text(encoding="utf-8")))
    texts = [
        entry.kind,
        entry.body,
        *entry.told,
        json.dumps(entry.references, ensure_ascii=False),
    ]
    is_text = all("\0" not in text and "\\u0000" not in text for text in texts)
    times = [entry.since, *([entry.over_at] if entry.over_at else [])]
    has_zones = all(datetime.fromisoformat(moment).tzinfo for moment in times)
    "".join(texts).encode()  # raises for half of a surrogate pair
    if entry.kind not in RULES or entry.spool_id != path.stem or not (is_text and has_zones):
        raise ValueError("expected an alert")
    return entry
