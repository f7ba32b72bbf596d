"""The folder goes away, events stop or are lost: noticed, told, and nothing overlooked.

Scans come an hour apart here, so that nothing but the notice of trouble can have helped.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import queue
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Command, rows, wait_until

from exportd.intake.files import has_writer
from exportd.watcher import MAX_READY, Watcher, events
from exportd.watcher.root import is_mount_point, untold_file_system
from exportd.watcher.settling import Settling

pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")

SETTLE_S = 0.1
NO_RESCAN_S = 3600.0

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def exports(memory_dir: Path) -> Path:
    (memory_dir / ".exportd").mkdir()
    return memory_dir / "exports"


@contextmanager
def watching(folder: Path, settle_s: float = SETTLE_S) -> Iterator[Watcher]:
    watcher = Watcher(folder, Settling(settle_s, 600, has_writer), NO_RESCAN_S)
    watcher.start()
    try:
        assert watcher.scanned.wait(10)
        yield watcher
    finally:
        watcher.stop()


@contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    subprocess.run(["mount", *arguments, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def take(watcher: Watcher, timeout_s: float = 10.0) -> Path:
    path = watcher.ready.get(timeout=timeout_s)
    path.unlink()
    watcher.done(path)
    return path


def assert_a_drop_is_seen(watcher: Watcher, folder: Path, name: str = "a.txt") -> None:
    (folder / name).write_text("> hi")
    assert take(watcher) == folder / name


# -- the folder -------------------------------------------------------------------------


def test_a_folder_that_is_removed_is_made_anew_and_watched(exports: Path) -> None:
    with watching(exports) as watcher:
        exports.rmdir()
        wait_until(exports.is_dir)
        wait_until(lambda: watcher.restarts.get("folder"))
        assert_a_drop_is_seen(watcher, exports)
        assert exports.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_removed_and_made_again_at_once_is_watched(exports: Path) -> None:
    with watching(exports) as watcher:
        exports.rmdir()
        exports.mkdir()
        (exports / "before.txt").write_text("> hi")
        assert take(watcher) == exports / "before.txt"
        assert_a_drop_is_seen(watcher, exports)


def test_a_folder_that_is_renamed_is_left_alone_and_another_made(exports: Path) -> None:
    aside = exports.with_name("aside")
    with watching(exports) as watcher:
        exports.rename(aside)
        (aside / "kept.txt").write_text("> hi")
        wait_until(exports.is_dir)
        assert_a_drop_is_seen(watcher, exports)
        assert (aside / "kept.txt").exists()


def test_a_folder_that_goes_away_is_noticed_while_more_waits_than_is_taken(
    exports: Path,
) -> None:
    """The database is away, say: nobody takes anything, and there is much."""
    for n in range(MAX_READY + 100):
        (exports / f"{n}.txt").write_text("> hi")
    with watching(exports) as watcher:
        wait_until(watcher.ready.full)
        exports.rename(exports.with_name("aside"))
        wait_until(exports.is_dir, 5)
        taken = {watcher.ready.get_nowait() for _ in range(MAX_READY)}
        assert len(taken) == MAX_READY


@needs_root
def test_what_is_mounted_over_the_folder_is_not_taken_for_it(
    exports: Path, tmp_path: Path
) -> None:
    with watching(exports) as watcher:
        with mounted(exports, "-t", "tmpfs", "-o", "size=1m", "none"):
            wait_until(lambda: "mounted over" in str(watcher.trouble))
            (exports / "foreign.txt").write_text("> hi")
            with pytest.raises(queue.Empty):
                watcher.ready.get(timeout=1)
        wait_until(lambda: watcher.trouble is None)
        assert_a_drop_is_seen(watcher, exports)
        (tmp_path / "other").mkdir()
        with mounted(exports, "--bind", str(tmp_path / "other")):
            assert is_mount_point(exports)
            (tmp_path / "link").symlink_to(exports.parent)
            assert is_mount_point(tmp_path / "link" / "exports")
            wait_until(lambda: "mounted over" in str(watcher.trouble))
        wait_until(lambda: watcher.trouble is None)
        assert_a_drop_is_seen(watcher, exports)


def test_a_memory_folder_that_is_moved_away_is_missed_and_not_made_anew(exports: Path) -> None:
    memory, away = exports.parent, exports.parent.with_name("away")
    with watching(exports) as watcher:
        memory.rename(away)
        wait_until(lambda: "is not the folder" in str(watcher.trouble))
        time.sleep(0.5)
        assert not memory.exists()
        away.rename(memory)
        wait_until(lambda: watcher.trouble is None)
        assert_a_drop_is_seen(watcher, exports)


@needs_root
def test_a_daemon_whose_memory_folder_is_unmounted_waits_for_it(
    exportd: Command, database_url: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    subprocess.run(["truncate", "-s", "32M", str(disk)], check=True)
    subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
    memory = exportd.memory_dir
    told = "SELECT state FROM alerts WHERE title = 'watcher blind'"
    with (
        mounted(memory, "-o", "loop", str(disk)),
        exportd.running(EXPORTD_RESCAN_INTERVAL="3600", EXPORTD_DISK_RESERVE_BYTES="0"),
    ):
        (memory / "exports" / "a.txt").write_text("> one\n\n⏺ two\n")
        wait_until((memory / "export-dedup-status.txt").exists)
        time.sleep(0.2)
        subprocess.run(["umount", "-l", str(memory)], check=True)
        wait_until(lambda: rows(database_url, told) == [("firing",)])
        assert list(memory.iterdir()) == [memory / "exports"]  # the empty mount point
        assert list((memory / "exports").iterdir()) == []
        subprocess.run(["mount", "-o", "loop", str(disk), str(memory)], check=True)
        (memory / "exports" / "b.txt").write_text("> three\n\n⏺ four\n")
        wait_until(lambda: len(rows(database_url, "SELECT 1 FROM conversations")) == 2)
        wait_until(lambda: rows(database_url, told) == [("resolved",)])


# -- the events -------------------------------------------------------------------------


def test_events_that_have_stopped_are_noticed_by_the_canary(
    exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CANARY_EVERY_S", 0.2)
    monkeypatch.setattr(events, "CANARY_WAIT_S", 0.5)
    with watching(exports) as watcher:
        wait_until(lambda: watcher.canary_age_s < 0.2)
        assert watcher._events._observer is not None
        watcher._events._observer.unschedule_all()
        (exports / "untold.txt").write_text("> hi")
        assert take(watcher) == exports / "untold.txt"
        assert watcher.restarts == {"canary": 1}
        assert_a_drop_is_seen(watcher, exports)
        wait_until(lambda: watcher.canary_age_s < 0.2)
    assert list(exports.iterdir()) == []


@contextmanager
def limited(limit: str, value: int) -> Iterator[None]:
    """For the whole machine: of two runs at once, each would restore what the other set."""
    path = Path("/proc/sys/fs/inotify") / limit
    with (Path(tempfile.gettempdir()) / f"exportd-tests-{limit}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        usual = path.read_text()
        path.write_text(str(value))
        try:
            yield
        finally:
            path.write_text(usual)


def test_without_watches_the_folder_is_scanned_every_few_seconds_and_that_is_told(
    exportd: Command, database_url: str, shim: Path
) -> None:
    """As where the kernel's limit is reached, but for this process alone."""
    blind = {"LD_PRELOAD": str(shim), "FAULT_CALL": "inotify"}
    with exportd.running(EXPORTD_RESCAN_INTERVAL="3600", **blind):
        (exportd.memory_dir / "exports" / "a.txt").write_text("> one\n\n⏺ two\n")
        wait_until(lambda: rows(database_url, "SELECT 1 FROM messages"))
        told = "SELECT title, severity, state, body FROM alerts WHERE severity <> 'info'"
        wait_until(lambda: rows(database_url, told))
        ((*alert, body),) = rows(database_url, told)
        assert alert == ["watcher blind", "critical", "firing"]
        assert "every 5 seconds" in str(body)


