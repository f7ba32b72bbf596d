"""``exportd db``: reach the database with tools of your own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import AbstractContextManager

import click

from ..embedded import binary
from ..folders import Folders
from ..lifecycle import Database, database
from ..settings import Settings
from ..store import connection_variables
from .terminal import note


@click.group("db")
def command() -> None:
    """Reach the database with tools of your own.

    \b
    exportd db url
    exportd db psql -c "SELECT count(*) FROM messages"
    """


@command.command("url")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def url(settings: Settings, *, as_json: bool) -> int:
    """Print the database's URL, its password included.

    The embedded server answers there as long as a daemon, or another command, runs.

    \b
    pg_dump "$(exportd db url)" > copy.sql    while the daemon runs
    """
    is_embedded = settings.database.url is None
    with _database(settings) as found:
        if as_json:
            click.echo(json.dumps({"url": found.url, "is_embedded": is_embedded}))
        else:
            click.echo(found.url)
        if is_embedded:
            note("It answers while a daemon or another exportd command runs.")
    return 0


@command.command(
    "psql",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def psql(settings: Settings, arguments: tuple[str, ...]) -> int:
    """Open psql on the database, with any of psql's own arguments.

    \b
    exportd db psql
    exportd db psql -c "SELECT role, count(*) FROM messages GROUP BY role"
    """
    with _database(settings) as found:
        environment = {**os.environ, **connection_variables(found.url)}
        program = shutil.which("psql") or os.fspath(binary("psql"))
        return subprocess.run([program, *arguments], env=environment, check=False).returncode  # noqa: S603


def _database(settings: Settings) -> AbstractContextManager[Database]:
    return database(settings, Folders(settings.memory_dir.absolute()))
