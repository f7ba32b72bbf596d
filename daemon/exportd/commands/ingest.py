"""``exportd ingest``: hand files over, as if they were dropped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from .. import manifest
from ..errors import ConfigurationError, FolderInUse, RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..handover import drop, new_folder, refuse_unclear, refuse_unfit, tidy
from ..lifecycle import database, stop_on_signals
from ..models import Fate, Report, is_deferred
from ..once import run_once
from ..rehearsal import rehearse
from ..render.batch import batch
from ..render.wording import some
from ..settings import Settings
from ..store import Store
from ..watcher import scan
from ..workplace import limits, workplace
from .terminal import bar


@click.command("ingest")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="FILE|DIR...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option("--session-id", help="The conversation they belong to, whatever they are called.")
@click.option("--dry-run", is_flag=True, help="Only say what would become of them.")
@click.option("--json", "as_json", is_flag=True, help="What became of each file, as JSON.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    session_id: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Copy exports in and ingest them.

    \b
    exportd ingest notes.txt --session-id rollout-master
    exportd ingest ~/exports/
    exportd ingest --dry-run ~/exports/    what is new in them; nothing is stored

    The files themselves stay where they are. While a daemon works in the folder it takes
    them up, and this command ends when they are handed over. A dry run may be made beside
    a daemon, whose files of the same sessions wait for its end. Exit code 65: one of them
    became a dead letter; 75: something has to wait.
    """
    folders = Folders(settings.memory_dir.absolute())
    if session_id is not None:
        refuse_unclear(session_id)
    files = [file for path in paths for file in _files(path, folders)]
    if not files:
        raise RefusedRequest(
            f"{printable(escape(str(paths[0])))}: expected files to ingest, found none"
        )
    for file in files:
        refuse_unfit(file, session_id)
    if dry_run:
        reports = _rehearse(settings, folders, files, session_id)
    else:
        _make(folders)
        found = _ingest(settings, folders, files, session_id)
        if found is None:
            click.echo(_handed_over(len(files), folders, as_json=as_json), nl=not as_json)
            return 0
        reports = found
    if as_json:
        facts = {"dry_run": dry_run, "files": [asdict(report) for report in reports]}
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        click.echo(batch(reports, is_rehearsal=dry_run), nl=False)
    return _code(reports, files)


def _make(folders: Folders) -> None:
    """The memory folder; that a new one is made is told: the wrong folder is soon chosen."""
    if not folders.state.is_dir():
        click.echo(f"exportd: a new memory folder: {printable(str(folders.memory))}", err=True)
    folders.create()


def _rehearse(
    settings: Settings, folders: Folders, files: list[Path], session_id: str | None
) -> list[Report]:
    with (
        database(settings, folders) as found,
        closing(Store(found.url, rehearsal=True)) as store,
        bar("Reading") as show,
    ):
        if missing := store.pending():
            raise ConfigurationError(
                f"the database lacks {', '.join(missing)}; run 'exportd migrate'"
            )
        reports = []
        for report in rehearse(store, folders, limits(settings), files, session_id):
            reports.append(report)
            show(len(reports), len(files))
    return reports


def _ingest(
    settings: Settings, folders: Folders, files: list[Path], session_id: str | None
) -> list[Report] | None:
    """What became of everything that waited; None where a daemon takes it up."""
    aside = new_folder(folders.exports)
    for file in files:
        drop(file, folders.exports, aside, session_id)
    try:
        with workplace(settings, stop_on_signals()) as place, bar("Ingesting") as show:
            waiting = len(list(scan(folders.exports)))
            return run_once(place, lambda done: show(done, max(done, waiting)))[1]
    except FolderInUse:
        return None
    finally:
        tidy(aside)


def _handed_over(count: int, folders: Folders, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"dry_run": False, "handed_over": count, "files": []}) + "\n"
    return (
        f"{some(count, 'file')} handed to the daemon that works here; "
        f"{folders.status_log.name} tells what becomes of "
        f"{'it' if count == 1 else 'them'}."
    )


def _code(reports: list[Report], files: list[Path]) -> int:
    """65 where one of these files is a dead letter, 75 where anything has to wait."""
    if any(map(is_deferred, reports)):
        return os.EX_TEMPFAIL
    names = {escape(file.name) for file in files}
    dead = any(r.fate is Fate.DEAD_LETTER and r.name in names for r in reports)
    return os.EX_DATAERR if dead else 0


def _files(path: Path, folders: Folders) -> Iterator[Path]:
    """What is to be copied: not our own list, and nothing that waits already."""
    for file in scan(path) if path.is_dir() else iter([path]):
        place = file.resolve()
        if place == folders.archive.resolve() / manifest.NAME:
            continue
        if path.is_dir() and place.is_relative_to(folders.exports.resolve()):
            continue
        yield file
