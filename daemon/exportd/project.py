"""The files of a project, as ``exportd checkpoint`` reads and writes them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from .folders import fsync_directory, replace_file
from .formats.text import escape, printable
from .render.readme import with_reference
from .tasks import TaskList, is_task_list, tasks_in

# Where task lists are looked for: so deep, in so many folders, of at most this size.
_DEPTH, _MOST_FOLDERS, _MOST_LISTS, _LIST_BYTES = 3, 5_000, 100, 1_000_000
_NOT_OURS = {"node_modules", "vendor", "venv", "target", "dist", "build", "__pycache__"}


def task_lists(root: Path, left_out: Path) -> Iterator[TaskList]:
    """In the project's own folders, three levels deep; no link is followed.

    ``left_out`` is a folder that is not looked into.
    """
    found = 0
    left_out = left_out.resolve()
    for place, inner, names in islice(os.walk(root), _MOST_FOLDERS):
        here = Path(place)
        depth = len(here.relative_to(root).parts)
        inner[:] = sorted(
            name
            for name in inner
            if depth < _DEPTH
            and not name.startswith(".")
            and name not in _NOT_OURS
            and (here / name).resolve() != left_out
        )
        for name in sorted(filter(is_task_list, names)):
            tasks = tasks_in(_text(here / name))
            if tasks:
                yield TaskList(escape(str((here / name).relative_to(root))), tasks)
                found += 1
        if found >= _MOST_LISTS:
            return


def _text(path: Path) -> str:
    """Nothing of what is a link, no regular file, or too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(_LIST_BYTES + 1)
    except OSError:
        return ""
    return "" if len(raw) > _LIST_BYTES else raw.decode("utf-8", "replace")


def write_new(folder: Path, name: str, text: str) -> Path:
    """Whole or not at all, and never over another; a second of the name gets a number."""
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        number = 1
        while True:
            place = folder / (f"{name[:-3]}-{number}.md" if number > 1 else name)
            try:
                os.link(temporary, place)
            except FileExistsError:
                number += 1
            else:
                fsync_directory(folder)
                return place
    finally:
        temporary.unlink(missing_ok=True)


def readme_of(root: Path, left_out: Path) -> tuple[Path, str]:
    """The file itself, behind links inside of the project, and why it is left alone.

    What is behind a link must be Markdown, in no hidden folder and not in ``left_out``.
    """
    names = sorted(name for name in os.listdir(root) if name.lower() == "readme.md")  # noqa: PTH208
    path = root / (names[0] if names else "README.md")
    real, top = Path(os.path.realpath(path)), root.resolve()  # resolve() fails in a loop
    if not real.is_relative_to(top):
        return path, f"{path.name} is a link that leads out of the project"
    if os.path.lexists(path) and not real.is_file():
        return path, f"{path.name} is no regular file"
    is_hidden = any(part.startswith(".") for part in real.relative_to(top).parts)
    if real.suffix.lower() != ".md" or is_hidden or real.is_relative_to(left_out.resolve()):
        return path, f"{path.name} is a link to what is no README"
    return real, ""


def refer(readme: Path, line: str) -> str:
    """Add the line; returns what keeps it from being there, in words."""
    try:
        before = readme.read_bytes() if readme.exists() else b""
        if b"\0" in before:
            return f"{readme.name} is no UTF-8 text"
        text = before or f"# {printable(readme.parent.name)}\n".encode()
        after = with_reference(text, line.encode("utf-8", "replace"))
        if after != before:
            replace_file(readme, after, 0o644)
    except OSError as error:
        return f"{readme.name} cannot be written ({error.strerror})"
    return ""
