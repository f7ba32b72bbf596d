"""What breaks during a soak, each mended again before it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from exportd.embedded import EmbeddedServer

from .supervisor import Daemon
from .writers import Writers

# The memory folder's disk; most of it stays free but for the fault that fills it.
DISK_MB = 400


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What can be broken: the daemon, its server, the disk and the drop folder."""

    daemon: Daemon
    writers: Writers
    server: EmbeddedServer
    postgres: Path
    disk: Path | None
    exports: Path


@contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A tmpfs at ``place``; None, and an ordinary folder, without the right to mount."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "soak", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:  # noqa: S603
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S603, S607


def _kill_daemon(around: Surroundings) -> None:
    around.daemon.signal(signal.SIGKILL)


def _end_daemon(around: Surroundings) -> None:
    around.daemon.signal(signal.SIGTERM)


def _freeze_daemon(around: Surroundings) -> None:
    around.daemon.signal(signal.SIGSTOP)
    time.sleep(3)
    around.daemon.signal(signal.SIGCONT)


def _stop_server(around: Surroundings) -> None:
    """As ``pg_ctl -m immediate``: no checkpoint, recovery at the next start."""
    _signal_server(around, signal.SIGQUIT)
    time.sleep(4)
    around.server.revive()


def _kill_server(around: Surroundings) -> None:
    """The postmaster dies without a word to its children."""
    _signal_server(around, signal.SIGKILL)
    time.sleep(2)
    around.server.revive()


def _freeze_server(around: Surroundings) -> None:
    processes = _processes(around)
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    time.sleep(5)
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _fill_disk(around: Surroundings) -> None:
    """Every byte; the writers pause, for a file that they could not write is not dropped."""
    if around.disk is None:
        return
    with around.writers.quiet():
        ballast = around.disk / "ballast"
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        time.sleep(5)
        ballast.unlink()


def _move_folder(around: Surroundings) -> None:
    """Somebody renames the drop folder; later the files are put back."""
    with around.writers.quiet():
        aside = around.exports.with_name("exports-aside")
        around.exports.rename(aside)
        time.sleep(3)
        _put_back(aside, around.exports)


def _remove_folder(around: Surroundings) -> None:
    """Somebody removes the drop folder, when its files were taken out; later it is back."""
    with around.writers.quiet():
        aside = around.exports.with_name("exports-aside")
        aside.mkdir()
        for path in around.exports.iterdir():
            with suppress(FileNotFoundError):  # taken meanwhile
                path.rename(aside / path.name)
        with suppress(OSError):  # something came meanwhile: then it stays
            around.exports.rmdir()
        time.sleep(3)
        _put_back(aside, around.exports)


def _put_back(aside: Path, exports: Path) -> None:
    exports.mkdir(exist_ok=True)
    for path in aside.iterdir():
        if path.name.startswith("."):
            continue  # the daemon's own
        path.rename(exports / path.name)
    shutil.rmtree(aside)


def _signal_server(around: Surroundings, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, IndexError):
        os.kill(_processes(around)[0], number)


def _processes(around: Surroundings) -> list[int]:
    """The postmaster and its children."""
    lines = (around.postgres / "postgres" / "postmaster.pid").read_text().splitlines()
    postmaster = int(lines[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]


FAULTS: dict[str, Callable[[Surroundings], None]] = {
    "daemon killed": _kill_daemon,
    "daemon told to end": _end_daemon,
    "daemon frozen for 3 s": _freeze_daemon,
    "server stopped for 4 s": _stop_server,
    "server killed": _kill_server,
    "server frozen for 5 s": _freeze_server,
    "disk full for 5 s": _fill_disk,
    "drop folder renamed for 3 s": _move_folder,
    "drop folder removed for 3 s": _remove_folder,
}
