"""Bring the schema up to date: yoyo runs the plain SQL files of ``sql/migrations``."""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import as_file, files
from typing import Any
from urllib.parse import urlencode

import psycopg2
import yoyo
from psycopg2.extensions import parse_dsn

from ..errors import ConfigurationError, DatabaseUnavailable
from .border import DatabaseMisconfigured, translated
from .line import reachable
from .queries import query
from .role import grant

MIN_VERSION = 14

READ_ONLY = "the database is read-only (a standby, or default_transaction_read_only)"

# yoyo tells of every step at INFO on its own logger; ours tells once.
logging.getLogger("yoyo").setLevel(logging.WARNING)


def migrate(url: str) -> list[str]:
    """Apply what is missing; returns the ids of the migrations applied.

    An advisory lock makes daemons that start together take turns. Under it a lock row
    left by a killed yoyo is nobody's, and is broken.
    """
    with _at_start(), closing(psycopg2.connect(reachable(url))) as connection:
        connection.autocommit = True
        _check_server(connection)
        with connection.cursor() as cursor:
            cursor.execute(query("migration_lock"))
            with _locked(url) as backend:
                missing = backend.to_apply(_migrations())
                backend.apply_migrations(missing)
                grant(cursor, renew=bool(missing))
                return [migration.id for migration in missing]


def rollback(url: str) -> list[str]:
    """Undo every migration; returns their ids. All stored messages are gone then."""
    with _at_start(), _locked(url) as backend:
        applied = backend.to_rollback(_migrations())
        backend.rollback_migrations(applied)
        return [migration.id for migration in applied]


def pending(url: str) -> list[str]:
    """Ids of the migrations that the database has not seen."""
    with _at_start(), _backend(url) as backend:
        return [migration.id for migration in backend.to_apply(_migrations())]


def known_migrations() -> list[str]:
    """Ids of all migrations that this exportd has, in order."""
    return [migration.id for migration in _migrations()]


@contextmanager
def _at_start() -> Iterator[None]:
    """A schema that is wrong now is wrong until somebody corrects it."""
    try:
        with translated():
            yield
    except DatabaseMisconfigured as error:
        raise ConfigurationError(str(error)) from error


@contextmanager
def _locked(url: str) -> Iterator[Any]:
    with _backend(url) as backend:
        backend.break_lock()
        with backend.lock(timeout=1):
            yield backend


def _backend(url: str) -> Any:
    """yoyo reads URLs of its own kind; every form that libpq knows is turned into one.

    It notes who migrates by name; the user id of a container may have none.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = str(os.getuid())
    return yoyo.get_backend(f"postgresql:///?{urlencode(parse_dsn(reachable(url)))}")


def _migrations() -> Any:
    with as_file(files(__package__) / "sql" / "migrations") as folder:
        return yoyo.read_migrations(str(folder))


def _check_server(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(query("server_settings"))
        version_num, encoding, read_only = cursor.fetchone()
    if version_num < MIN_VERSION * 10_000:
        raise ConfigurationError(
            f"PostgreSQL {version_num // 10_000} is too old: expected {MIN_VERSION} or newer"
        )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database has encoding {encoding}: expected UTF8; create one with "
            "CREATE DATABASE exportd ENCODING 'UTF8' TEMPLATE template0"
        )
    if read_only:
        raise DatabaseUnavailable(READ_ONLY)
