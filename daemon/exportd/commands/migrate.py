"""``exportd migrate``: bring the schema up to date."""

from __future__ import annotations

import json

import click

from .. import store
from ..folders import Folders
from ..lifecycle import database
from ..settings import Settings


@click.command("migrate")
@click.option("--pending", is_flag=True, help="Only name the migrations that are missing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def command(settings: Settings, *, pending: bool, as_json: bool) -> int:
    """Bring the schema of the database up to date.

    The daemon does so itself unless auto_migrate is off.

    \b
    exportd migrate --pending    what is missing
    exportd migrate              apply it
    """
    with database(settings, Folders(settings.memory_dir.absolute())) as found:
        ids = store.pending(found.url) if pending else store.migrate(found.url)
    word = "missing" if pending else "applied"
    if as_json:
        click.echo(json.dumps({"applied": [], "missing": [], word: ids}))
        return 0
    click.echo("\n".join(f"{word}: {name}" for name in ids) or "The schema is up to date.")
    return 0
