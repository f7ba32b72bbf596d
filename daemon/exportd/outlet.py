"""Where an export goes that has a name: a file, or a folder of files.

Written whole or not at all, and nothing is replaced that nobody said to replace.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .errors import DiskTrouble, RefusedRequest
from .folders import fsync_directory, put, written
from .formats.text import printable

# Errors of the name that was given, and not of the disk.
_NAMES = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


@contextmanager
def new_file(path: Path, *, replace: bool) -> Iterator[TextIO]:
    """A file to write into; ``RefusedRequest`` when there is one, unless ``replace``."""
    _check(path, replace=replace)
    with _told(path), written(path, replace=replace) as file:
        yield file


@contextmanager
def new_files(folder: Path, names: Sequence[str], *, replace: bool) -> Iterator[Path]:
    """A folder to write files into, which are put into ``folder`` when all are written.

    ``folder`` is made, or is there already and keeps its other files. ``names`` are the
    files to expect: what cannot be put there in the end is refused at once.
    """
    is_new = not os.path.lexists(folder)
    if not is_new and not folder.is_dir():
        raise RefusedRequest(f"{_shown(folder)} is no folder; several files need one")
    for name in () if is_new else names:
        _check(folder / name, replace=replace)
    with _told(folder), _staging(folder.parent if is_new else folder) as staging:
        yield staging
        if is_new:
            staging.rename(folder)
            fsync_directory(folder.parent)
        else:
            _put_all(staging, folder, replace=replace)


def _put_all(staging: Path, folder: Path, *, replace: bool) -> None:
    files = sorted(staging.iterdir())
    for path in files:
        _check(folder / path.name, replace=replace)
    for path in files:
        put(path, folder / path.name, replace=replace)
    fsync_directory(folder)


def _check(path: Path, *, replace: bool) -> None:
    if os.path.lexists(path):
        if not path.is_file():
            raise RefusedRequest(f"{_shown(path)} is no file, and is not replaced by one")
        if not replace:
            raise _exists(path)


@contextmanager
def _staging(beside: Path) -> Iterator[Path]:
    """A folder for what is not whole yet, on the same file system."""
    staging = beside / f".{uuid.uuid4().hex}.tmp"
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors of the file system, as those of the name or of the disk."""
    try:
        yield
    except FileExistsError as error:
        raise _exists(path) from error
    except _NAMES as error:
        raise RefusedRequest(f"{_shown(path)} cannot be written ({error.strerror})") from error
    except OSError as error:
        raise DiskTrouble(f"{_shown(path)} cannot be written ({error.strerror})") from error


def _exists(path: Path) -> RefusedRequest:
    return RefusedRequest(f"{_shown(path)} exists; --force replaces it")


def _shown(path: Path) -> str:
    return printable(str(path))
