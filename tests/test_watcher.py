"""A real folder, real inotify: what arrives is handed out, complete, and once."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import out_of_reach, wait_until

from exportd.intake.files import has_writer
from exportd.watcher import Watcher, scan
from exportd.watcher.settling import Settling

# A watchdog thread warns where a folder is made and filled at once; as an error the
# warning would end the thread, which no installed daemon does.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")

SETTLE_S = 0.1

# Long enough that only events can have brought a file; scans are tested by themselves.
NO_RESCAN_S = 3600.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    exports = tmp_path / "exports"
    exports.mkdir()
    return exports


@contextmanager
def watching(folder: Path, rescan_s: float = NO_RESCAN_S) -> Iterator[Watcher]:
    watcher = Watcher(folder, Settling(SETTLE_S, 600, has_writer), rescan_s)
    watcher.start()
    try:
        assert watcher.scanned.wait(10)
        yield watcher
    finally:
        watcher.stop()


def take(watcher: Watcher, count: int, timeout_s: float = 15.0) -> list[Path]:
    """The next ``count`` paths, each taken out of the folder as a claim would."""
    taken: list[Path] = []
    deadline = time.monotonic() + timeout_s
    while len(taken) < count:
        path = watcher.ready.get(timeout=max(deadline - time.monotonic(), 0.01))
        path.unlink()
        watcher.done(path)
        taken.append(path)
    return taken


def assert_nothing_more(watcher: Watcher, for_s: float = 3 * SETTLE_S) -> None:
    with pytest.raises(queue.Empty):
        watcher.ready.get(timeout=for_s)


def test_a_dropped_file_is_handed_out_once(folder: Path) -> None:
    with watching(folder) as watcher:
        (folder / "a.txt").write_text("> hi")
        assert take(watcher, 1) == [folder / "a.txt"]
        assert_nothing_more(watcher)


def test_a_file_that_is_moved_in_is_handed_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("> hi")
    with watching(folder) as watcher:
        (tmp_path / "a.txt").rename(folder / "a.txt")
        assert take(watcher, 1) == [folder / "a.txt"]


def test_a_file_that_is_moved_in_is_complete_and_need_not_settle(
    folder: Path, tmp_path: Path
) -> None:
    """An event must do: a scan would let it settle for an hour."""
    (tmp_path / "a.txt").write_text("> hi")
    watcher = Watcher(folder, Settling(3600, 3600, has_writer), NO_RESCAN_S)
    watcher.start()
    try:
        assert watcher.scanned.wait(10)
        (tmp_path / "a.txt").rename(folder / "a.txt")
        assert take(watcher, 1) == [folder / "a.txt"]
    finally:
        watcher.stop()


def test_a_hard_link_is_handed_out_though_nobody_closes_it(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("> hi")
    with watching(folder) as watcher:
        (folder / "a.txt").hardlink_to(tmp_path / "a.txt")
        assert take(watcher, 1) == [folder / "a.txt"]


def test_unfinished_names_wait_until_they_are_renamed(folder: Path) -> None:
    unfinished = ["a.txt.tmp", "b.part", ".c.txt.swp", "d.txt.crdownload"]
    with watching(folder) as watcher:
        for name in unfinished:
            (folder / name).write_text("> hi")
        assert_nothing_more(watcher)
        for name in unfinished:
            (folder / name).rename(folder / f"{name.strip('.')[0]}.txt")
        assert len(set(take(watcher, 4))) == 4
        assert_nothing_more(watcher)


def test_a_folder_that_is_moved_in_is_watched_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "batch" / "deep").mkdir(parents=True)
    (tmp_path / "batch" / "deep" / "a.txt").write_text("> hi")
    (tmp_path / "batch" / "b.txt").write_text("> hi")
    with watching(folder) as watcher:
        (tmp_path / "batch").rename(folder / "batch")
        there = folder / "batch"
        assert sorted(take(watcher, 2)) == [there / "b.txt", there / "deep" / "a.txt"]
        (there / "deep" / "later.txt").write_text("> later")
        assert take(watcher, 1) == [there / "deep" / "later.txt"]


def test_a_file_in_a_folder_made_a_moment_ago_is_not_overlooked(folder: Path) -> None:
    with watching(folder) as watcher:
        for n in range(20):
            (folder / f"{n}" / "deep").mkdir(parents=True)
            (folder / f"{n}" / "deep" / "a.txt").write_text("> hi")
        assert len({path.parent.parent.name for path in take(watcher, 20)}) == 20


def test_a_slowly_written_file_is_not_handed_out_before_it_is_closed(folder: Path) -> None:
    with watching(folder) as watcher:
        with (folder / "slow.txt").open("wb", buffering=0) as file:
            for _ in range(3):
                file.write(b"> chunk\n" * 100)
                assert_nothing_more(watcher, 2.5 * SETTLE_S)
        assert take(watcher, 1) == [folder / "slow.txt"]


def test_files_present_at_start_are_handed_out(folder: Path) -> None:
    (folder / "deep").mkdir()
    for path in (folder / "a.txt", folder / "deep" / "b.txt"):
        path.write_text("> hi")
    with watching(folder) as watcher:
        assert sorted(take(watcher, 2)) == [folder / "a.txt", folder / "deep" / "b.txt"]


def test_500_files_at_once_are_each_handed_out_exactly_once(folder: Path) -> None:
    with watching(folder, rescan_s=0.3) as watcher:

        def write(start: int) -> None:
            for n in range(start, 500, 4):
                (folder / f"{n}.txt").write_text("> hi")

        writers = [threading.Thread(target=write, args=(start,)) for start in range(4)]
        for writer in writers:
            writer.start()
        taken = Counter(path.name for path in take(watcher, 500, 30))
        for writer in writers:
            writer.join()
        assert taken == Counter(f"{n}.txt" for n in range(500))
        assert_nothing_more(watcher)


@pytest.mark.skipif("TEST_SLOW" not in os.environ, reason="slow: set TEST_SLOW=1")
def test_more_files_than_the_queues_hold_all_come_in_the_end(folder: Path) -> None:
    """12,000 files: beyond what waits in memory (10,000) and is ready (1,000)."""
    for n in range(12_000):
        os.close(os.open(folder / f"{n}.txt", os.O_CREAT | os.O_WRONLY))
        os.truncate(folder / f"{n}.txt", 4)
    with watching(folder) as watcher:
        taken = Counter(path.name for path in take(watcher, 12_000, 60))
    assert taken == Counter(f"{n}.txt" for n in range(12_000))


def test_a_path_that_is_being_ingested_is_not_handed_out_again_by_scans(folder: Path) -> None:
    (folder / "a.txt").write_text("> hi")
    with watching(folder, rescan_s=0.05) as watcher:
        path = watcher.ready.get(timeout=10)
        assert_nothing_more(watcher)
        watcher.done(path)
        assert watcher.ready.get(timeout=10) == path


def test_a_new_file_under_a_known_name_is_handed_out_again(folder: Path) -> None:
    with watching(folder) as watcher:
        for n in range(3):
            (folder / "a.txt").write_text(f"> {n}")
            assert take(watcher, 1) == [folder / "a.txt"]


def test_an_empty_file_waits_and_is_handed_out_when_filled(folder: Path) -> None:
    with watching(folder) as watcher:
        (folder / "a.txt").touch()
        assert_nothing_more(watcher)
        (folder / "a.txt").write_text("> hi")
        assert take(watcher, 1) == [folder / "a.txt"]


def test_links_pipes_and_sockets_are_handed_out_and_hang_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with watching(folder) as watcher, socket.socket(socket.AF_UNIX) as listener:
        os.mkfifo("pipe")
        Path("link").symlink_to("/etc/passwd")
        Path("folder-link").symlink_to("/etc")
        listener.bind("socket")
        names = {path.name for path in take(watcher, 4)}
    assert names == {"pipe", "link", "folder-link", "socket"}


def test_a_scan_finds_what_no_event_told_of(folder: Path, tmp_path: Path) -> None:
    """The folder was replaced: inotify still watches the old one."""
    with watching(folder, rescan_s=0.3) as watcher:
        folder.rename(tmp_path / "old")
        folder.mkdir()
        (folder / "a.txt").write_text("> hi")
        assert take(watcher, 1) == [folder / "a.txt"]


def test_a_folder_that_is_not_there_yet_is_scanned_until_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    with watching(folder, rescan_s=0.3) as watcher:
        folder.mkdir()
        (folder / "a.txt").write_text("> hi")
        assert take(watcher, 1) == [folder / "a.txt"]


def test_rescan_looks_at_the_whole_folder_at_once(folder: Path, tmp_path: Path) -> None:
    with watching(folder) as watcher:
        folder.rename(tmp_path / "old")
        folder.mkdir()
        (folder / "a.txt").write_text("> hi")
        watcher.rescan()
        assert take(watcher, 1) == [folder / "a.txt"]


def test_names_that_are_no_text_and_names_with_newlines_come_through(folder: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.txt"), "two\nlines.txt", "x" * 251 + ".txt"]
    with watching(folder) as watcher:
        for name in names:
            (folder / name).write_text("> hi")
        assert sorted(path.name for path in take(watcher, 3)) == sorted(names)


def test_scan_goes_by_name_and_leaves_hidden_folders_alone(folder: Path) -> None:
    for name in ("b.txt", "a.txt", "c/d.txt", ".stversions/old.txt", "c/.git/config", "e.tmp"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("> hi")
    found = [str(path.relative_to(folder)) for path in scan(folder)]
    assert found == ["a.txt", "b.txt", "c/d.txt"]


@pytest.fixture
def bottom(folder: Path) -> Iterator[Path]:
    """A folder deeper than calls can be; no library of Python's makes or removes one."""
    deep = folder / "/".join("d" * (sys.getrecursionlimit() + 100))
    subprocess.run(["mkdir", "-p", str(deep)], check=True)
    yield deep
    subprocess.run(["rm", "-rf", str(folder / "d")], check=True)


