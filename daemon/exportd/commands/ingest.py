"""``exportd ingest``: hand files over, as if they were dropped."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import click

from ..config import Settings
from ..errors import DiskTrouble, FolderInUse
from ..folders import Folders, sidecar_of
from ..lifecycle import stop_on_signals
from ..service import service
from ..watcher import scan


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
    """Copy exports into the drop folder and ingest what waits there.

    \b
    exportd ingest notes.txt --session-id rollout-master
    exportd ingest ~/exports/

    The files themselves stay where they are. While a daemon works in the folder it takes
    them up, and this command ends when they are handed over.
    """
    folders = Folders(settings.memory_dir.absolute())
    folders.create()
    files = [file for path in paths for file in _files(path)]
    for file in files:
        _drop(file, folders.exports, session_id)
    try:
        with service(settings, stop_on_signals()) as running:
            code, _, text = running.run_once()
    except FolderInUse:
        click.echo(
            f"{len(files)} files handed to the daemon that works here; "
            f"{folders.status_log.name} tells what becomes of them."
        )
        return 0
    click.echo(text, nl=False)
    return code


def _files(path: Path) -> Iterator[Path]:
    return scan(path) if path.is_dir() else iter([path])


def _drop(file: Path, exports: Path, session_id: str | None) -> None:
    """Copy under a hidden name, then show it at once, whole, behind its sidecar."""
    place = exports / file.name
    temporary = exports / f".{uuid.uuid4().hex}.tmp"
    try:
        shutil.copy2(file, temporary)
        if session_id is not None:
            sidecar_of(place).write_text(session_id + "\n", encoding="utf-8")
        os.link(temporary, place)
    except FileExistsError as error:
        raise DiskTrouble(f"{place}: a file of this name waits already; try again") from error
    except OSError as error:
        raise DiskTrouble(
            f"{file}: cannot be copied to {exports} ({error.strerror})"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
