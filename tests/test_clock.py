"""The clock is set while the daemon runs (HAZARDS 42): files still settle, time out, arrive.

A preloaded library sets the clock of the real daemon; the monotonic clock goes on, as it does
when a machine's clock is set.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Command, rows, wait_until

SOURCE = Path(__file__).parent / "faults" / "clock.c"
TALK = "> one\n\n⏺ two\n"
DAY_S = 86_400


class Clock:
    """The clock of a daemon that has ``environment``, to be set by so many seconds."""

    def __init__(self, library: Path, steps: Path) -> None:
        self._steps = steps
        steps.touch()
        self.environment = {
            "LD_PRELOAD": str(library),
            "CLOCK_STEPS": str(steps),
            "EXPORTD_RESCAN_INTERVAL": "0.2",  # another program may have used up inotify
        }

    def set(self, offset_s: int) -> None:
        """What was dropped before keeps its times: file times are told apart by seconds."""
        moment = int(time.time()) + 1
        time.sleep(moment + 0.05 - time.time())  # the kernel's clock of files is a bit behind
        with self._steps.open("a") as steps:
            steps.write(f"{moment} {offset_s}\n")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = tmp_path / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"],
        check=True,
    )
    return Clock(library, tmp_path / "steps")


@pytest.fixture
def exports(exportd: Command) -> Path:
    return exportd.memory_dir / "exports"


def test_files_arrive_whatever_the_clock_is_set_to(
    exportd: Command, exports: Path, database_url: str, clock: Clock
) -> None:
    status_log = exportd.memory_dir / "export-dedup-status.txt"
    with exportd.running(**clock.environment):
        for number, offset_s in enumerate((0, DAY_S, -DAY_S, 0), 1):
            clock.set(offset_s)
            (exports / f"{number}.txt").write_text(TALK.replace("one", f"number {number}"))
            wait_until((exportd.memory_dir / "exports-archive" / f"{number}.txt").exists)
        wait_until(lambda: status_log.read_text().count("EXECUTION SUMMARY") == 4)
    days = re.findall(r"Started: (\S+)T", status_log.read_text())
    assert len(set(days)) == 3, "the clock was not set"
    seen = rows(database_url, "SELECT max(modified_at) - min(modified_at) FROM exports")
    assert seen[0][0].total_seconds() > 1.9 * DAY_S


def test_an_empty_file_times_out_though_the_clock_is_set_back(
    exportd: Command, exports: Path, clock: Clock
) -> None:
    with exportd.running(EXPORTD_EMPTY_TIMEOUT="3", **clock.environment):
        (exports / "empty.txt").touch()
        clock.set(-DAY_S)
        wait_until((exportd.memory_dir / "exports-failed" / "empty.txt").exists, 10)


def test_an_empty_file_waits_its_time_though_the_clock_is_set_forth(
    exportd: Command, exports: Path, clock: Clock, database_url: str
) -> None:
    """Its content may be on its way."""
    with exportd.running(**clock.environment):
        (exports / "a.txt").touch()
        clock.set(DAY_S)
        time.sleep(1)
        assert (exports / "a.txt").exists()
        (exports / "a.txt").write_text(TALK)
        wait_until(lambda: rows(database_url, "SELECT count(*) FROM messages") == [(2,)])


@pytest.mark.parametrize("offset_s", [DAY_S, -DAY_S], ids=["forth", "back"])
def test_a_sidecar_waits_its_time_whatever_the_clock_is_set_to(
    exportd: Command, exports: Path, clock: Clock, database_url: str, offset_s: int
) -> None:
    failed = exportd.memory_dir / "exports-failed"
    with exportd.running(EXPORTD_EMPTY_TIMEOUT="8", **clock.environment):
        (exports / "late.txt.session").write_text("mine\n")
        (exports / "never.txt.session").write_text("mine\n")
        time.sleep(0.7)
        clock.set(offset_s)
        time.sleep(2)
        (exports / "late.txt").write_text(TALK)
        wait_until(
            lambda: (
                rows(database_url, "SELECT DISTINCT conversation_id FROM messages")
                == [("mine",)]
            )
        )
        wait_until((failed / "never.txt.session").exists)
