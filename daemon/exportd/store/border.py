"""Where psycopg2's errors become ours: nothing outside ``store`` sees one of its."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors as pg

from ..errors import (
    ConfigurationError,
    DatabaseUnavailable,
    PermanentError,
    TransientError,
)


class StalePlan(TransientError):
    """Another worker was faster; the whole transaction is to be done again."""


_STALE = (
    pg.SerializationFailure,
    pg.DeadlockDetected,
    pg.UniqueViolation,
    pg.ForeignKeyViolation,
)
_TOO_MUCH = (
    pg.ProgramLimitExceeded,
    pg.StatementTooComplex,
    pg.StringDataRightTruncation,
    pg.NumericValueOutOfRange,
)
_MISCONFIGURED = (
    pg.InsufficientPrivilege,
    pg.UndefinedTable,
    pg.UndefinedColumn,
    pg.InvalidCatalogName,
    pg.InvalidAuthorizationSpecification,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors for the driver's; the driver's stays as the cause.

    A driver message may quote a row, hence message text: only its first line is told,
    and for errors about data not even that.
    """
    try:
        yield
    except _STALE as error:
        raise StalePlan(f"another worker changed the same rows ({_name(error)})") from error
    except pg.LockNotAvailable as error:
        raise TransientError(
            "another session of the database holds rows that this file needs; see "
            "pg_stat_activity if it stays so"
        ) from error
    except _TOO_MUCH as error:
        raise PermanentError(
            f"PostgreSQL cannot hold this export ({_name(error)}): a text or number in it is "
            "beyond the server's limits"
        ) from error
    except _MISCONFIGURED as error:
        raise ConfigurationError(
            f"the database is not set up for exportd ({_first_line(error)}); run "
            "'exportd migrate' with a role that owns the schema"
        ) from error
    except psycopg2.ProgrammingError as error:
        if error.pgcode is not None:
            raise
        # libpq quotes what it does not understand, and a URL holds a password.
        raise ConfigurationError(
            "the database URL is not understood; expected "
            "postgresql://user:password@host:port/database (EXPORTD_DATABASE_URL, or url in "
            "[database])"
        ) from None
    except (
        psycopg2.OperationalError,
        psycopg2.InterfaceError,
        pg.ReadOnlySqlTransaction,
    ) as error:
        raise DatabaseUnavailable(
            f"PostgreSQL does not answer: {_first_line(error)}"
        ) from error


def _name(error: psycopg2.Error) -> str:
    return type(error).__name__


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
