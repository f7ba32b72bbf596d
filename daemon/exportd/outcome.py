"""What becomes of one file, whoever works in the folder: we ourselves, or a daemon.

The file is taken where it lies in ``exports/``, or copied there. Nobody at work: it takes
the road of ``exportd ingest``, alone. A daemon at work: it takes the file, and the outcome
is read in the database. A daemon that goes away meanwhile leaves the work to us.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from . import handover
from .arrivals import Arrival
from .errors import FolderInUse, PermanentError, RefusedRequest, TransientError
from .folders import Folders, is_sidecar, sidecar_of
from .formats.text import escape, printable
from .intake.sidecar import read_sidecar
from .lifecycle import database, holder
from .models import Fate, Report
from .once import take
from .settings import Settings
from .store import Store
from .watcher import scan
from .workplace import Workplace, workplace

_POLL_S = 0.1
# So much longer than the outcome may its session file take to be written.
_TELLING_S = 5.0
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_PRIVATE = threading.RLock()  # the umask is the whole process's


@dataclass(frozen=True, slots=True)
class _Handed:
    """A file in the drop folder. ``sha256`` is empty where somebody was faster than we.

    ``started_at`` is monotonic.
    """

    path: Path
    sha256: str
    started_at: float

    @property
    def name(self) -> str:
        return escape(self.path.name)


def outcome(
    settings: Settings, file: Path, session_id: str | None, timeout_s: float
) -> Arrival:
    """Ingest ``file``; returns how it went, known content included.

    ``PermanentError``: it became a dead letter. ``TransientError``: it has to wait, for the
    reason given, or for longer than ``timeout_s``. ``RefusedRequest``: it is no such file.
    """
    folders = Folders(settings.memory_dir.absolute())
    with _private():
        folders.create()
        if session_id is not None:
            handover.refuse_unclear(session_id)
        aside = handover.new_folder(folders.exports)
        handed = _hand_over(file, folders, aside, session_id)
    try:
        return _judged(_arrival(settings, folders, handed, timeout_s), handed)
    finally:
        handover.tidy(aside)


def _judged(arrival: Arrival, handed: _Handed) -> Arrival:
    if arrival.is_dead_letter:
        raise PermanentError(f"{printable(handed.path.name)}: {arrival.reason}")
    return arrival


def _hand_over(file: Path, folders: Folders, aside: Path, session_id: str | None) -> _Handed:
    started_at = time.monotonic()
    exports = folders.exports.resolve()
    lies_at = file.parent.resolve() / file.name
    is_dropped = lies_at.is_relative_to(exports)
    if is_dropped and not os.path.lexists(lies_at) and holder(folders):
        return _Handed(folders.exports / file.name, "", started_at)  # the daemon has it
    handover.refuse_unfit(file, session_id)
    if is_dropped:
        path = folders.exports / lies_at.relative_to(exports)
        if session_id is not None:
            _say(path, session_id)
    else:
        path = handover.drop(file, folders.exports, aside, session_id)
    return _Handed(path, _sha256(path if is_dropped else file), started_at)


def _say(path: Path, session_id: str) -> None:
    """The sidecar of a file that lies in the drop folder already."""
    sidecar = sidecar_of(path)
    try:
        with sidecar.open("x", encoding="utf-8") as file:
            file.write(session_id + "\n")
    except FileExistsError as error:
        if read_sidecar(sidecar) != session_id:
            raise RefusedRequest(
                f"{printable(sidecar.name)} in the drop folder names another conversation; "
                "take it away, or give no session id"
            ) from error


def _sha256(file: Path) -> str:
    """Empty where the file is gone, or may not be read: others tell of that."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def _arrival(
    settings: Settings, folders: Folders, handed: _Handed, timeout_s: float
) -> Arrival:
    while True:
        _refuse_empty(handed, settings)
        try:
            with _private(), workplace(settings, threading.Event()) as place:
                return _taken(place, handed)
        except FolderInUse:
            with (
                database(settings, folders) as found,
                closing(Store(found.url, settings.database.timeout)) as store,
            ):
                arrival = _awaited(store, folders, handed, timeout_s)
        if arrival:
            return arrival


