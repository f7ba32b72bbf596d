"""``exportd ingest``: hand files over, as if they were dropped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from .. import manifest
from ..errors import FolderInUse
from ..folders import Folders
from ..formats.text import escape
from ..handover import drop, new_folder, refuse_unclear, refuse_unfit, tidy
from ..lifecycle import stop_on_signals
from ..models import Fate
from ..once import run_once
from ..settings import Settings
from ..watcher import scan
from ..workplace import workplace


@click.command("ingest")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="FILE|DIR...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--session-id", help="The conversation they belong to, whatever they are called.")
@click.pass_obj
def command(settings: Settings, *, paths: tuple[Path, ...], session_id: str | None) -> int:
    """Copy exports in and ingest them.

    \b
    exportd ingest notes.txt --session-id rollout-master
    exportd ingest ~/exports/

    The files themselves stay where they are. While a daemon works in the folder it takes
    them up, and this command ends when they are handed over. Exit code 65: one of them
    became a dead letter; 75: something has to wait.
    """
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    if session_id is not None:
        refuse_unclear(session_id)
    files = [file for path in paths for file in _files(path, folders)]
    for file in files:
        refuse_unfit(file, session_id)
    aside = new_folder(folders.exports)
    for file in files:
        drop(file, folders.exports, aside, session_id)
    try:
        with workplace(settings, stop_on_signals()) as place:
            code, reports, text = run_once(place)
    except FolderInUse:
        told = "1 file" if len(files) == 1 else f"{len(files)} files"
        click.echo(
            f"{told} handed to the daemon that works here; {folders.status_log.name} tells "
            "what becomes of it."
        )
        return 0
    finally:
        tidy(aside)
    click.echo(text, nl=False)
    names = {escape(file.name) for file in files}
    dead = any(r.fate is Fate.DEAD_LETTER and r.name in names for r in reports)
    return code or (os.EX_DATAERR if dead else 0)


def _files(path: Path, folders: Folders) -> Iterator[Path]:
    """What is to be copied: not our own list, and nothing that waits already."""
    for file in scan(path) if path.is_dir() else iter([path]):
        place = file.resolve()
        if place == folders.archive.resolve() / manifest.NAME:
            continue
        if path.is_dir() and place.is_relative_to(folders.exports.resolve()):
            continue
        yield file
