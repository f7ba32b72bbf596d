"""What commands list for an operator, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from .models import Risk


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What was set aside, and why.

    ``name`` is that in exports-failed/, or in the container ``inside`` of which it lies.
    ``what`` is file, member (of a container), or record (a part of a good file); the last two
    lie in an archived file. ``place`` is there, gone or archived. ``settlement`` says why
    nothing more is to be done, None while something is.
    """

    dead_letter_id: int | None
    export_id: int | None
    name: str
    original_name: str
    what: str
    inside: str | None
    set_aside_at: datetime | None
    reason: str
    error_class: str | None
    size_bytes: int | None
    sha256: str | None
    settlement: str | None = None
    settled_at: datetime | None = None
    settled_by: str | None = None
    place: str = "archived"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: moments as ISO 8601, without what only the database counts by."""
        found = plain(self)
        del found["dead_letter_id"], found["export_id"]
        return found


def plain(record: Any) -> dict[str, Any]:
    """A dataclass of plain values for JSON."""
    return {one.name: _plain(getattr(record, one.name)) for one in fields(record)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation in a list; of what no export tells, the moment is None.

    ``exported_at`` is the date of the file ``last_export``, the newest one. ``projects`` are
    working directories that its exports name.
    """

    conversation_id: str
    title: str
    messages: int
    segments: int
    first_at: datetime | None
    last_at: datetime | None
    formats: tuple[str, ...]
    projects: tuple[str, ...]
    exported_at: datetime | None
    last_export: str | None
    risk: Risk = field(default_factory=Risk)

    @property
    def newest(self) -> datetime:
        """When something was last said, or else exported: what a list is sorted by."""
        return self.last_at or self.exported_at or datetime.min.replace(tzinfo=UTC)

    def is_of(self, project: str) -> bool:
        """Whether it was held in a directory of this path or, without a slash, name."""
        wanted = project.rstrip("/") or project
        return any(
            wanted == path.rstrip("/")
            or ("/" not in wanted and wanted == path.rstrip("/").rpartition("/")[2])
            for path in self.projects
        )

    def as_dict(self) -> dict[str, Any]:
        found = plain(self)
        found["risk"] = {"level": self.risk.level.value, "reasons": list(self.risk.reasons)}
        return found


@dataclass(frozen=True, slots=True)
class Part:
    """Which messages of a conversation are shown: the ``last`` so many, or such ``around``

    an index with ``context`` on both sides; of these roles and kinds, all where none is given.
    """

    last: int | None = None
    around: int | None = None
    context: int = 5
    roles: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """One decision of a person. ``exports``: SHA-256 to the explicit id before a split."""

    override_id: int
    uuid: object
    operation: str
    from_id: str
    into_id: str
    exports: Mapping[str, str | None]
    made_by: str
    created_at: datetime
    undone_at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: its number as ``decision``, of the exports their SHA-256 alone."""
        return {
            "decision": self.override_id,
            "operation": self.operation,
            "from_id": self.from_id,
            "into_id": self.into_id,
            "exports": sorted(self.exports),
            "made_by": self.made_by,
            "created_at": _plain(self.created_at),
            "undone_at": _plain(self.undone_at),
        }
