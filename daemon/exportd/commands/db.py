"""``exportd db``: reach the database with tools of your own."""

from __future__ import annotations

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


@click.group("db")
def command() -> None:
    """Reach the database with tools of your own."""


@command.command("url")
@click.pass_obj
def url(settings: Settings) -> int:
    """Print the database's URL.

    The embedded server answers there as long as a daemon, or another command, runs.
    """
    with _database(settings) as found:
        click.echo(found.url)
        if settings.database.url is None:
            click.echo("It answers while a daemon or another exportd command runs.", err=True)
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
    exportd db psql -c "SELECT role, count(*) FROM messages GROUP BY role"
    """
    with _database(settings) as found:
        environment = {**os.environ, **connection_variables(found.url)}
        program = shutil.which("psql") or os.fspath(binary("psql"))
        return subprocess.run([program, *arguments], env=environment, check=False).returncode  # noqa: S603


def _database(settings: Settings) -> AbstractContextManager[Database]:
    return database(settings, Folders(settings.memory_dir.absolute()))
