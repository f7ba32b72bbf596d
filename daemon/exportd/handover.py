"""Hand a file over as if it were dropped: copied beside, shown whole, its sidecar first."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from .errors import DiskTrouble, RefusedRequest
from .folders import is_unfinished, sidecar_of
from .formats.text import printable
from .intake.sidecar import is_clear

_NAME_BYTES = 255


def refuse_unclear(session_id: str) -> None:
    """Raise ``RefusedRequest`` for what no sidecar could say (see ``intake.sidecar``)."""
    if not is_clear(session_id):
        raise RefusedRequest(
            f"--session-id {printable(session_id)!r}: expected one line of UTF-8 text, the id "
            "of a conversation"
        )


def refuse_unfit(file: Path, session_id: str | None) -> None:
    """Raise ``RefusedRequest`` for what would lie in the drop folder and never be taken."""
    name = printable(file.name)
    if is_unfinished(file.name):
        raise RefusedRequest(
            f"{name}: a name like this is of a hidden or unfinished file, which exportd leaves "
            "alone; give it another name"
        )
    if not file.is_file():
        raise RefusedRequest(f"{name}: expected a regular file, and it is none")
    if session_id is not None and len(os.fsencode(sidecar_of(file).name)) > _NAME_BYTES:
        raise RefusedRequest(
            f"{name}: the name is too long for --session-id; give it a shorter"
        )


def new_folder(exports: Path) -> Path:
    """Where files lie whose names are taken in ``exports``; made when one comes."""
    return exports / f"ingest-{uuid.uuid4().hex[:8]}"


def drop(file: Path, exports: Path, aside: Path, session_id: str | None) -> Path:
    """Copy under a hidden name, then show it whole; ``aside`` where its name is taken.

    Returns where it lies. Raises ``DiskTrouble`` where it cannot be copied.
    """
    temporary = exports / f".{uuid.uuid4().hex}.tmp"
    try:
        shutil.copy2(file, temporary)
        for folder in chain([exports, aside], (aside / f"{n}" for n in count(2))):
            folder.mkdir(exist_ok=True)
            if _show(temporary, folder / file.name, session_id):
                return folder / file.name
    except OSError as error:
        raise DiskTrouble(
            f"{file}: cannot be copied to {exports} ({error.strerror})"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    raise AssertionError("there is always one more folder")


def tidy(aside: Path) -> None:
    """The folder goes when everything in it was taken."""
    for folder in (*aside.glob("*"), aside):
        with suppress(OSError):
            folder.rmdir()


def _show(temporary: Path, place: Path, session_id: str | None) -> bool:
    """Behind its sidecar; False where either name is taken, by a link or anything."""
    sidecar = sidecar_of(place)
    try:
        if session_id is not None:
            with sidecar.open("x", encoding="utf-8") as file:
                file.write(session_id + "\n")
    except FileExistsError:
        return False
    try:
        os.link(temporary, place)
    except FileExistsError:
        if session_id is not None:
            sidecar.unlink(missing_ok=True)  # it must not name the file that waits there
        return False
    return True
