"""The command ``exportd``: options, settings and exit codes (sysexits.h)."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click
import structlog

from . import version
from .commands import COMMANDS
from .config import load
from .errors import (
    ConfigurationError,
    DatabaseUnavailable,
    ExportdError,
    FolderInUse,
    NotPermitted,
    RefusedRequest,
    TransientError,
)
from .folders import not_permitted
from .log import configure


class _Commands(click.Group):
    """Loads a command's module when it is asked for: all together take half a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{cmd_name.replace('-', '_')}", __package__)
        found: click.Command = module.command
        return found


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    epilog="Exit codes: 0 done, 1 nothing found, 64 wrong usage, 65 damage, or something could "
    "not be stored, 70 a bug, 73 another daemon has the folder, 75 try again later, 77 the "
    "folder is another user's, 78 wrong settings.",
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
@click.option(
    "-q", "--quiet", is_flag=True, help="No progress, no pager, only errors in the log."
)
@click.option("-v", "--verbose", is_flag=True, help="All that is logged.")
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
        level = "error" if quiet else "debug" if verbose else settings.log_level
        configure(level, settings.log_format, settings.log_file)
        ctx.obj = settings


class _WrongSettings:
    """Told when a command looks for a setting: --help is to be had without."""

    def __init__(self, error: ConfigurationError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> NoReturn:
        raise self._error


def main() -> None:
    """Run the command; errors become one readable message and an exit code."""
    _open_streams()
    try:
        code = cli(standalone_mode=False)
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
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
    (TransientError, "try again later", os.EX_TEMPFAIL),
    (ExportdError, "error", os.EX_SOFTWARE),
)


def _not_permitted(error: PermissionError) -> int:
    return _fail(not_permitted(error)) if error.filename else _bug()


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
