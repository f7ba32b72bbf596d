"""What tests of the archive do to a memory folder, in this process: fast, and for real."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import ModuleType
from typing import Any

from conftest import Command
from pydantic import SecretStr

from exportd import crash, verify
from exportd.checks.facts import Finding
from exportd.folders import Folders
from exportd.models import Report
from exportd.once import run_once
from exportd.settings import DatabaseSettings, Settings
from exportd.store import Store
from exportd.workplace import Workplace, workplace


@contextmanager
def at(exportd: Command, **settings: Any) -> Iterator[Workplace]:
    """What a command works with, on the folder and the database of that command."""
    url = SecretStr(exportd.environment["EXPORTD_DATABASE_URL"])
    chosen = Settings(
        memory_dir=exportd.memory_dir,
        settle_time=0.05,
        database=DatabaseSettings(url=url),
        **settings,
    )
    with workplace(chosen, threading.Event()) as place:
        yield place
        place.store.close()


def drop(exportd: Command, **files: bytes) -> list[Report]:
    """Drop files and take them up; ``__`` in a name is a dot."""
    for name, raw in files.items():
        path = exportd.memory_dir / "exports" / name.replace("__", ".")
        path.write_bytes(raw)
        os.utime(path, (1_770_000_000,) * 2)
    with at(exportd) as place:
        code, reports, _ = run_once(place)
    assert code == 0, reports
    return reports


def dumped(exportd: Command, *but: str) -> list[dict[str, Any]]:
    """The canonical dump, but for some conversations."""
    records: list[dict[str, Any]] = []
    with at(exportd) as place:
        place.store.dump(None, records.append)
    return [record for record in records if record["conversation_id"] not in but]


def findings(exportd: Command) -> list[Finding]:
    """What ``exportd verify`` finds."""
    url = exportd.environment["EXPORTD_DATABASE_URL"]
    with closing(Store(url)) as store, closing(Store(url)) as live:
        return verify.verify(store, live, Folders(exportd.memory_dir), alone=False).findings


def killed_at(point: str, module: ModuleType, work: Callable[[], object]) -> None:
    """``work`` in a process of its own, which dies by SIGKILL at a point of ``module``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the threads here none is used in the child
        child = os.fork()
    if child == 0:
        with suppress(BaseException):
            module.__dict__["reach"] = crash._killer(point)
            work()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