def test_folders_of_any_depth_are_looked_through_and_hold_nothing_up(
    folder: Path, bottom: Path
) -> None:
    (bottom / "deep.txt").write_text("> hi")
    (folder / "z.txt").write_text("> hi")
    with watching(folder) as watcher:
        assert take(watcher, 2) == [bottom / "deep.txt", folder / "z.txt"]
        assert "every 5 seconds" in str(watcher.trouble)


def test_many_folders_to_look_through_leave_time_for_the_rest(
    folder: Path, bottom: Path
) -> None:
    """Each of nested folders is told of, and all that is in it looked through."""
    (bottom / "deep.txt").write_text("> hi")
    with watching(folder) as watcher:
        for _ in range(2000):
            watcher._hint(folder / "d", False)
        began = time.monotonic()
        wait_until(lambda: watcher.beat_at > began + 1, 5)
    assert time.monotonic() < began + 10


def test_a_folder_that_cannot_be_looked_into_is_told_until_it_can_be(folder: Path) -> None:
    with out_of_reach(folder) as deep, watching(folder) as watcher:
        wait_until(lambda: "cannot be looked into" in str(watcher.trouble))
        (deep / deep.name / deep.name).rename(folder / "e")
        assert [path.name for path in take(watcher, 1)] == ["a.txt"]
        watcher.rescan()
        wait_until(lambda: "looked into" not in str(watcher.trouble))


def test_events_in_hidden_folders_are_no_drops_either(folder: Path) -> None:
    (folder / ".stversions").mkdir()
    with watching(folder) as watcher:
        (folder / ".stversions" / "old.txt").write_text("> hi")
        assert_nothing_more(watcher)


def test_stop_ends_the_threads_even_while_nobody_takes_anything(folder: Path) -> None:
    for n in range(1500):
        (folder / f"{n}.txt").write_text("> hi")
    before = threading.active_count()
    with watching(folder) as watcher:
        wait_until(watcher.ready.full)
    wait_until(lambda: threading.active_count() <= before)


def test_a_path_that_the_system_refuses_to_look_at_does_not_end_the_watcher(
    folder: Path,
) -> None:
    """ENAMETOOLONG here, as EACCES for all but root: ``Path.is_dir`` raises on both."""
    with watching(folder) as watcher:
        watcher._hint(folder / ("x" * 300), False)
        (folder / "a.txt").write_text("> hi")
        assert take(watcher, 1) == [folder / "a.txt"]
