"""The real command on a memory folder of its own: drop files, run, ask.

Settings of the caller's environment are left out: a benchmark must never write into the
database that somebody works with.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from exportd.embedded import embedded_server
from exportd.folders import is_sidecar, is_unfinished, sidecar_of
from exportd.formats.text import escape


def files_below(folder: Path) -> list[Path]:
    """Every export below ``folder``, in the order of their paths."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not is_sidecar(path.name))


@contextmanager
def running_server(memory: Path) -> Iterator[Path]:
    """A fresh memory folder whose server keeps running between the commands of a block."""
    state = memory / ".exportd"
    state.mkdir(mode=0o700, parents=True)
    with embedded_server(state):
        yield memory


def drop(files: Sequence[Path], memory: Path) -> None:
    """Copy files, with their sidecars, into the drop folder; they are taken in this order.

    Each gets a folder of its own, so that equal names do not meet. exportd scans by name,
    as text: the numbers have equal length.
    """
    for number, path in enumerate(files):
        place = memory / "exports" / f"{number:06}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place / path.name)
        status = path.stat()
        os.utime(place / path.name, ns=(status.st_atime_ns, status.st_mtime_ns))
        if (sidecar := sidecar_of(path)).is_file():
            shutil.copyfile(sidecar, place / sidecar.name)


def run(memory: Path) -> list[dict[str, Any]]:
    """Drain the drop folder; what became of each file, in the order they were taken."""
    return list(json.loads(exportd(memory, "run", "--once", "--json"))["files"])


def check_taken(names: Sequence[str], files: Sequence[Path]) -> None:
    """Stop when files were not taken in the order in which ``files`` names them."""
    expected = [escape(path.name) for path in files if not is_unfinished(path.name)]
    if list(names) != expected:
        raise click.ClickException(
            f"expected exportd to take {len(expected)} files in the order of their folders; it "
            f"took {len(names)}, or in another order, so this proves nothing. A file whose "
            "time lies in the future is taken late: touch it, or leave it out"
        )


def dump(memory: Path) -> str:
    """The canonical dump of everything that is stored."""
    return exportd(memory, "export", "--all", "--format", "jsonl")


def query(memory: Path, sql: str) -> list[list[str]]:
    """The rows of a query, as text."""
    told = exportd(memory, "db", "psql", "-XAtF\x1f", "-R\x1e", "-c", sql).removesuffix("\n")
    return [row.split("\x1f") for row in told.split("\x1e")] if told else []


def exportd(memory: Path, *arguments: str) -> str:
    """What a command of exportd writes to standard output."""
    with _failing_loudly(arguments[0]):
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "exportd", "--memory-dir", str(memory), *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=own_settings_alone(),
        ).stdout


def own_settings_alone() -> dict[str, str]:
    """The environment without what it says to exportd."""
    return {k: v for k, v in os.environ.items() if not k.startswith("EXPORTD_")}


@contextmanager
def _failing_loudly(what: str) -> Iterator[None]:
    try:
        yield
    except subprocess.CalledProcessError as error:
        click.echo(error.stderr, err=True)
        raise click.ClickException(f"{what} ended with exit code {error.returncode}") from error
