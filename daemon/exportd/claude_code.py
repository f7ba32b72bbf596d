"""``exportd integrate claude-code``: hooks and a slash command, put in and taken out again.

First a plan of files as they are and as they will be, then, when somebody said yes, the
writing. The slash command remembers in its last line what was made for the hooks, so that
what goes when they go is what came with them.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from .claude_settings import OURS, checked, with_hooks, without_hooks
from .errors import DiskTrouble, RefusedRequest
from .folders import replace_file
from .formats.text import printable

EVENTS = ("PreCompact", "SessionEnd")
ANSWER = "Stop"  # fires at the end of every answer
COMMAND = Path("commands") / "export-dedup.md"
_MARK = re.compile(r"<!-- exportd integrate claude-code; in (\S+); made: (.*) -->\n?\Z")
_EMPTY = "{}\n"

_TEXT = """\
---
description: Hand this session to exportd, and say how it stands
allowed-tools: Bash({hook}:*), Bash({exportd}:*)
disable-model-invocation: true
---

This session was just handed to exportd:

!`{hook} --session ${{CLAUDE_SESSION_ID}}`

How exportd stands:

!`{exportd} status`

Say in two or three sentences whether the session was handed over, whether a daemon works in
the folder (if none does, `exportd run --once` ingests what waits), and what needs attention.
Change nothing.

<!-- exportd integrate claude-code; in {name}; made: {made} -->
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A file as it is and as it will be; None where there is none."""

    path: Path
    before: str | None
    after: str | None

    def diff(self) -> Iterator[str]:
        """Unified, safe to show in a terminal."""
        was, will_be = (self.before or "").splitlines(), (self.after or "").splitlines()
        name = printable(str(self.path))
        old = name if self.before is not None else "/dev/null"
        new = name if self.after is not None else "/dev/null"
        for line in unified_diff(was, will_be, old, new, lineterm=""):
            yield printable(line)


def install(
    folder: Path, settings_name: str, memory_dir: Path, *, every_answer: bool
) -> list[Change]:
    """What is to change in ``folder``, a ``.claude``; nothing where all is there already.

    Raises ``RefusedRequest`` for settings that are no JSON, for a slash command of that name
    that is somebody else's, and where it is installed in the other settings.
    """
    settings, before = _settings(folder, settings_name)
    command_file, told = _command(folder)
    where, made = _mark(told)
    if where not in (None, settings_name):
        raise RefusedRequest(
            f"{folder}: it is installed in {where}; take it out of there first, with --remove"
        )
    text = _EMPTY if before is None else before
    checked(text, printable(str(settings)))
    hook = f"{_python()} {OURS.strip()} --memory-dir {_quoted(memory_dir)}"
    events = (*EVENTS, ANSWER) if every_answer else EVENTS
    after, anew = with_hooks(without_hooks(text, made), events, hook)
    if before is None or "file" in (made or ()):
        anew = ["file", *anew]
    document = _TEXT.format(
        hook=hook,
        exportd=f"{_python()} -m exportd --memory-dir {_quoted(memory_dir)}",
        name=settings_name,
        made=" ".join(anew) or "nothing",
    )
    changes = (Change(settings, before, after), Change(command_file, told, document))
    return [change for change in changes if change.before != change.after]


def removal(folder: Path, settings_name: str) -> list[Change]:
    """What takes it all out again; other hooks, and what else changed since, stay."""
    settings, before = _settings(folder, settings_name)
    command_file, told = _command(folder)
    where, made = _mark(told)
    changes = []
    if where not in (None, settings_name):
        made = None
    else:
        changes.append(Change(command_file, told, None))
    if before is not None:
        checked(before, printable(str(settings)))
        after: str | None = without_hooks(before, made)
        if after == _EMPTY and "file" in (made or ()):
            after = None
        changes.append(Change(settings, before, after))
    return [change for change in reversed(changes) if change.before != change.after]


def carry_out(changes: Sequence[Change]) -> None:
    """Write what was planned, each file whole or not at all.

    Raises ``RefusedRequest`` where a file is no longer what was shown.
    """
    for change in changes:
        if _read(change.path) != change.before:
            raise RefusedRequest(
                f"{printable(str(change.path))}: changed since it was shown; say it again"
            )
        try:
            if change.after is None:
                change.path.unlink()
                for place in (change.path.parent, change.path.parent.parent):
                    if place.name in (".claude", "commands"):
                        with suppress(OSError):  # others have something in there
                            place.rmdir()
            else:
                change.path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(change.path, change.after.encode(), 0o600)
        except OSError as error:
            raise DiskTrouble(
                f"{printable(str(change.path))}: cannot be written ({error.strerror})"
            ) from error


def _python() -> str:
    """Without the current folder on the path: a project may have a ``json.py``."""
    return f"{_quoted(Path(sys.executable))} -P"


def _quoted(path: Path) -> str:
    text = str(path)
    if not text.isprintable() or set(text) & set("`$\\!"):
        raise RefusedRequest(
            f"{printable(text)}: a path with such a sign cannot stand in a command of Claude "
            "Code; move it, or link to it"
        )
    return shlex.quote(text)


def _settings(folder: Path, name: str) -> tuple[Path, str | None]:
    """The file itself, behind links: settings may lie among somebody's dot files."""
    path = Path(os.path.realpath(folder / name))  # resolve() fails in a loop
    return path, _read(path)


def _command(folder: Path) -> tuple[Path, str | None]:
    path = folder / COMMAND
    text = _read(path)
    if text is not None and not _MARK.search(text):
        raise RefusedRequest(
            f"{printable(str(path))}: there is a slash command of this name that is not of "
            "exportd, or its last line was taken away; move it first, nothing was changed"
        )
    return path, text


def _mark(text: str | None) -> tuple[str | None, list[str] | None]:
    """In which settings the hooks are, and what was made for them."""
    found = _MARK.search(text or "")
    return (found[1], found[2].split()) if found else (None, None)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise RefusedRequest(f"{printable(str(path))}: is not UTF-8 text") from error
    except OSError as error:
        raise RefusedRequest(
            f"{printable(str(path))}: cannot be read ({error.strerror})"
        ) from error
