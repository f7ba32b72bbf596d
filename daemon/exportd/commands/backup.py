"""``exportd backup``: database and files, of one moment, into a folder of their own."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ..archive import Archive
from ..backup import folder as backups
from ..backup.checking import Damage, Reader
from ..backup.listing import by_place
from ..backup.making import Made, Order, make
from ..errors import ConfigurationError, DamagedBackup, RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..lifecycle import database, stop_on_signals
from ..render import backup as render
from ..settings import Settings
from ..store import Store
from .terminal import bar


@click.command("backup")
@click.argument("into", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Then remove all but the last N."
)
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    metavar="N",
    help="Then remove those that are older than N days.",
)
@click.option(
    "--link/--copy",
    default=True,
    help="Link files that the backup before has already, or copy everything. [default: link]",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Read back from the disk what was written. [default: verify]",
)
@click.option("--check", is_flag=True, help="Make none; read the backups in DIR back.")
@click.option("--json", "as_json", is_flag=True, help="What was done as JSON.")
@click.pass_obj
def command(
    settings: Settings, /, *, into: Path, check: bool, as_json: bool, **how: Any
) -> int:
    """Back up the database and the memory folder.

    \b
    exportd backup /mnt/backup            DIR/exportd-20261126T160000Z
    exportd backup /mnt/backup --keep 14  and only the last fourteen stay
    exportd backup --check /mnt/backup    is every byte as it was written?
    exportd restore /mnt/backup           the other direction

    The daemon may run meanwhile. Settings and secrets are not in it; the texts of all
    conversations are. Exit code 65: the backup is made, but the archive lacks a file that
    was ingested, or --check found damage.
    """
    if check:
        if how["keep"] or how["keep_days"]:
            raise click.UsageError("--check removes nothing; expected no --keep")
        return _check(into, as_json=as_json)
    if how["keep"] and how["keep_days"]:
        raise click.UsageError("expected either --keep or --keep-days")
    started = time.monotonic()
    folders = Folders(settings.memory_dir.absolute())
    _refuse_unfit(into, folders)
    stopping = stop_on_signals()
    with backups.turn(into):
        backups.tidy(into)
        with (
            database(settings, folders, stopping) as found,
            closing(Store(found.url, stopping=stopping)) as store,
            bar("Backing up") as show,
        ):
            order = Order(
                folders,
                found.url,
                into,
                settings.database.url is None,
                how["link"],
                how["verify"],
                settings.disk_reserve_bytes,
            )
            made = make(order, store, datetime.now(UTC), stopping, show)
        removed = _remove(into, made, how["keep"], how["keep_days"])
    facts = _facts(made, removed, verified=how["verify"], took_s=time.monotonic() - started)
    click.echo(_json(facts) if as_json else render.made(facts), nl=as_json)
    return os.EX_DATAERR if made.listing.missing or made.listing.damaged else 0


def _refuse_unfit(into: Path, folders: Folders) -> None:
    if not folders.state.is_dir():
        raise ConfigurationError(
            f"{folders.memory}: expected a memory folder of exportd, found none; see "
            "--memory-dir"
        )
    backups.refuse_unfit(into, folders)
    if (folders.state / "archive-id").exists():
        Archive(folders).check()  # an empty mount point is not to be backed up
    if folders.restoring.exists():
        raise RefusedRequest(
            f"{folders.memory}: an interrupted restore lies here; run 'exportd restore' again"
        )


def _remove(into: Path, made: Made, keep: int | None, keep_days: int | None) -> list[str]:
    if not (keep or keep_days):
        return []
    ours = backups.whole(into, made.listing)
    old = backups.to_remove(ours, keep, keep_days, datetime.now(UTC))
    for backup in old:
        backups.remove(backup)
    return [backup.path.name for backup in old]


def _facts(made: Made, removed: list[str], *, verified: bool, took_s: float) -> dict[str, Any]:
    of = made.listing
    return {
        "backup": escape(str(made.path)),
        "created_at": of.created_at.isoformat(),
        "duration_s": round(took_s, 3),
        "conversations": of.conversations,
        "messages": of.messages,
        "exports": of.exports,
        "files": len(of.files),
        "size_bytes": of.size_bytes,
        "database_bytes": of.database.size_bytes,
        "new_files": made.new_files,
        "new_bytes": made.new_bytes,
        "verified": verified,
        "places": [
            {"place": place, "files": files, "size_bytes": size_bytes}
            for place, files, size_bytes in by_place(of)
        ],
        "missing": list(of.missing),
        "damaged": list(of.damaged),
        "skipped": list(of.skipped),
        "removed": removed,
    }


def _check(path: Path, *, as_json: bool) -> int:
    """Every backup in a folder, or the one that is named."""
    reader = Reader(stop_on_signals())
    found = [path / name for name in backups.names(path)] or [backups.chosen(path).path]
    checked = []
    with backups.reading(path if len(found) > 1 else found[0].parent):
        for one in found:
            damages = _damages(one, reader)
            checked.append(
                {
                    "backup": escape(str(one)),
                    "healthy": not damages,
                    "damaged": [asdict(damage) for damage in damages],
                }
            )
    facts = {"checked": checked}
    click.echo(_json(facts) if as_json else render.checked(facts), nl=as_json)
    return 0 if all(one["healthy"] for one in checked) else os.EX_DATAERR


def _damages(path: Path, reader: Reader) -> list[Damage]:
    try:
        with bar(f"Checking {printable(path.name)}") as show:
            return reader.damages(backups.opened(path), show)
    except DamagedBackup as error:
        return [Damage("backup.json", str(error))]


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False)
