"""``exportd sessions``: which conversations there are, and what people know better of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from .. import sessions
from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import printable
from ..identity import safe_id
from ..listed import Override
from ..manifest import Manifest
from ..render import decisions
from ..sessions import Change
from ..settings import Settings
from ..store import Store, Transaction
from ..suggestions import ExportSeen, suggest
from .conversations import complete_ids, named, opened, who, write_sessions
from .session_list import list_sessions, listing_options

_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group("sessions", invoke_without_command=True)
@listing_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int | None:
    """List conversations; rename, merge and split them.

    \b
    exportd sessions
    exportd sessions --risk medium --since 2026-01-01
    exportd sessions --json | jq -r '.sessions[].conversation_id'
    exportd sessions suggest
    exportd sessions merge garden-2 garden-3 --into garden
    exportd sessions split garden --segment 2 --into greenhouse
    exportd sessions rename session-1f2e3d4c garden
    exportd sessions undo 3

    Every decision can be undone, and exports that arrive later follow it, too.
    """
    if ctx.invoked_subcommand is None:
        return list_sessions(ctx.obj, **options)
    if any(options.values()):
        raise click.UsageError(
            f"options stand behind the command: exportd sessions {ctx.invoked_subcommand}"
        )
    return None


@command.command("list")
@listing_options
@click.pass_obj
def list_(settings: Settings, /, **options: Any) -> int:
    """List every conversation, the newest first.

    \b
    exportd sessions list --json | jq -r '.conversations[].conversation_id'
    """
    return list_sessions(settings, **options)


@command.command("rename")
@click.argument("conversation", shell_complete=complete_ids)
@click.argument("new_id")
@_json_option
@click.pass_obj
def rename(settings: Settings, *, conversation: str, new_id: str, as_json: bool) -> int:
    """Give a conversation another id.

    The old one stays as an alias.

    \b
    exportd sessions rename session-1f2e3d4c garden
    """
    _require_name(new_id)
    with opened(settings) as store:
        old = named(store, conversation)
        decided = partial(sessions.rename, old=old, new=new_id, made_by=who())
        code = _decide(settings, store, [decided], as_json=as_json)
    if not as_json:
        _tell_written(new_id)
    return code


@command.command("merge")
@click.argument(
    "conversations", nargs=-1, required=True, metavar="ID...", shell_complete=complete_ids
)
@click.option("--into", required=True, help="The conversation that they become part of.")
@_json_option
@click.pass_obj
def merge(
    settings: Settings, *, conversations: tuple[str, ...], into: str, as_json: bool
) -> int:
    """Make conversations part of another.

    They become segments of it, in the order of their dates.

    \b
    exportd sessions merge garden-2 garden-3 --into garden
    """
    with opened(settings) as store:
        target = named(store, into)
        decided = [
            partial(sessions.merge, source=source, into_id=target, made_by=who())
            for source in [named(store, name) for name in conversations]
        ]
        return _decide(settings, store, decided, as_json=as_json)


@command.command("split")
@click.argument("conversation", shell_complete=complete_ids)
@click.option(
    "--segment",
    "segments",
    type=int,
    multiple=True,
    required=True,
    help="Its number in the session file, from 1; may be given again.",
)
@click.option("--into", required=True, help="The conversation that gets them, new or not.")
@_json_option
@click.pass_obj
def split(
    settings: Settings,
    *,
    conversation: str,
    segments: tuple[int, ...],
    into: str,
    as_json: bool,
) -> int:
    """Move segments of a conversation to another one.

    \b
    exportd sessions split garden --segment 2 --into greenhouse
    """
    _require_name(into)
    with opened(settings) as store:
        source = named(store, conversation)
        decided = partial(
            sessions.split, source=source, ordinals=segments, into=into, made_by=who()
        )
        what = f"{decisions.numbered(segments)} of {source}"
        code = _decide(settings, store, [decided], as_json=as_json, what=what)
    if not as_json:
        _tell_written(into)
    return code


@command.command("undo")
@click.argument("decision", type=int)
@_json_option
@click.pass_obj
def undo(settings: Settings, *, decision: int, as_json: bool) -> int:
    """Take a decision back.

    'exportd sessions history' has the numbers.

    \b
    exportd sessions undo 3
    """
    with opened(settings) as store:
        decided = partial(sessions.undo, override_id=decision)
        return _decide(settings, store, [decided], as_json=as_json)


@command.command("history")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
@click.pass_obj
def history(settings: Settings, *, as_json: bool) -> int:
    """List every decision that was made.

    The undone ones too.

    \b
    exportd sessions history
    """
    with opened(settings) as store:
        overrides = store.run(sessions.history)
    if as_json:
        click.echo(json.dumps([override.as_dict() for override in overrides]))
    else:
        click.echo("\n".join(map(decisions.told, overrides)) or "No decision was made so far.")
    return 0


@command.command("suggest")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
@click.pass_obj
def suggestions(settings: Settings, *, as_json: bool) -> int:
    """Suggest conversations that may be one session.

    With the evidence; nothing is merged.

    \b
    exportd sessions suggest
    """
    with opened(settings) as store:
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


def _decide(
    settings: Settings,
    store: Store,
    decided: Sequence[Callable[[Transaction], Change]],
    *,
    as_json: bool,
    what: str | None = None,
) -> int:
    """Carry decisions out, write them down beside the archive, and tell; the exit code.

    ``what``: that which was split off, in more detail than the decision itself knows. Where
    one is refused, what was carried out before it stays, and is told.
    """
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    done: list[Change] = []
    code = 0
    try:
        for work in decided:
            done.append(store.run(work))
            sessions.write_down(store, Manifest(folders.archive))
            code = max(code, write_sessions(settings, folders, store, done[-1].changed))
            if not as_json:
                _tell(done[-1], what)
    finally:
        if as_json and done:
            click.echo(json.dumps(_facts(done), ensure_ascii=False))
    return code


def _tell(change: Change, what: str | None) -> None:
    override = change.override
    if override.undone_at is None:
        click.echo(decisions.told(override, what))
        click.echo(f"Undo: exportd sessions undo {override.override_id}")
    else:
        click.echo(f"Undone: decision {override.override_id}, {decisions.named(override)}")


def _facts(done: Sequence[Change]) -> dict[str, Any]:
    return {
        "decisions": [change.override.as_dict() for change in done],
        "changed": sorted({name for change in done for name in change.changed}),
    }


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
