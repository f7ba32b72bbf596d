"""The command ``exportd``: options, settings and exit codes (sysexits.h)."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import structlog

from . import version
from .command_group import Commands
from .config import load
from .errors import (
    ConfigurationError,
    DamagedBackup,
    DatabaseUnavailable,
    DiskTrouble,
    ExportdError,
    FolderInUse,
    NotPermitted,
    RefusedRequest,
    TransientError,
)
from .folders import not_permitted
from .formats.text import escape, printable
from .log import configure
from .settings import Settings


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.version_option(package_name="exportd", prog_name="exportd")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file [default: $EXPORTD_CONFIG, or exportd.toml where it exists].",
)
@click.option(
    "--memory-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that holds exports/ and everything else [default: MEMORY-CONTEXT].",
)
@click.option("-q", "--quiet", is_flag=True, help="Nothing but errors, and what was asked for.")
@click.option("-v", "--verbose", is_flag=True, help="Log everything.")
@click.pass_context
def cli(
    ctx: click.Context,
    config: Path | None,
    memory_dir: Path | None,
    *,
    quiet: bool,
    verbose: bool,
) -> None:
    """Keep every message of your AI conversations, once.

    Drop exports into MEMORY-CONTEXT/exports; exportd recognises the session, stores what
    is new in PostgreSQL, archives the file and writes a readable session file.

    \b
    exportd run                      the daemon; drop files while it runs
    exportd status                   how it stands, and what to do next
    exportd COMMAND --help           examples of each command
    exportd --memory-dir DIR status  another folder than ./MEMORY-CONTEXT
    """
    if quiet and verbose:
        raise click.UsageError("expected either --quiet or --verbose")
    os.umask(0o077)  # what exportd writes is for the eyes of its user
    configure("info", "json")  # until the settings say otherwise
    overrides: dict[str, Any] = {"memory_dir": memory_dir} if memory_dir else {}
    try:
        settings = load(config, overrides)
    except ConfigurationError as error:
        ctx.obj = _WrongSettings(error)
    else:
        configure(_level(ctx, settings), settings.log_format, settings.log_file)
        ctx.obj = settings


def _level(ctx: click.Context, settings: Settings) -> str:
    """What is logged: a command that a person calls prints its results, and logs trouble."""
    if ctx.params["quiet"] or ctx.params["verbose"]:
        return "error" if ctx.params["quiet"] else "debug"
    is_daemon = ctx.invoked_subcommand == "run" or settings.log_file
    return "warning" if settings.log_level == "info" and not is_daemon else settings.log_level


class _WrongSettings:
    """Told when a command looks for a setting: --help is to be had without."""

    def __init__(self, error: ConfigurationError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> NoReturn:
        raise self._error


def main() -> None:
    """Run the command; errors become one readable message and an exit code."""
    # Of the thousands of messages of an export none is a cycle: looking for those less often
    # saves a tenth of the time.
    gc.set_threshold(20_000)
    _open_streams()
    try:
        code = cli(prog_name="exportd", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = os.EX_USAGE
    except ExportdError as error:
        code = _fail(error)
    except PermissionError as error:
        code = _not_permitted(error)
    except BrokenPipeError:
        _say_no_more()
        code = 0
    except OSError as error:
        code = _full(error) if error.errno in (errno.ENOSPC, errno.EDQUOT) else _bug()
    except Exception:
        code = _bug()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # all is done; the exit code is to be this one
    sys.exit(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """What a parent closed is /dev/null, or the next file opened would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115


# The first that an error is an instance of: how it is called, and the exit code.
_ERRORS: tuple[tuple[type[ExportdError], str, int], ...] = (
    (ConfigurationError, "settings", os.EX_CONFIG),
    (NotPermitted, "not permitted", os.EX_NOPERM),
    (FolderInUse, "folder in use", os.EX_CANTCREAT),
    (RefusedRequest, "refused", os.EX_USAGE),
    (DamagedBackup, "damaged", os.EX_DATAERR),
    (TransientError, "try again later", os.EX_TEMPFAIL),
    (ExportdError, "error", os.EX_SOFTWARE),
)


def _not_permitted(error: PermissionError) -> int:
    return _fail(not_permitted(error)) if error.filename else _bug()


def _full(error: OSError) -> int:
    """The disk of a file that has a name, or of what standard output leads to."""
    if error.filename is None:
        _say_no_more()
    where = printable(escape(os.fsdecode(error.filename or "standard output")))
    return _fail(DiskTrouble(f"{where}: cannot be written ({error.strerror})"))


def _say_no_more() -> None:
    """What is left for standard output goes nowhere: the exit code is to be ours."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug() -> int:
    """Told without the error's own words: they may quote a message or a secret."""
    structlog.get_logger().exception("exportd.bug", version=version())
    return os.EX_SOFTWARE


def _fail(error: ExportdError) -> int:
    what, code = next((w, c) for kind, w, c in _ERRORS if isinstance(error, kind))
    told = str(error)
    if isinstance(error, DatabaseUnavailable) and "EXPORTD" not in told:
        told += "; see EXPORTD_DATABASE_URL"
    lines = told.splitlines()
    text = lines[0] if len(lines) == 1 else "\n  " + "\n  ".join(lines)
    click.echo(f"exportd: {what}: {text}", err=True)
    return code