@needs_root
def test_a_queue_of_events_that_overflows_loses_no_file(
    exportd: Command, database_url: str
) -> None:
    exports = exportd.memory_dir / "exports"
    with (
        limited("max_queued_events", 16),
        exportd.running(EXPORTD_RESCAN_INTERVAL="3600") as process,
    ):
        process.send_signal(signal.SIGSTOP)
        for n in range(100):
            (exports / f"{n}.txt").write_text(f"> turn {n}\n\n⏺ yes\n")
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: rows(database_url, "SELECT count(*) FROM drops") == [(100,)], 60)
        (log,) = exportd.memory_dir.parent.glob("daemon-*.log")
        assert "watcher.overflowed" in log.read_text()


@needs_root
def test_on_an_overlay_changes_below_are_found_without_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exportd.watcher.BLIND_RESCAN_S", 0.5)
    layers = [tmp_path / name for name in ("lower", "upper", "work", "merged")]
    for layer in layers:
        layer.mkdir()
    lower, upper, work, merged = layers
    (lower / "exports").mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    with mounted(merged, "-t", "overlay", "-o", options, "overlay"):
        assert untold_file_system(merged / "exports") == "overlay"
        with watching(merged / "exports") as watcher:
            (lower / "exports" / "below.txt").write_text("> hi")
            assert watcher.ready.get(timeout=15) == merged / "exports" / "below.txt"


