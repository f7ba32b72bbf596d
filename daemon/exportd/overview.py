"""How a memory folder stands at one moment: plain data for ``exportd status``. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from .alerts.listed import Alert


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A file in ``exports/``, by its path from there: since when, and why it is not taken."""

    name: str
    since: datetime
    reason: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Files in ``exports/``; ``since`` is when the oldest of them came.

    ``sidecars`` are counted apart: what names the conversation of another file. ``oldest`` are
    a few of both.
    """

    files: int = 0
    since: datetime | None = None
    in_flight: int = 0
    sidecars: int = 0
    oldest: tuple[WaitingFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """The process that works in a folder, by its lock."""

    pid: int
    host: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of one folder, in bytes; ``free_bytes`` is what exportd may still use."""

    folder: str
    free_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RecentDrop:
    """One arrival; ``outcome`` is None while the file is on its way."""

    dropped_at: datetime
    name: str
    outcome: str | None
    conversation_ids: list[str]
    messages: int
    new: int


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A conversation of which messages are missing (high), or may be (medium)."""

    conversation_id: str
    level: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What only the database knows; ``parked`` is what the servers of channels refused with.

    ``unsearchable`` messages wait for the search index.
    """

    conversations: int
    messages: int
    recent: tuple[RecentDrop, ...] = ()
    at_risk: tuple[AtRisk, ...] = ()
    alerts: tuple[Alert, ...] = ()
    parked: dict[str, str] = field(default_factory=dict)
    unsearchable: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it; ``stored`` is None while the database does not answer.

    ``daemon`` says which process works in the folder since when, None when none does.
    ``process`` is the same in its parts, where they are known. ``watch_roots`` are the folders
    that it watches, with all below them. ``is_folder``: whether the memory folder is there.
    ``channels`` are those of the settings, ``daemon_channels`` those of the process, where
    there is one and they are known. ``troubles`` are sentences about the surroundings: a full
    disk, no archive.
    """

    memory_dir: str
    exports_dir: str
    daemon: str | None
    waiting: Waiting
    dead_letters: tuple[str, ...]
    disks: tuple[Disk, ...]
    troubles: tuple[str, ...]
    channels: tuple[str, ...]
    stored: Stored | None
    database_trouble: str | None = None
    process: Process | None = None
    watch_roots: tuple[str, ...] = ()
    is_folder: bool = True
    daemon_channels: tuple[str, ...] | None = None

    @property
    def unknown_channels(self) -> tuple[str, ...]:
        """Channels that are set, and that the daemon, which reads settings once, lacks."""
        if self.daemon_channels is None:
            return ()
        return tuple(name for name in self.channels if name not in self.daemon_channels)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: moments as ISO 8601."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
