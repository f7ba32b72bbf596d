"""``exportd ingest``: hand files over, as if they were dropped."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

import click

from .. import manifest
from ..errors import DiskTrouble, FolderInUse, RefusedRequest
from ..folders import Folders, is_unfinished, sidecar_of
from ..formats.text import escape, printable
from ..intake.sidecar import is_clear
from ..lifecycle import stop_on_signals
from ..models import Fate
from ..once import run_once
from ..settings import Settings
from ..watcher import scan
from ..workplace import workplace

_NAME_BYTES = 255


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
        _refuse_unclear(session_id)
    files = [file for path in paths for file in _files(path, folders)]
    for file in files:
        _refuse_unfit(file, session_id)
    aside = folders.exports / f"ingest-{uuid.uuid4().hex[:8]}"
    for file in files:
        _drop(file, folders.exports, aside, session_id)
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
        _tidy(aside)
    click.echo(text, nl=False)
    names = {escape(file.name) for file in files}
    dead = any(r.fate is Fate.DEAD_LETTER and r.name in names for r in reports)
    return code or (os.EX_DATAERR if dead else 0)


def _tidy(aside: Path) -> None:
    """A folder goes when everything in it was taken."""
    for folder in (*aside.glob("*"), aside):
        with suppress(OSError):
            folder.rmdir()


def _files(path: Path, folders: Folders) -> Iterator[Path]:
    """What is to be copied: not our own list, and nothing that waits already."""
    for file in scan(path) if path.is_dir() else iter([path]):
        place = file.resolve()
        if place == folders.archive.resolve() / manifest.NAME:
            continue
        if path.is_dir() and place.is_relative_to(folders.exports.resolve()):
            continue
        yield file


def _refuse_unclear(session_id: str) -> None:
    """What no sidecar could say (see ``intake.sidecar``)."""
    if not is_clear(session_id):
        raise RefusedRequest(
            f"--session-id {printable(session_id)!r}: expected one line of UTF-8 text, the id "
            "of a conversation"
        )


def _refuse_unfit(file: Path, session_id: str | None) -> None:
    name = printable(file.name)
    if is_unfinished(file.name):
        raise RefusedRequest(
            f"{name}: a name like this is of a hidden or unfinished file, which exportd leaves "
            "alone; give it another name"
        )
    if not file.is_file():
        raise RefusedRequest(f"{name}: expected a regular file, and it is none")
    if session_id is not None and len(os.fsencode(sidecar_of(file).name)) > _NAME_BYTES:
        raise RefusedRequest(
            f"{name}: the name is too long for --session-id; give it a shorter"
        )


def _drop(file: Path, exports: Path, aside: Path, session_id: str | None) -> None:
    """Copy under a hidden name, then show it whole; ``aside`` where its name is taken."""
    temporary = exports / f".{uuid.uuid4().hex}.tmp"
    try:
        shutil.copy2(file, temporary)
        for folder in chain([exports, aside], (aside / f"{n}" for n in count(2))):
            folder.mkdir(exist_ok=True)
            if _show(temporary, folder / file.name, session_id):
                return
    except OSError as error:
        raise DiskTrouble(
            f"{file}: cannot be copied to {exports} ({error.strerror})"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _show(temporary: Path, place: Path, session_id: str | None) -> bool:
    """Behind its sidecar; False where either name is taken, by a link or anything."""
    sidecar = sidecar_of(place)
    try:
        if session_id is not None:
            with sidecar.open("x", encoding="utf-8") as file:
                file.write(session_id + "\n")
    except FileExistsError:
        return False
    try:
        os.link(temporary, place)
    except FileExistsError:
        if session_id is not None:
            sidecar.unlink(missing_ok=True)  # it must not name the file that waits there
        return False
    return True
