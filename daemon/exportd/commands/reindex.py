"""``exportd reindex``: the database anew from the archive."""

from __future__ import annotations

import os

import click

from .. import manifest, reindex
from ..errors import RefusedRequest
from ..folders import Folders
from ..indexer import catch_up
from ..lifecycle import database, held
from ..settings import Settings
from ..store import (
    Store,
    discard_staging,
    migrate,
    searching,
    sole_staging,
    staging_url,
    swap,
)
from ..workplace import limits
from .conversations import write_sessions
from .terminal import bar


@click.command("reindex")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.pass_obj
def command(settings: Settings, *, dry_run: bool) -> int:
    """Rebuild the database from exports-archive/ alone.

    \b
    exportd reindex --dry-run    read everything again and compare
    exportd reindex              the same, and put it in the place of what is stored

    After a lost database, or when a newer exportd reads a format better. Everything is
    built beside what is stored, which stays as it is until the last moment; an interrupted
    run goes on where it stopped. Exit code 65: a file that was ingested once cannot be
    read, nothing changed.
    """
    folders = Folders(settings.memory_dir.absolute())
    if not folders.archive.is_dir():
        raise RefusedRequest(
            f"there is no {folders.archive}; expected a memory folder with an archive to "
            "rebuild the database from, see --memory-dir"
        )
    folders.create()
    with held(folders), database(settings, folders) as found, sole_staging(found.url):
        migrate(found.url)
        store = Store(found.url)
        contents = reindex.inventory(folders, store)
        if contents and not (folders.archive / manifest.NAME).exists():
            click.echo(
                f"There is no {folders.archive.name}/{manifest.NAME}: names and times are "
                "those of the archived files, and what people decided is known from the "
                "database alone."
            )
        with bar("Reading the archive") as show:
            count = iter(range(1, len(contents) + 1))
            problems = reindex.rebuild(
                found.url,
                contents,
                folders,
                store,
                lambda: show(next(count), len(contents)),
                limits(settings),
            )
        for problem in problems:
            click.echo(f"{problem.name} cannot be read: {problem.reason}")
        if any(problem.is_known for problem in problems):
            click.echo("Nothing was changed; what is built so far is kept for the next run.")
            return os.EX_DATAERR
        before = set(store.conversation_ids())
        staging = Store(staging_url(found.url))
        changed = list(reindex.differences(store, staging))
        after = set(staging.conversation_ids())
        staging.close()
        _tell(len(contents), len(after), changed)
        if dry_run:
            discard_staging(found.url)
            click.echo("Nothing was changed (--dry-run).")
            return 0
        store.run(swap)
        code = write_sessions(settings, folders, store, before | after)
        with bar("Indexing for search") as show:
            total = store.run(searching.lag)
            catch_up(store, show=lambda remaining: show(total - remaining, total))
        store.close()
    click.echo("The database is rebuilt from the archive.")
    return code


def _tell(files: int, conversations: int, changed: list[reindex.Difference]) -> None:
    click.echo(f"{files} archived contents give {conversations} conversations.")
    if not changed:
        click.echo("They are exactly what is stored.")
        return
    click.echo(f"{len(changed)} conversations differ from what is stored:")
    width = max(len(difference.conversation_id) for difference in changed)
    for difference in changed:
        click.echo(
            f"  {difference.conversation_id:<{width}}  {difference.before:>6} -> "
            f"{difference.after:>6} messages  {difference.what}"
        )
