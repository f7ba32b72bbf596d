"""docs/reference/fates.md: what becomes of files and commands."""

from __future__ import annotations

import inspect
import re

from exportd import errors
from exportd.cli import _ERRORS
from exportd.models import Fate

from . import code, page, prose, table

_FATES = {
    Fate.INGESTED: "Its new messages are stored. The file is in `exports-archive/`.",
    Fate.UNCHANGED: "It was read and had nothing new. The file is in `exports-archive/`.",
    Fate.DUPLICATE_FILE: "The same bytes came before, under this or another name. They are in "
    "`exports-archive/` once.",
    Fate.DEAD_LETTER: "It cannot be ingested. The file is in `exports-failed/`, with its "
    "reason in `NAME.reason.txt`.",
    Fate.DEFERRED: "It waits in `exports/`, and is taken by itself when it can be.",
}


def all_errors() -> list[type[errors.ExportdError]]:
    """The classes of errors.py, in its order."""
    return [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.ExportdError)
    ]


def fates_page() -> str:
    fates = [(code(fate.value), _FATES[fate]) for fate in Fate]
    body = [(code(one.__name__), _becomes(one), _meaning(one)) for one in all_errors()]
    return page(
        "Fates and errors",
        "What may become of a dropped file, and of a command that fails. There is no sixth "
        "fate, and no file without one.\n",
        table(("fate", "what it means"), fates),
        "\n## Errors\n\n"
        "Errors decide fate. A dead letter has the name of its error in "
        "`dead_letters.error_class`; what a command prints begins with the words in "
        "quotes. An error of any other class is a bug in exportd: a traceback in the log, "
        "a dead letter, the next file (exit code 70).\n\n",
        table(("error", "file, command", "what it means"), body),
    )


def _becomes(error: type[errors.ExportdError]) -> str:
    word, exit_code = next((word, n) for kind, word, n in _ERRORS if issubclass(error, kind))
    exits = f"“exportd: {word}: …”, exit code {exit_code}"
    if issubclass(error, errors.PermanentError):
        return "dead letter"
    if issubclass(error, errors.TransientError):
        return f"deferred; {exits}"
    return exits


def _meaning(error: type[errors.ExportdError]) -> str:
    text = inspect.cleandoc(error.__doc__ or "")
    return prose(re.sub(r"[;,]? ?\(?exit code \d+ \([^)]*\)", "", text))
