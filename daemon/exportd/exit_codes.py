"""The exit codes of all commands, those of ``sysexits.h`` where it has one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExitCode:
    """``name`` as in ``sysexits.h``, or "" where it has none; ``what_to_do`` for scripts."""

    number: int
    name: str
    meaning: str
    what_to_do: str


EXIT_CODES = (
    ExitCode(0, "EX_OK", "done", "nothing"),
    ExitCode(1, "", "a search found nothing", "ask with other words, or fewer filters"),
    ExitCode(
        64,
        "EX_USAGE",
        "wrong usage, an unknown id, or a request that is refused",
        "read the message; the same command fails again",
    ),
    ExitCode(
        65,
        "EX_DATAERR",
        "damage was found, or something could not be stored",
        "read the report, which names each place",
    ),
    ExitCode(70, "EX_SOFTWARE", "a bug in exportd", "report the traceback; nothing is lost"),
    ExitCode(
        73,
        "EX_CANTCREAT",
        "another daemon has the memory folder",
        "stop that one, or name another folder",
    ),
    ExitCode(
        75,
        "EX_TEMPFAIL",
        "not now: database, disk or a channel is away, or files wait",
        "run the same command later",
    ),
    ExitCode(
        77,
        "EX_NOPERM",
        "the folder is another user's",
        "become that user, or mend the owner",
    ),
    ExitCode(
        78,
        "EX_CONFIG",
        "wrong settings, schema or folders",
        "mend what the message names; 'exportd check-config' names all that is wrong",
    ),
    ExitCode(130, "", "interrupted by Ctrl-C", "run the same command again"),
)
