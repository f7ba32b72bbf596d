"""``exportd sessions``: what people know better than names and texts."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC

import click

from .. import sessions
from ..config import Settings
from ..folders import Folders
from ..formats.text import printable
from ..lifecycle import database
from ..manifest import Manifest
from ..sessions import Change, Override
from ..statuslog import StatusLog
from ..store import Store, Transaction
from ..suggestions import ExportSeen, suggest
from ..teller import Teller
from .conversations import named


@click.group("sessions")
def command() -> None:
    """Rename, merge and split conversations; every decision can be undone.

    \b
    exportd sessions suggest
    exportd sessions merge garden-2 garden-3 --into garden
    exportd sessions split garden --segment 2 --into greenhouse
    exportd sessions rename session-1f2e3d4c garden
    exportd sessions undo 3

    Exports that arrive later follow a decision, too.
    """


@command.command("rename")
@click.argument("conversation")
@click.argument("new_id")
@click.pass_obj
def rename(settings: Settings, *, conversation: str, new_id: str) -> int:
    """Give a conversation another id; the old one stays as an alias."""
    with _store(settings) as store:
        old = named(store, conversation)
        _decide(settings, store, lambda tx: sessions.rename(tx, old, new_id, _who()))
    return 0


@command.command("merge")
@click.argument("conversations", nargs=-1, required=True, metavar="ID...")
@click.option("--into", required=True, help="The conversation that they become part of.")
@click.pass_obj
def merge(settings: Settings, *, conversations: tuple[str, ...], into: str) -> int:
    """Make conversations part of another, as segments in the order of their dates."""
    with _store(settings) as store:
        target = named(store, into)
        for source in [named(store, name) for name in conversations]:
            _decide(
                settings,
                store,
                lambda tx, source=source: sessions.merge(tx, source, target, _who()),  # type: ignore[misc]
            )
    return 0


@command.command("split")
@click.argument("conversation")
@click.option(
    "--segment",
    "segments",
    type=int,
    multiple=True,
    required=True,
    help="Its number in the session file, from 1; may be given again.",
)
@click.option("--into", required=True, help="The conversation that gets them, new or not.")
@click.pass_obj
def split(
    settings: Settings, *, conversation: str, segments: tuple[int, ...], into: str
) -> int:
    """Move segments of a conversation to another one."""
    with _store(settings) as store:
        source = named(store, conversation)
        _decide(settings, store, lambda tx: sessions.split(tx, source, segments, into, _who()))
    return 0


@command.command("undo")
@click.argument("decision", type=int)
@click.pass_obj
def undo(settings: Settings, *, decision: int) -> int:
    """Take a decision back; 'exportd sessions history' has the numbers."""
    with _store(settings) as store:
        _decide(settings, store, lambda tx: sessions.undo(tx, decision))
    return 0


@command.command("history")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
@click.pass_obj
def history(settings: Settings, *, as_json: bool) -> int:
    """Every decision that was made, the undone ones too."""
    with _store(settings) as store:
        overrides = store.run(sessions.history)
    if as_json:
        click.echo(json.dumps([_record(override) for override in overrides]))
    else:
        click.echo("\n".join(map(_told, overrides)) or "No decision was made so far.")
    return 0


@command.command("suggest")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
@click.pass_obj
def suggestions(settings: Settings, *, as_json: bool) -> int:
    """Conversations that may be one session, with the evidence; merges nothing."""
    with _store(settings) as store:
        rows = store.run(lambda tx: tx.rows("exports_seen"))
    found = suggest([ExportSeen(*row) for row in rows])
    if as_json:
        records = [
            {"conversation_ids": list(s.conversation_ids), "evidence": s.evidence}
            for s in found
        ]
        click.echo(json.dumps(records, ensure_ascii=False))
        return 0
    for suggestion in found:
        first, *others = suggestion.conversation_ids
        click.echo(f"{printable(suggestion.evidence)}:")
        lines = ["  exportd sessions merge", *others, f"--into {first}"]
        click.echo(" \\\n    ".join(lines) + "\n")
    if not found:
        click.echo("Nothing to suggest: no two conversations look like one session.")
    return 0


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    with database(settings, Folders(settings.memory_dir.absolute())) as found:
        store = Store(found.url)
        try:
            yield store
        finally:
            store.close()


def _decide(settings: Settings, store: Store, work: Callable[[Transaction], Change]) -> None:
    """Carry a decision out, write it down beside the archive, and tell."""
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    change = store.run(work)
    sessions.write_down(store, Manifest(folders.archive))
    log = StatusLog(
        folders.status_log, settings.status_log_max_bytes, settings.status_log_backups
    )
    teller = Teller(folders, store, log)
    teller.add_changed(change.changed)
    teller.tell()
    click.echo(_told(change.override))
    if change.override.undone_at is None:
        click.echo(f"Undo: exportd sessions undo {change.override.override_id}")


def _told(override: Override) -> str:
    words = {
        "rename": "{0} is called {1}",
        "merge": "{0} is part of {1}",
        "split": "segments of {0} belong to {1}",
    }
    made = override.created_at.astimezone(UTC)
    text = f"{override.override_id}. " + words[override.operation].format(
        override.from_id, override.into_id
    )
    text += f" (decided by {printable(override.made_by)}, {made:%Y-%m-%d %H:%M} UTC)"
    if override.undone_at is not None:
        text += f", undone {override.undone_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return text


def _record(override: Override) -> dict[str, object]:
    undone_at = override.undone_at
    return {
        "decision": override.override_id,
        "operation": override.operation,
        "from_id": override.from_id,
        "into_id": override.into_id,
        "exports": sorted(override.exports),
        "made_by": override.made_by,
        "created_at": override.created_at.astimezone(UTC).isoformat(),
        "undone_at": undone_at.astimezone(UTC).isoformat() if undone_at else None,
    }


def _who() -> str:
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return "unknown"
