"""The disk is full, broken, gone or loses power: files wait, and nothing is lost.

``TEST_SLOW=1`` makes every single call of every kind fail once (HAZARDS 28, 29); the usual
run a few of each. Mounts need root, the failing calls a C compiler.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import Command, rows, wait_until
from test_crash_points import LOG_BYTES, assert_as_if_nothing_had_happened, scene

TALK = "> one\n\n⏺ two\n"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def exports(exportd: Command) -> Path:
    return exportd.memory_dir / "exports"


@contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", *arguments, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def stored(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM messages")[0][0])


def told(url: str, title: str) -> list[str]:
    return [row[0] for row in rows(url, "SELECT state FROM alerts WHERE title = %s", title)]


# -- calls that fail --------------------------------------------------------------------


NUMBERS = {
    "fsync": errno.EIO,
    "write": errno.ENOSPC,
    "create": errno.ENOSPC,
    "rename": errno.EIO,
    "link": errno.EDQUOT,
    "unlink": errno.EIO,
    "mkdir": errno.ENOSPC,
    "rmdir": errno.EIO,
}
USUAL = {
    "fsync": (1, 5), "write": (1, 3), "create": (1, 4), "rename": (2, 4), "link": (1,),
    "unlink": (1,), "mkdir": (1,), "rmdir": (1,),
}  # fmt: skip


def cases() -> list[tuple[str, int]]:
    if "TEST_SLOW" in os.environ:
        return [(call, at) for call in NUMBERS for at in range(1, 60)]
    return [(call, at) for call, numbers in USUAL.items() for at in numbers]


@pytest.mark.parametrize(("call", "at"), cases())
def test_a_call_that_the_disk_refuses_costs_nothing_but_time(
    exportd: Command, database_url: str, shim: Path, tmp_path: Path, call: str, at: int
) -> None:
    exportd.environment |= {
        "EXPORTD_SETTLE_TIME": "0.05",
        "EXPORTD_STATUS_LOG_MAX_BYTES": str(LOG_BYTES),
        "EXPORTD_MAX_ATTEMPTS": "1",  # trouble of the disk spends none
    }
    exportd("run", "--once")
    made = scene(exportd.memory_dir, 0)
    first = exportd(
        "run",
        "--once",
        LD_PRELOAD=str(shim),
        FAULT_CALL=call,
        FAULT_AT=str(at),
        FAULT_ERRNO=str(NUMBERS[call]),
        FAULT_PATH=str(exportd.memory_dir),
        FAULT_TOLD=str(tmp_path / "told"),
    )
    if not (tmp_path / "told").exists():
        assert "TEST_SLOW" in os.environ, f"{call} is not called {at} times"
        pytest.skip(f"{call} is not called {at} times")
    assert first.returncode in (os.EX_OK, os.EX_TEMPFAIL), first.stderr
    assert "exportd.bug" not in first.stderr
    assert "ingest.bug" not in first.stderr
    assert exportd("run", "--once").returncode == 0
    assert_as_if_nothing_had_happened(exportd, database_url, made)


def test_a_failed_fsync_is_never_followed_by_another_of_the_same_file(
    exportd: Command, exports: Path, shim: Path, tmp_path: Path
) -> None:
    """What is archived is another file: of the first the kernel keeps no promise."""
    exportd("run", "--once")
    (exports / "a.txt").write_text(TALK)
    dropped = (exports / "a.txt").stat().st_ino
    done = exportd(
        "run",
        "--once",
        LD_PRELOAD=str(shim),
        FAULT_CALL="fsync",
        FAULT_AT="3",  # after those of the place in flight and of the folder above it
        FAULT_ERRNO=str(errno.EIO),
        FAULT_PATH=str(exportd.memory_dir / ".exportd" / "inflight"),
        FAULT_TOLD=str(tmp_path / "told"),
    )
    assert (tmp_path / "told").exists()
    assert done.returncode == 0, done.stderr
    archived = exportd.memory_dir / "exports-archive" / "a.txt"
    assert archived.read_text() == TALK
    assert archived.stat().st_ino != dropped


def test_git_takes_nothing_of_exportds_own_whatever_the_disk_refuses(
    exportd: Command, exports: Path, shim: Path, tmp_path: Path
) -> None:
    def git(*arguments: str) -> list[str]:
        command = ["git", *arguments]
        folder = exportd.memory_dir.parent
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    (exports / "a.txt").write_text(TALK)
    place = exportd.memory_dir / ".exportd" / ".gitignore"
    for call in ("create", "write"):
        done = exportd(
            "run",
            "--once",
            LD_PRELOAD=str(shim),
            FAULT_CALL=call,
            FAULT_AT="1",
            FAULT_ERRNO=str(errno.ENOSPC),
            FAULT_PATH=str(place),
            FAULT_TOLD=str(tmp_path / call),
        )
        assert (tmp_path / call).exists()
        assert done.returncode == 0, done.stderr
        assert not place.exists()
    assert exportd("run", "--once").returncode == 0
    assert place.read_text() == "*\n"
    git("init", "-q")
    git("add", "-A", "MEMORY-CONTEXT")
    staged = git("diff", "--cached", "--name-only")
    assert "MEMORY-CONTEXT/sessions/a.md" in staged
    assert "MEMORY-CONTEXT/exports-archive/a.txt" in staged
    assert [name for name in staged if ".exportd/" in name] == []
    place.write_text("mine\n")
    assert exportd("run", "--once").returncode == 0
    assert place.read_text() == "mine\n"


# -- space ------------------------------------------------------------------------------


@needs_root
def test_files_wait_while_the_disk_is_full_and_go_on_by_themselves(
    exportd: Command, exports: Path, database_url: str
) -> None:
    with (
        mounted(exportd.memory_dir, "-t", "tmpfs", "-o", "size=4m", "none"),
        exportd.running(EXPORTD_DISK_RESERVE_BYTES="0"),
    ):
        (exports / ".a").write_text(TALK)
        ballast = exportd.memory_dir / "ballast"
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(bytes(8 << 20))
        (exports / ".a").rename(exports / "a.txt")
        time.sleep(1.5)
        assert not list((exportd.memory_dir / "exports-archive").glob("a*"))
        ballast.unlink()
        wait_until((exportd.memory_dir / "sessions" / "a.md").exists, 40)
        assert stored(database_url) == 2
        wait_until((exportd.memory_dir / "exports-archive" / "a.txt").exists)
    assert rows(database_url, "SELECT count(*) FROM dead_letters") == [(0,)]


@needs_root
def test_files_wait_while_there_is_no_inode_left(
    exportd: Command, exports: Path, database_url: str
) -> None:
    options = "size=16m,nr_inodes=64"
    with (
        mounted(exportd.memory_dir, "-t", "tmpfs", "-o", options, "none"),
        exportd.running(EXPORTD_DISK_RESERVE_BYTES="0"),
    ):
        (exports / ".a").write_text(TALK)
        full = exportd.memory_dir / "full"
        full.mkdir()
        with suppress(OSError):
            for n in range(100):
                (full / str(n)).touch()
        assert 0 < len(list(full.iterdir())) < 100
        (exports / ".a").rename(exports / "a.txt")
        time.sleep(1.5)
        assert stored(database_url) == 0
        shutil.rmtree(full)
        wait_until((exportd.memory_dir / "exports-archive" / "a.txt").exists, 40)


@needs_root
def test_the_reserve_is_kept_and_told(
    exportd: Command, exports: Path, database_url: str
) -> None:
    with (
        mounted(exportd.memory_dir, "-t", "tmpfs", "-o", "size=16m", "none"),
        exportd.running(EXPORTD_DISK_RESERVE_BYTES=str(8 << 20)),
    ):
        ballast = exportd.memory_dir / "ballast"
        ballast.write_bytes(bytes(10 << 20))
        (exports / "a.txt").write_text(TALK)
        wait_until(lambda: told(database_url, "disk low") == ["firing"])
        assert (exports / "a.txt").exists()
        log = exportd.memory_dir / "export-dedup-status.txt"
        wait_until(lambda: log.exists() and "disk_reserve_bytes" in log.read_text())
        assert (exports / "a.txt").exists()
        ballast.unlink()
        wait_until(lambda: stored(database_url) == 2, 40)
        wait_until(lambda: told(database_url, "disk low") == ["resolved"])


# -- the archive ------------------------------------------------------------------------


@needs_root
def test_an_archive_whose_disk_is_away_is_not_filled_below(
    exportd: Command, exports: Path, database_url: str
) -> None:
    archive, kept = exportd.memory_dir / "exports-archive", exportd.memory_dir.parent / "kept"
    with mounted(archive, "-t", "tmpfs", "none"), exportd.running():
        (exports / "a.txt").write_text(TALK)
        wait_until((archive / "a.txt").exists)
        wait_until((exportd.memory_dir / "sessions" / "a.md").exists)
        shutil.copytree(archive, kept)
        subprocess.run(["umount", "-l", str(archive)], check=True)
        (exports / "b.txt").write_text(TALK.replace("one", "three"))
        wait_until(lambda: told(database_url, "archive absent") == ["firing"])
        time.sleep(0.5)
        assert list(archive.iterdir()) == []
        with mounted(archive, "-t", "tmpfs", "none"):
            shutil.copytree(kept, archive, dirs_exist_ok=True)
            wait_until((archive / "b.txt").exists, 40)
            assert stored(database_url) == 4
            wait_until(lambda: told(database_url, "archive absent") == ["resolved"])


def test_an_archive_that_was_copied_alone_is_taken_for_what_it_is(
    exportd: Command, exports: Path, tmp_path: Path
) -> None:
    (exports / "a.txt").write_text(TALK)
    assert exportd("run", "--once").returncode == 0
    other = Command(tmp_path / "other", None)
    other.memory_dir.mkdir()
    shutil.copytree(
        exportd.memory_dir / "exports-archive", other.memory_dir / "exports-archive"
    )
    assert other("run", "--once").returncode == 0


def test_an_archive_that_was_replaced_is_refused_until_somebody_says_so(
    exportd: Command, exports: Path
) -> None:
    assert exportd("run", "--once").returncode == 0
    shutil.rmtree(exportd.memory_dir / "exports-archive")
    (exports / "a.txt").write_text(TALK)
    refused = exportd("run", "--once")
    assert refused.returncode == os.EX_TEMPFAIL
    assert "archive-id" in refused.stderr
    (exportd.memory_dir / ".exportd" / "archive-id").unlink()
    assert exportd("run", "--once").returncode == 0


# -- power ------------------------------------------------------------------------------

SHUT_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
WITHOUT_FLUSH = 2
POINTS = [
    "claim.durable", "store.committed", "archive.durable", "read.hashed", "manifest.durable",
    "archive.done", "dead_letter.noted", "dead_letter.done", "tell.renamed",
]  # fmt: skip


@contextmanager
def made_disk(image: Path, place: Path) -> Iterator[None]:
    subprocess.run(["truncate", "-s", "64M", str(image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    with mounted(place, "-o", "loop", str(image)):
        yield


def power_cut(image: Path, place: Path) -> None:
    """The file system stops as a disk without power does: what was not flushed is gone."""
    descriptor = os.open(place, os.O_RDONLY)
    fcntl.ioctl(descriptor, SHUT_DOWN, struct.pack("I", WITHOUT_FLUSH))
    os.close(descriptor)
    subprocess.run(["umount", str(place)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)


@needs_root
@pytest.mark.parametrize("point", POINTS if "TEST_SLOW" in os.environ else POINTS[:3])
def test_a_power_cut_loses_nothing_that_was_dropped(
    exportd: Command, database_url: str, tmp_path: Path, point: str
) -> None:
    disk, memory = tmp_path / "disk.img", exportd.memory_dir
    exportd.environment |= {
        "EXPORTD_SETTLE_TIME": "0.05",
        "EXPORTD_DISK_RESERVE_BYTES": "0",
        "EXPORTD_STATUS_LOG_MAX_BYTES": str(LOG_BYTES),
    }
    with made_disk(disk, memory):
        assert exportd("run", "--once").returncode == 0
        made = scene(memory, 0)
        os.sync()  # the writers' duty ends here
        killed = exportd("run", "--once", EXPORTD_CRASH_AT=point)
        assert killed.returncode == -signal.SIGKILL
        power_cut(disk, memory)
        assert exportd("run", "--once").returncode == 0
        assert_as_if_nothing_had_happened(exportd, database_url, made)


@needs_root
def test_a_power_cut_at_an_archive_of_its_own_loses_nothing(
    exportd: Command, exports: Path, tmp_path: Path
) -> None:
    """The disk of the archive stops the moment after the file was dropped from the other."""
    disk, archive = tmp_path / "disk.img", exportd.memory_dir / "exports-archive"
    exportd.environment["EXPORTD_DISK_RESERVE_BYTES"] = "0"
    with made_disk(disk, archive):
        assert exportd("run", "--once").returncode == 0
        (exports / "a.txt").write_text(TALK)
        os.sync()
        killed = exportd("run", "--once", EXPORTD_CRASH_AT="archive.noted")
        assert killed.returncode == -signal.SIGKILL
        power_cut(disk, archive)
        assert exportd("run", "--once").returncode == 0
        assert (archive / "a.txt").read_text() == TALK
        verified = exportd("verify")
        assert verified.returncode == 0, verified.stdout


def test_claims_that_cannot_be_looked_for_are_waited_for(
    exportd: Command, database_url: str
) -> None:
    """A file in the folder's place: that stands for every refusal, a lost permission, too."""
    inflight = exportd.memory_dir / ".exportd" / "inflight"
    exportd.environment["EXPORTD_SETTLE_TIME"] = "0.05"
    with exportd.running() as daemon:
        inflight.rmdir()
        inflight.touch()
        (exportd.memory_dir / "exports" / "a.txt").write_text("> one\n\n⏺ two\n")
        (log,) = exportd.memory_dir.parent.glob("daemon-*.log")
        wait_until(lambda: daemon.poll() is not None or "sweep.deferred" in log.read_text())
        assert daemon.poll() is None
        inflight.unlink()
        inflight.mkdir()
        wait_until(lambda: len(rows(database_url, "SELECT 1 FROM messages")) == 2)


def test_many_files_that_wait_are_told_together(exportd: Command, database_url: str) -> None:
    """The status log is of a limited size: a report for each would push the rest out."""
    inflight = exportd.memory_dir / ".exportd" / "inflight"
    exportd.environment["EXPORTD_SETTLE_TIME"] = "0.05"
    with exportd.running():
        inflight.rmdir()
        inflight.touch()
        for n in range(40):
            (exportd.memory_dir / "exports" / f".{n}").write_text(f"> {n}\n\n⏺ two\n")
        for n in range(40):
            (exportd.memory_dir / "exports" / f".{n}").rename(
                exportd.memory_dir / "exports" / f"{n}.txt"
            )
        told = exportd.memory_dir / "export-dedup-status.txt"
        wait_until(lambda: told.exists() and told.read_text().count("deferred: ") >= 40)
        assert told.read_text().count("EXECUTION REPORT") < 10
        inflight.unlink()
        wait_until(lambda: rows(database_url, "SELECT count(*) FROM messages") == [(80,)])
