"""What a process holds while it works: the folder, the database, the stop signal."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import TextIO

import tenacity

from .embedded import embedded_server
from .errors import ConfigurationError, DiskTrouble, FolderInUse
from .folders import Folders, not_permitted
from .log import reopen
from .overview import Process
from .settings import Settings

_CHANNELS = "channels: "
_HOLDER = re.compile(
    r"(?P<pid>\d{1,9}) on (?P<host>\S+) since (?P<since>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC"
)


@dataclass(frozen=True, slots=True)
class Database:
    """Where the database is; ``revive`` brings a server of our own back to life."""

    url: str
    revive: Callable[[], object] = lambda: None


@contextmanager
def database(
    settings: Settings, folders: Folders, stopping: threading.Event | None = None
) -> Iterator[Database]:
    """The database that is set, or the embedded server, started."""
    if settings.database.url is not None:
        yield Database(settings.database.url.get_secret_value())
    elif not folders.state.is_dir():
        raise ConfigurationError(
            f"{folders.memory}: expected a memory folder of exportd, found none; start "
            "'exportd run' once, set memory_dir, or set EXPORTD_DATABASE_URL"
        )
    else:
        with embedded_server(folders.state, stopping) as server:
            yield Database(server.url, server.revive)


@contextmanager
def held(
    folders: Folders,
    *,
    restoring: bool = False,
    or_else: str = "stop it first",
    channels: Iterable[str] = (),
) -> Iterator[None]:
    """The memory folder, for one daemon at a time; ``FolderInUse`` says who has it.

    ``or_else`` is what to do about it. One that is restored by halves is for
    ``exportd restore`` alone. ``channels`` are those that it tells people by, for others to
    know.
    """
    with _lock_file(folders) as lock:
        try:
            _lock(lock)
        except BlockingIOError as error:
            raise FolderInUse(
                f"{folders.memory}: process {_holder(lock)} works in this folder already; "
                f"{or_else}"
            ) from error
        with suppress(OSError):  # who holds it is a courtesy; a full disk must not matter
            lock.truncate(0)
            lock.write(f"{os.getpid()} on {socket.gethostname()} since {_now()}\n")
            lock.write(f"{_CHANNELS}{' '.join(channels)}\n")
            lock.flush()
        if folders.restoring.exists() and not restoring:
            raise ConfigurationError(
                f"{folders.memory}: an interrupted restore lies here; run 'exportd restore' "
                "again, or remove the folder"
            )
        yield


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(BlockingIOError),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_fixed(0.05),
    reraise=True,
)
def _lock(lock: TextIO) -> None:
    """Tried again, for ``holder`` holds it for a moment."""
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(folders: Folders) -> str | None:
    """Which process works in the folder, in the words of its lock; None when none does."""
    try:
        with (folders.state / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(lock)
    except PermissionError as error:
        raise not_permitted(error) from error
    except (FileNotFoundError, NotADirectoryError):
        pass  # none ever did
    return None


def channels_of(folders: Folders) -> tuple[str, ...] | None:
    """The channels of the process that works in the folder; None where nobody knows."""
    with suppress(OSError):
        for line in (folders.state / "lock").read_text(encoding="utf-8").splitlines():
            if line.startswith(_CHANNELS):
                return tuple(line.removeprefix(_CHANNELS).split())
    return None


def process(told: str | None) -> Process | None:
    """The parts of what ``holder`` says; None where it says something else."""
    found = _HOLDER.fullmatch(told or "")
    if found is None:
        return None
    since = datetime.strptime(found["since"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return Process(int(found["pid"]), found["host"], since)


def _holder(lock: TextIO) -> str:
    lock.seek(0)
    return lock.readline().strip() or "unknown"


def _lock_file(folders: Folders) -> TextIO:
    try:
        return (folders.state / "lock").open("a+")
    except PermissionError as error:
        raise not_permitted(error) from error
    except OSError as error:
        raise DiskTrouble(f"{error.filename}: cannot be opened ({error.strerror})") from error


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM and SIGINT: the file that is being ingested is the last one.

    SIGHUP means that a terminal was closed, or else that the log file was moved.
    """
    stopping = threading.Event()

    def stop(_signum: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, stop if sys.stderr.isatty() else reopen)
    return stopping