def test_an_ordinary_disk_is_not_polled(tmp_path: Path) -> None:
    assert untold_file_system(Path("/proc/self")) is None
    assert untold_file_system(Path("/dev")) is None


# -- writers ----------------------------------------------------------------------------


def test_a_file_that_is_still_mapped_for_writing_is_not_handed_out(exports: Path) -> None:
    with watching(exports) as watcher:
        with (exports / "mapped.txt").open("wb+") as file:
            file.write(b"> hi, " * 100)
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0)
        with pytest.raises(queue.Empty):
            watcher.ready.get(timeout=5 * SETTLE_S)
        mapped[:4] = b"> ho"
        mapped.close()
        assert take(watcher).name == "mapped.txt"


def test_a_writer_that_stalls_longer_than_the_settle_time_is_waited_for(exports: Path) -> None:
    with watching(exports) as watcher, (exports / "slow.txt").open("w") as file:
        for _ in range(2):
            file.write("> half\n")
            file.flush()
            with pytest.raises(queue.Empty):
                watcher.ready.get(timeout=8 * SETTLE_S)
        file.close()
        path = watcher.ready.get(timeout=10)
        assert path.read_text() == "> half\n> half\n"


def test_a_program_that_appends_and_closes_again_and_again_gets_the_whole_settle_time(
    exports: Path,
) -> None:
    """Its first part may be taken at once; what follows comes together, as one file."""
    with watching(exports, settle_s=0.6) as watcher:
        path, taken = exports / "log.txt", []
        for n in range(6):
            with path.open("a") as file:
                file.write(f"> part {n}\n")
            time.sleep(0.15)
            while not watcher.ready.empty():
                taken.append(watcher.ready.get().read_text())
                path.unlink()
                watcher.done(path)
        wait_until(lambda: not watcher.ready.empty())
        taken.append(path.read_text())
    assert "".join(taken) == "".join(f"> part {n}\n" for n in range(6))
    assert len(taken) == 2


@pytest.mark.parametrize("seed", range(int(os.environ.get("TEST_SEEDS", "1"))))
def test_whatever_writers_do_every_final_content_is_taken_whole(
    exports: Path, seed: int
) -> None:
    """Chunks, stalls, truncation, replacement: while the file stays open, or by a rename."""
    chance = random.Random(seed)  # noqa: S311
    final = {f"{n}.txt": f"> final {n} {'x' * chance.randint(1, 5000)}\n" for n in range(30)}

    def write(names: list[str]) -> None:
        for name in names:
            path, text = exports / name, final[name]
            if chance.random() < 0.3:
                (exports / f"{name}.tmp").write_text(text)
                (exports / f"{name}.tmp").rename(path)
                continue
            with path.open("w") as file:
                if chance.random() < 0.5:
                    file.write("junk" * 100)
                    file.flush()
                    time.sleep(chance.choice((0, 2 * SETTLE_S)))
                    file.seek(0)
                    file.truncate()
                for start in range(0, len(text), 1500):
                    file.write(text[start : start + 1500])
                    file.flush()
                    time.sleep(chance.choice((0, 0, SETTLE_S / 2, 2 * SETTLE_S)))

    with watching(exports) as watcher:
        threads = [threading.Thread(target=write, args=(list(final)[n::3],)) for n in range(3)]
        for thread in threads:
            thread.start()
        found: dict[str, str] = {}
        while len(found) < len(final):
            path = watcher.ready.get(timeout=20)
            found[path.name] = path.read_text()
            path.unlink()
            watcher.done(path)
        for thread in threads:
            thread.join()
        assert found == final
        assert watcher.ready.empty()
