"""``exportd restore``: a backup into an empty place."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from .. import verify
from ..backup import folder as backups
from ..backup import restoring
from ..backup.checking import Damage, Reader
from ..backup.folder import Backup
from ..backup.listing import DUMP, MEMORY
from ..embedded import binary
from ..folders import Folders
from ..formats.text import escape
from ..lifecycle import database, held, stop_on_signals
from ..render import backup as render
from ..render.verification import verification_report
from ..settings import Settings
from ..store import Store
from ..store.backing import read_place
from ..workplace import limits
from .conversations import write_sessions
from .terminal import bar


@click.command("restore")
@click.argument("source", metavar="DIR[/NAME]", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option(
    "--from-archive",
    is_flag=True,
    help="The files alone, where the dump is damaged; exportd reindex does the rest.",
)
@click.option(
    "--skip-damaged", is_flag=True, help="Leave damaged files out, rather than refuse."
)
@click.option("--json", "as_json", is_flag=True, help="What was done as JSON.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    source: Path,
    dry_run: bool,
    from_archive: bool,
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Restore a backup into an empty memory folder.

    \b
    exportd restore /mnt/backup --dry-run    is it whole, is here room?
    exportd restore /mnt/backup              the newest one there
    exportd restore /mnt/backup/exportd-20261126T160000Z

    The database goes where the settings say: into the embedded server, or the empty database
    of EXPORTD_DATABASE_URL. Every hash is checked first, and everything once more at the end,
    as by exportd verify. An interrupted restore goes on when it is run again. Exit code 65:
    the backup is damaged, and nothing was restored; or verify found damage.
    """
    stopping = stop_on_signals()
    folders = Folders(settings.memory_dir.absolute())
    backup = backups.chosen(source)
    backups.refuse_unfit(backup.path, folders)
    restoring.refuse_newer(backup.listing)
    with backups.reading(backup.path.parent):
        if not restoring.check_folder(folders, backup):
            restoring.check_room(folders, backup)
        if not from_archive:
            _check_database(settings, backup)
        left_out = _left_out(
            backup, stopping, from_archive=from_archive, skip_damaged=skip_damaged
        )
        facts = _facts(folders, backup, left_out, from_archive=from_archive, dry_run=dry_run)
        report, code = None, 0
        if not dry_run:
            report, code = _restore(settings, folders, backup, left_out, stopping, facts)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        click.echo(render.restored(facts), nl=False)
        if report:
            click.echo(f"\n{report}", nl=False)
    return code


def _check_database(settings: Settings, backup: Backup) -> None:
    """Before anything is made; the embedded one is as empty as its folder."""
    if settings.database.url is not None:
        with closing(Store(settings.database.url.get_secret_value())) as store:
            restoring.check_database(store.run(read_place), backup)
    else:
        binary("pg_restore")


def _left_out(
    backup: Backup, stopping: threading.Event, *, from_archive: bool, skip_damaged: bool
) -> set[str]:
    """Check every hash; the paths of files that people agreed to lose."""
    with bar("Checking") as show:
        damages = Reader(stopping).damages(backup, show)
    fatal = [one for one in damages if not _may_lack(one, from_archive, skip_damaged)]
    restoring.refuse_damage(backup, fatal, from_archive=from_archive)
    return {one.path.removeprefix(f"{MEMORY}/") for one in damages if one not in fatal} - {DUMP}


def _may_lack(damage: Damage, from_archive: bool, skip_damaged: bool) -> bool:  # noqa: FBT001
    if damage.path == DUMP:
        return from_archive
    return skip_damaged and damage.path.startswith(f"{MEMORY}/")


def _facts(
    folders: Folders, backup: Backup, left_out: set[str], *, from_archive: bool, dry_run: bool
) -> dict[str, Any]:
    of, here = backup.listing, escape(str(folders.memory))
    return {
        "backup": escape(str(backup.path)),
        "created_at": of.created_at.isoformat(),
        "memory_dir": here,
        "moved_from": of.memory_dir if of.memory_dir != here and not from_archive else None,
        "dry_run": dry_run,
        "from_archive": from_archive,
        "files": len(of.files) - len(left_out),
        "left_out": sorted(left_out),
        "missing": list(of.missing),
        "conversations": 0 if from_archive else of.conversations,
        "messages": 0 if from_archive else of.messages,
        "migrated": [],
        "healthy": None,
        "findings": None,
        "next": ["exportd reindex"] if from_archive and not dry_run else [],
    }


def _restore(
    settings: Settings,
    folders: Folders,
    backup: Backup,
    left_out: set[str],
    stopping: threading.Event,
    facts: dict[str, Any],
) -> tuple[str | None, int]:
    """Files, then the database, then what is derived, then the proof."""
    folders.create()
    with held(folders, restoring=True):
        restoring.begin(folders, backup)
        with bar("Restoring files") as show:
            restoring.bring_files(folders, backup, left_out, stopping, show)
        if facts["from_archive"]:
            restoring.end(None, folders)
            return None, 0
        with (
            database(settings, folders, stopping) as found,
            closing(Store(found.url, stopping=stopping)) as store,
        ):
            facts["migrated"] = restoring.bring_database(found.url, store, backup, stopping)
            restoring.move_rows(store, backup.listing.memory_dir, facts["memory_dir"])
            write_sessions(settings, folders, store, store.conversation_ids())
            restoring.end(store, folders)
            return _verify(settings, found.url, store, folders, facts)


def _verify(
    settings: Settings, url: str, store: Store, folders: Folders, facts: dict[str, Any]
) -> tuple[str, int]:
    alone = settings.database.url is None
    bounds, started = limits(settings).bounds, time.monotonic()
    with closing(Store(url)) as live, bar("Verifying") as show:
        done = verify.verify(store, live, folders, show, alone=alone, bounds=bounds)
    took_s = time.monotonic() - started
    facts["healthy"] = not done.damages
    facts["findings"] = len(done.findings)
    report = verification_report(
        done.findings, done.checked, done.bytes, done.not_checked, took_s
    )
    return report, os.EX_DATAERR if done.damages else 0
