"""What backup and restore ask of the database, and what a restore changes in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .transaction import Transaction

_Rows = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a database holds: where its tables are, its schema's migrations, and counts."""

    schema: str
    server_version_num: int
    conversations: int
    messages: int
    exports: int
    migrations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """An ingested content; ``expected``: it should lie in the folder's archive by its name."""

    sha256: str
    size_bytes: int
    archive_name: str | None
    expected: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database would be restored: its schema, if there is one, and what is in it.

    ``marked`` names the backup of which a restore was begun there.
    """

    schema: str | None
    server_version_num: int
    tables: tuple[str, ...]
    marked: str | None


def export_snapshot(tx: Transaction) -> str:
    """One moment for what follows in this transaction, and for others who know the name."""
    tx.execute("snapshot")
    return str(tx.rows("export_snapshot")[0][0])


def read_backed_up(rows: _Rows) -> BackedUp:
    migrations = tuple(name for (name,) in rows("applied_migrations"))
    schema, version, *counts = rows("backed_up")[0]
    conversations, messages, exports = counts
    return BackedUp(schema, version, conversations, messages, exports, migrations)


def read_contents(rows: _Rows, memory_dir: str | None) -> list[Content]:
    """All that is ingested; ``memory_dir`` None: the database is this folder's alone."""
    return [Content(*row) for row in rows("ingested_contents", memory_dir=memory_dir)]


def read_ingested(rows: _Rows, sha256s: Iterable[str]) -> set[str]:
    """Those of the contents that are ingested."""
    return {sha256 for (sha256,) in rows("ingested_of", sha256s=list(sha256s))}


def read_place(tx: Transaction) -> Place:
    tx.as_owner()  # the mark is no table of the application's
    schema, version, tables = tx.rows("there_already")[0]
    is_marked = tx.rows("restoring")[0][0]
    marked = tx.rows("restoring_what")[0][0] if is_marked else None
    return Place(schema, version, tuple(tables), marked)


def mark(tx: Transaction, backup: str) -> None:
    """Note that this backup is being restored here, until ``unmark``."""
    tx.as_owner()
    tx.execute("mark_restoring", backup=backup)


def unmark(tx: Transaction) -> None:
    tx.as_owner()
    tx.execute("unmark_restoring")


def analyze(tx: Transaction) -> None:
    """Let the server know what its tables are like, rather than in a minute by itself."""
    tx.as_owner()
    tx.execute("analyze")


def move(tx: Transaction, old: str, new: str, channels: Iterable[str]) -> None:
    """What came to the memory folder ``old`` came to ``new``."""
    suffixes = ["", *(f"/{channel}" for channel in channels)]
    tx.execute("move_drops", old=old, new=new)
    tx.execute("move_dead_letters", old=old, new=new)
    tx.execute("move_alerts", old=old, new=new, suffixes=suffixes)
    tx.execute("move_alert_messages", old=old, new=new)
    tx.execute("move_alert_silences", old=old, new=new)
    tx.execute("forget_alert_channels", old=old)
