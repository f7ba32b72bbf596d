"""Where psycopg2's errors become ours: nothing outside ``store`` sees one of its.

The SQLSTATE decides (PostgreSQL's manual, appendix A). Only what the content alone can
cause is the content's fault; all else lets the file wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2

from ..errors import (
    ConfigurationError,
    DatabaseUnavailable,
    ExportdError,
    PermanentError,
    TransientError,
)

# The class of "connection exception", for errors of a connection that bear no code.
NO_CONNECTION = "08"


class StalePlan(TransientError):
    """Another worker was faster; the whole transaction is to be done again."""


class DatabaseRefuses(DatabaseUnavailable):
    """PostgreSQL answers, but cannot do the work now: no space, no memory, read-only."""


class DatabaseMisconfigured(DatabaseRefuses, ConfigurationError):
    """Tables or rights are missing: a command ends with 78, a running daemon waits."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors for the driver's; the driver's stays as the cause.

    A driver message may quote a row, hence message text: only its first line is told,
    and for errors about data not even that.
    """
    try:
        yield
    except psycopg2.ProgrammingError as error:
        if error.pgcode is not None:
            raise _ours(error) from error
        # libpq quotes what it does not understand, and a URL holds a password.
        raise ConfigurationError(
            "the database URL is not understood; expected "
            "postgresql://user:password@host:port/database (EXPORTD_DATABASE_URL, or url in "
            "[database])"
        ) from None
    except psycopg2.Error as error:
        if (ours := _ours(error)) is error:
            raise
        raise ours from error


def sqlstate_class(error: ExportdError) -> str | None:
    """The first two signs of the SQLSTATE behind an error of ours; None without one."""
    code = getattr(error.__cause__, "pgcode", None)
    if code:
        return str(code)[:2]
    return NO_CONNECTION if isinstance(error, DatabaseUnavailable) else None


def _ours(error: psycopg2.Error) -> Exception:
    # psycopg2 rolls back even where the connection broke: what broke it stands behind that.
    if isinstance(error, psycopg2.InterfaceError) and isinstance(
        error.__context__, psycopg2.Error
    ):
        return _ours(error.__context__)
    code = error.pgcode or NO_CONNECTION
    return next(make for prefixes, make in _BY_STATE if code.startswith(prefixes))(error)


def _stale(error: psycopg2.Error) -> Exception:
    return StalePlan(f"another worker changed the same rows ({_name(error)})")


def _locked(_error: psycopg2.Error) -> Exception:
    return TransientError(
        "another session of the database holds rows that this file needs; see "
        "pg_stat_activity if it stays so"
    )


def _interrupted(error: psycopg2.Error) -> Exception:
    return TransientError(
        f"PostgreSQL gave it up ({_first_line(error)}); if it stays so, see the server's log, "
        "or raise timeout in [database]"
    )


def _too_much(error: psycopg2.Error) -> Exception:
    return PermanentError(
        f"PostgreSQL cannot hold this export ({_name(error)}): a text or number in it is "
        "beyond the server's limits"
    )


def _bug(error: psycopg2.Error) -> Exception:
    return error


def _misconfigured(error: psycopg2.Error) -> Exception:
    return DatabaseMisconfigured(
        f"the database is not set up for exportd ({_first_line(error)}); run "
        "'exportd migrate' with a role that owns the schema"
    )


def _refused(error: psycopg2.Error) -> Exception:
    return DatabaseRefuses(
        f"PostgreSQL cannot work now: {_first_line(error)}; exportd goes on by itself when "
        "that is mended"
    )


def _unavailable(error: psycopg2.Error) -> Exception:
    return DatabaseUnavailable(f"PostgreSQL does not answer: {_first_line(error)}")


# The first whose beginning a SQLSTATE has.
_BY_STATE: tuple[tuple[tuple[str, ...], Callable[[psycopg2.Error], Exception]], ...] = (
    (("40", "23505", "23503"), _stale),
    (("55P03",), _locked),
    (("57014", "55", "XX"), _interrupted),
    (("54", "22001", "22003"), _too_much),
    (("22", "23"), _bug),
    (("42", "3D", "3F", "28", "0A", "0L", "0P"), _misconfigured),
    (("53", "58", "25006"), _refused),
    (("",), _unavailable),
)


def _name(error: psycopg2.Error) -> str:
    return type(error).__name__


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
