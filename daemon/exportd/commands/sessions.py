"""``exportd sessions``: what people know better than names and texts."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from functools import partial

import click

from .. import sessions
from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import printable
from ..identity import safe_id
from ..lifecycle import database
from ..manifest import Manifest
from ..render.wording import some
from ..sessions import Change, Override
from ..settings import Settings
from ..store import Store, Transaction
from ..suggestions import ExportSeen, suggest
from .conversations import named, write_sessions


@click.group("sessions")
def command() -> None:
    """Rename, merge and split conversations.

    Every decision can be undone.

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
    _require_name(new_id)
    with _store(settings) as store:
        old = named(store, conversation)
        code = _decide(settings, store, lambda tx: sessions.rename(tx, old, new_id, _who()))
    _tell_written(new_id)
    return code


@command.command("merge")
@click.argument("conversations", nargs=-1, required=True, metavar="ID...")
@click.option("--into", required=True, help="The conversation that they become part of.")
@click.pass_obj
def merge(settings: Settings, *, conversations: tuple[str, ...], into: str) -> int:
    """Make conversations part of another, as segments in the order of their dates."""
    with _store(settings) as store:
        target = named(store, into)
        codes = [
            _decide(settings, store, partial(_merge, source=source, target=target))
            for source in [named(store, name) for name in conversations]
        ]
    return max(codes)


def _merge(tx: Transaction, source: str, target: str) -> Change:
    return sessions.merge(tx, source, target, _who())


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
    _require_name(into)
    with _store(settings) as store:
        source = named(store, conversation)
        code = _decide(
            settings,
            store,
            lambda tx: sessions.split(tx, source, segments, into, _who()),
            f"{_segments(segments)} of {source}",
        )
    _tell_written(into)
    return code


@command.command("undo")
@click.argument("decision", type=int)
@click.pass_obj
def undo(settings: Settings, *, decision: int) -> int:
    """Take a decision back; 'exportd sessions history' has the numbers."""
    with _store(settings) as store:
        return _decide(settings, store, lambda tx: sessions.undo(tx, decision))


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
        overrides = store.run(sessions.history)
    found = suggest([ExportSeen(*row) for row in rows], _parted(overrides))
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


def _decide(
    settings: Settings,
    store: Store,
    work: Callable[[Transaction], Change],
    what: str | None = None,
) -> int:
    """Carry a decision out, write it down beside the archive, and tell; the exit code.

    ``what``: that which was split off, in more detail than the decision itself knows.
    """
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    change = store.run(work)
    sessions.write_down(store, Manifest(folders.archive))
    code = write_sessions(settings, folders, store, change.changed)
    if change.override.undone_at is None:
        click.echo(_told(change.override, what))
        click.echo(f"Undo: exportd sessions undo {change.override.override_id}")
    else:
        click.echo(f"Undone: decision {change.override.override_id}, {_named(change.override)}")
    return code


def _told(override: Override, what: str | None = None) -> str:
    """A decision as a sentence in force, or as the record of one that was undone."""
    made = override.created_at.astimezone(UTC)
    by = f"(decided by {printable(override.made_by)}, {made:%Y-%m-%d %H:%M} UTC)"
    if override.undone_at is not None:
        undone = override.undone_at.astimezone(UTC)
        told = f"{_named(override)} {by}, undone {undone:%Y-%m-%d %H:%M} UTC"
    else:
        told = f"{_sentence(override, what)} {by}"
    return f"{override.override_id}. {told}"


def _sentence(override: Override, what: str | None) -> str:
    """A split is kept as a list of exports, so in the end only they can be counted."""
    if override.operation == "split":
        shown = (
            what or f"what {some(len(override.exports), 'export')} of {override.from_id} shows"
        )
        are = "belong" if shown.startswith("segments") else "belongs"
        return f"{shown} {are} to {override.into_id}"
    verb = "is called" if override.operation == "rename" else "is part of"
    return f"{override.from_id} {verb} {override.into_id}"


def _named(override: Override) -> str:
    words = {
        "rename": "the renaming of {0} to {1}",
        "merge": "the merge of {0} into {1}",
        "split": "the split of segments of {0} into {1}",
    }
    return words[override.operation].format(override.from_id, override.into_id)


def _segments(ordinals: tuple[int, ...]) -> str:
    *others, last = map(str, sorted(set(ordinals)))
    return f"segments {', '.join(others)} and {last}" if others else f"segment {last}"


def _require_name(name: str) -> None:
    if not name.strip():
        raise RefusedRequest(
            f"expected the id of a conversation, found {name!r}; say it in letters or digits"
        )


def _tell_written(name: str) -> None:
    """An id is a file name, too: who asked for another one learns what it became."""
    if (written := safe_id(name)) != name:
        click.echo(f"'{printable(name)}' is written {written}")


def _parted(overrides: list[Override]) -> list[frozenset[str]]:
    """What people split by hand, pair by pair, under the ids of today."""
    in_force = [override for override in overrides if override.undone_at is None]
    moved = {o.from_id: o.into_id for o in in_force if o.operation != "split"}

    def today(conversation_id: str) -> str:
        while conversation_id in moved:
            conversation_id = moved[conversation_id]
        return conversation_id

    splits = (o for o in in_force if o.operation == "split")
    return [frozenset({today(o.from_id), today(o.into_id)}) for o in splits]


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