def _refuse_empty(handed: _Handed, settings: Settings) -> None:
    if handed.path.is_file() and not handed.path.stat().st_size:
        raise TransientError(
            f"{printable(handed.path.name)}: it is empty; it waits in the drop folder and "
            f"becomes a dead letter when {settings.empty_timeout / 60:g} minutes old"
        )


def _taken(place: Workplace, handed: _Handed) -> Arrival:
    """We work in the folder ourselves."""
    ours: Report | None = None
    for report in take(place, [handed.path]):
        if report.name == handed.name:
            ours = report
    if ours is not None and ours.fate is Fate.DEAD_LETTER:
        raise PermanentError(f"{printable(handed.path.name)}: {ours.reason}")
    if ours is not None and ours.fate is Fate.DEFERRED:
        raise TransientError(
            f"{printable(handed.path.name)}: {ours.reason}; it waits, nothing is lost"
        )
    with closing(place.store):
        arrival = _latest(place.store, place.folders, handed)
    if arrival is None:
        raise TransientError(
            f"{printable(handed.path.name)}: somebody took it away before its turn came"
        )
    return arrival


def _awaited(
    store: Store, folders: Folders, handed: _Handed, timeout_s: float
) -> Arrival | None:
    """A daemon works there: its outcome; None when the daemon went and the file stayed."""
    deadline = handed.started_at + timeout_s
    told_by = None
    while time.monotonic() < deadline:
        worker = holder(folders)
        if not _is_waiting(folders, handed.path):
            arrival = _latest(store, folders, handed)
            if arrival and arrival.outcome:
                told_by = told_by or time.monotonic() + _TELLING_S
                if arrival.is_told or time.monotonic() > told_by:
                    return arrival
        elif worker is None:
            return None
        time.sleep(_POLL_S)
    raise TransientError(
        f"{printable(handed.path.name)}: handed to the daemon that works in {folders.memory} "
        f"(process {holder(folders)}), and not ingested within {timeout_s:g} s; it waits, "
        "nothing is lost; see 'exportd status'"
    )


def _is_waiting(folders: Folders, path: Path) -> bool:
    """Whether it lies in the drop folder, or is claimed and not yet at its end."""
    if os.path.lexists(path):
        return True
    try:
        return any(os.path.lexists(place / path.name) for place in folders.inflight.iterdir())
    except OSError:
        return False


def _latest(store: Store, folders: Folders, handed: _Handed) -> Arrival | None:
    """By name and content, or by name since it was handed over: it may have grown."""
    since = _EVER
    if handed.sha256:
        elapsed_s = time.monotonic() - handed.started_at
        since = store.clock() - timedelta(seconds=elapsed_s + 1)
    memory_dir = escape(str(folders.memory))
    found = store.arrivals(memory_dir, since, handed.name, handed.sha256)
    return found[-1] if found else None


def drained(folders: Folders, timeout_s: float) -> list[tuple[str, str]]:
    """Wait until the daemon has taken what waits now; what is left of it, and why.

    An empty file is not waited for: it waits by right.
    """
    deadline = time.monotonic() + timeout_s
    waiting = [path for path in scan(folders.exports) if not is_sidecar(path.name)]
    empty = {path for path in waiting if path.is_file() and not path.stat().st_size}
    while any(_is_waiting(folders, path) for path in set(waiting) - empty):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return [
        (
            escape(path.name),
            "it is empty" if path in empty else f"not ingested within {timeout_s:g} s",
        )
        for path in waiting
        if _is_waiting(folders, path)
    ]


@contextmanager
def _private() -> Iterator[None]:
    """What is written is for the eyes of its user, as the command writes it."""
    with _PRIVATE:
        before = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(before)
