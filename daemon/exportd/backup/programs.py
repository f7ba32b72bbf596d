"""PostgreSQL's own programs: pg_dump, pg_restore and psql, those of the embedded server.

The password goes by the environment, for arguments show in ``ps``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, BinaryIO

from ..embedded import binary
from ..errors import ConfigurationError, DatabaseUnavailable, TransientError
from ..formats.text import printable
from ..store import connection_variables
from .copying import CHUNK_BYTES, Stopped, check_stop

# pg_dump waits no longer for a table that somebody alters.
_LOCK_WAIT = "60s"

_LOOK_S = 0.25

# Since PostgreSQL 17 written into every script, and unknown to older servers.
_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"

_DENIED = re.compile(r"permission denied|must be owner")


def dump(
    url: str,
    schema: str,
    snapshot: str,
    path: Path,
    server_version_num: int,
    stopping: threading.Event,
) -> None:
    """Write one schema as of an exported snapshot, in pg_dump's custom format."""
    quoted = schema.replace('"', '""')
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603
            [
                _program("pg_dump", server_version_num),
                "--format=custom",
                "--compress=gzip:1",  # half the time of the default, and a few percent larger
                f'--schema="{quoted}"',
                f"--snapshot={snapshot}",
                f"--lock-wait-timeout={_LOCK_WAIT}",
                "--no-password",
                f"--file={path}",
            ],
            env={**os.environ, **connection_variables(url)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _finish(process, "pg_dump", said, stopping)


def load(
    url: str, schema: str, path: Path, server_version_num: int, stopping: threading.Event
) -> None:
    """Bring a dump into its schema, which is there and empty, all of it or nothing.

    The COMMIT is sent when pg_restore has ended well: whoever dies before leaves nothing.
    Owners and rights are those of the new server: ``migrate`` grants them.
    """
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        reader = subprocess.Popen(  # noqa: S603
            [
                _program("pg_restore", server_version_num),
                *("--no-owner", "--no-acl", "--no-tablespaces", "--no-security-labels"),
                *("--no-publications", "--no-subscriptions"),
                f"--schema={schema}",  # what is in it, without the schema itself
                "--file=-",
                path,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=told,
        )
        writer = subprocess.Popen(  # noqa: S603
            [
                _program("psql", server_version_num),
                *("--no-psqlrc", "--quiet", "--no-password", "--file=-"),
                # What a failing row holds is nobody's business.
                *("--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", "--set=SHOW_CONTEXT=never"),
            ],
            env={**os.environ, **connection_variables(url)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            with reader, writer:
                _pour(reader, writer, server_version_num, stopping)
                _finish(reader, "pg_restore", told, stopping)
                _pipe(writer.stdin).write(b"\nCOMMIT;\n")
                _pipe(writer.stdin).close()
                _finish(writer, "psql", said, stopping)
        except BrokenPipeError as error:
            # psql ended by an error, and says which.
            raise _failed("psql", writer.returncode, _lines(said)) from error


def _pour(
    reader: subprocess.Popen[bytes],
    writer: subprocess.Popen[bytes],
    server_version_num: int,
    stopping: threading.Event,
) -> None:
    """The script from one to the other, in a transaction that is still open at the end."""
    source, sink = _pipe(reader.stdout), _pipe(writer.stdin)
    try:
        sink.write(b"BEGIN;\n")
        while line := source.readline():
            if line != _UNKNOWN_BEFORE_17 or server_version_num >= 170_000:
                sink.write(line)
            if line == _UNKNOWN_BEFORE_17:
                break
        while chunk := source.read(CHUNK_BYTES):
            check_stop(stopping)
            sink.write(chunk)
        sink.flush()
    except Stopped:
        writer.kill()
        raise


def _pipe(pipe: IO[bytes] | None) -> BinaryIO:
    if pipe is None:
        raise AssertionError("it was asked for")
    return pipe  # type: ignore[return-value]


def _program(name: str, server_version_num: int) -> str:
    """The embedded server's, or, for a server newer than that, one that is new enough."""
    ours = os.fspath(binary(name))
    others = shutil.which(name)
    for program in filter(None, (ours, others)):
        if _major(program) >= server_version_num // 10_000:
            return program
    raise ConfigurationError(
        f"the server is PostgreSQL {server_version_num // 10_000}, and the newest {name} here "
        f"is of {_major(ours)}; install the server's client programs, so that {name} is in PATH"
    )


def _major(program: str) -> int:
    done = subprocess.run(  # noqa: S603
        [program, "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\) (\d+)", done.stdout)
    return int(found[1]) if found else 0


def _finish(
    process: subprocess.Popen[bytes],
    name: str,
    said: IO[bytes],
    stopping: threading.Event,
) -> None:
    """Wait for its end; ``TransientError`` with its own words when it failed."""
    while process.poll() is None:
        if stopping.is_set():
            process.kill()
            process.wait()
            raise Stopped(f"{name} was stopped by a signal; run it again")
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue
    if process.returncode:
        raise _failed(name, process.returncode, _lines(said))


def _lines(said: IO[bytes]) -> list[str]:
    said.seek(0)
    return said.read().decode(errors="backslashreplace").splitlines()


def _failed(name: str, code: int, lines: list[str]) -> Exception:
    told = [line for line in lines if "rror:" in line or "FATAL" in line or "ERROR" in line]
    why = printable((told or lines or [f"it ended with exit code {code}"])[0])
    why = why.removeprefix(f"{name}: ")
    if _DENIED.search(why):
        return ConfigurationError(
            f"{name}: {why}; it needs the rights of the tables' owner: give that user's URL "
            "(EXPORTD_DATABASE_URL), see docs/how-to/backup.md"
        )
    if "could not connect" in why or "connection to server" in why:
        return DatabaseUnavailable(f"{name}: {why}")
    if name == "psql" and "No space left" not in why:
        return ConfigurationError(f"the database does not take the dump: {why}")
    return TransientError(f"{name}: {why}")
