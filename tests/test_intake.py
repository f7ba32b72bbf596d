"""Claiming and reading dropped files: the rename is the lock, and nothing ever waits."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from exportd.errors import DiskTrouble, PermanentError, TransientError, UnreadableFile
from exportd.folders import Folders
from exportd.intake import Claim, Intake
from exportd.intake.files import has_writer, read_chunks

NOBODY = 65_534


@pytest.fixture
def folders(memory_dir: Path) -> Folders:
    made = Folders(memory_dir)
    made.create()
    return made


@pytest.fixture
def intake(folders: Folders) -> Intake:
    return Intake(folders, max_file_bytes=1_000_000, disk_reserve_bytes=0)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that any user may enter, unlike pytest's own."""
    folder = Path("/tmp") / f"exportd-{uuid.uuid4().hex}"  # noqa: S108
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def claimed(intake: Intake, path: Path) -> Claim:
    claim = intake.claim(path)
    assert claim is not None
    return claim


def test_a_claim_moves_the_file_under_its_own_name(folders: Folders, intake: Intake) -> None:
    path = folders.exports / "a.txt"
    path.write_text("> hi")
    claim = claimed(intake, path)
    assert not path.exists()
    assert claim.path.parent.parent == folders.inflight
    assert claim.path.name == "a.txt"
    assert claim.path.read_text() == "> hi"


def test_of_two_that_race_for_200_files_each_file_is_claimed_once(
    folders: Folders, intake: Intake
) -> None:
    paths = [folders.exports / f"{n}.txt" for n in range(200)]
    for path in paths:
        path.write_text("> hi")
    start = threading.Barrier(2)
    won: list[list[Claim]] = [[], []]

    def race(number: int) -> None:
        start.wait()
        won[number] = [claim for path in paths if (claim := intake.claim(path))]

    racers = [threading.Thread(target=race, args=(number,)) for number in (0, 1)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(claim.name for claim in won[0] + won[1]) == sorted(p.name for p in paths)
    assert len(list(folders.inflight.iterdir())) == 200


def test_a_file_that_another_took_is_none_and_leaves_no_trace(
    folders: Folders, intake: Intake
) -> None:
    assert intake.claim(folders.exports / "gone.txt") is None
    assert list(folders.inflight.iterdir()) == []


def test_a_claim_that_the_disk_refuses_is_disk_trouble_and_touches_nothing(
    folders: Folders, intake: Intake
) -> None:
    """A name that is too long: that stands for every refusal."""
    (folders.exports / "a.txt").write_text("> hi")
    with pytest.raises(DiskTrouble, match="cannot be claimed"):
        intake.claim(folders.exports / ("x" * 300))
    assert (folders.exports / "a.txt").read_text() == "> hi"
    assert list(folders.inflight.iterdir()) == []


def test_a_folder_that_became_a_link_leads_to_no_file(
    folders: Folders, intake: Intake, tmp_path: Path
) -> None:
    """Between the scan that saw a file and its claim, which may be long."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.txt").write_text("> hi")
    (folders.exports / "sub").symlink_to(tmp_path / "theirs")
    assert intake.claim(folders.exports / "sub" / "a.txt") is None
    assert (tmp_path / "theirs" / "a.txt").exists()
    assert list(folders.inflight.iterdir()) == []


@pytest.mark.parametrize("trouble", ["gone", "full"])
def test_a_claim_without_a_place_in_flight_is_disk_trouble(
    folders: Folders, intake: Intake, trouble: str
) -> None:
    (folders.exports / "a.txt").write_text("> hi")
    folders.inflight.rmdir()
    if trouble == "full":
        folders.inflight.touch()  # mkdir refuses, with another errno
    with pytest.raises(DiskTrouble) as first:
        intake.claim(folders.exports / "a.txt")
    with pytest.raises(DiskTrouble) as second:
        intake.claim(folders.exports / "a.txt")
    assert str(first.value) == str(second.value)  # so that it is told once
    assert (folders.exports / "a.txt").read_text() == "> hi"


def test_a_sweep_finds_what_was_left_and_tidies_what_is_empty(
    folders: Folders, intake: Intake
) -> None:
    for name in ("a.txt", "b.txt"):
        (folders.exports / name).write_text(name)
    left = [claimed(intake, folders.exports / name) for name in ("a.txt", "b.txt")]
    empty = folders.inflight / str(uuid.uuid4())
    empty.mkdir()
    (folders.inflight / "notes").mkdir()  # not ours
    found = list(intake.sweep())
    assert sorted(found, key=lambda claim: claim.name) == left
    assert not empty.exists()
    assert (folders.inflight / "notes").exists()


def test_reading_gives_the_bytes_and_their_hash(folders: Folders, intake: Intake) -> None:
    raw = bytes(range(256)) * 100
    (folders.exports / "a.txt").write_bytes(raw)
    content = intake.read(claimed(intake, folders.exports / "a.txt"))
    assert content.raw == raw
    assert content.sha256 == hashlib.sha256(raw).hexdigest()


def test_a_file_that_grows_while_it_is_read_is_read_anew(
    folders: Folders, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders.exports / "a.txt").write_bytes(b"> hi")
    claim = claimed(intake, folders.exports / "a.txt")
    more = [b"\n> more"]

    def read_while_somebody_writes(file: BinaryIO) -> Iterator[bytes]:
        yield from read_chunks(file)
        if more:
            with claim.path.open("ab") as writer:
                writer.write(more.pop())

    monkeypatch.setattr("exportd.intake.read_chunks", read_while_somebody_writes)
    assert intake.read(claim).raw == b"> hi\n> more"


def test_a_file_that_changed_after_it_was_read_is_noticed(
    folders: Folders, intake: Intake
) -> None:
    (folders.exports / "a.txt").write_text("> hi")
    claim = claimed(intake, folders.exports / "a.txt")
    content = intake.read(claim)
    assert not intake.changed(claim, content)
    with claim.path.open("a") as file:
        file.write("\n> more")
    assert intake.changed(claim, content)


def test_a_file_that_is_too_large_says_how_large_it_may_be(
    folders: Folders, intake: Intake
) -> None:
    with (folders.exports / "a.txt").open("wb") as file:
        file.truncate(10 * 1024**3)  # sparse: reading it would take all memory
    with pytest.raises(PermanentError, match=r"10,737,418,240 bytes.*at most 1,000,000"):
        intake.read(claimed(intake, folders.exports / "a.txt"))


@pytest.mark.parametrize("kind", ["pipe", "socket", "link", "dangling", "device"])
def test_what_is_no_regular_file_is_claimed_and_refused_without_opening_it(
    folders: Folders, intake: Intake, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders.exports)  # a socket's path must be short
    match kind:
        case "pipe":
            os.mkfifo(kind)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(kind)
        case "link":
            Path(kind).symlink_to("/etc/passwd")
        case "dangling":
            Path(kind).symlink_to("nowhere")
        case _:
            try:
                os.mknod(kind, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
            except PermissionError:
                pytest.skip("making a device needs root")
    claim = claimed(intake, folders.exports / kind)
    assert not has_writer(claim.path)
    with pytest.raises(UnreadableFile, match="drop a copy of the file itself"):
        intake.read(claim)


def test_a_place_that_cannot_be_removed_does_not_end_the_sweep(
    folders: Folders, intake: Intake, tmp_path: Path
) -> None:
    """A link cannot, as a folder: that stands for every refusal."""
    (tmp_path / "empty").mkdir()
    (folders.inflight / str(uuid.UUID(int=0))).symlink_to(tmp_path / "empty")
    (folders.exports / "a.txt").write_text("> hi")
    assert list(intake.sweep()) == []
    claim = claimed(intake, folders.exports / "a.txt")
    assert list(intake.sweep()) == [claim]


def test_a_file_that_never_holds_still_does_not_hold_the_reader_up(
    folders: Folders, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network's disk, where no lease tells that a program writes to it."""
    (folders.exports / "a.txt").write_bytes(b"> hi")
    claim = claimed(intake, folders.exports / "a.txt")

    def read_while_somebody_writes(file: BinaryIO) -> Iterator[bytes]:
        yield from read_chunks(file)
        with claim.path.open("ab") as writer:
            writer.write(b"x")

    monkeypatch.setattr("exportd.intake.read_chunks", read_while_somebody_writes)
    with pytest.raises(TransientError, match="writes to it"):
        intake.read(claim)


def test_a_file_that_may_not_be_read_says_whose_it_is(open_to_all: Path) -> None:
    """As root everything may be read, so a child without privileges tries."""
    folder = open_to_all / "MEMORY-CONTEXT"
    program = f"""
import os, sys
from pathlib import Path
from exportd.errors import UnreadableFile
from exportd.folders import Folders
from exportd.intake import Intake
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
folders = Folders(Path({str(folder)!r}))
folders.create()
path = folders.exports / "a.txt"
path.write_text("> hi")
path.chmod(0)
intake = Intake(folders, 1000, 0)
claim = intake.claim(path)
try:
    intake.read(claim)
except UnreadableFile as error:
    sys.exit(str(error))
"""
    open_to_all.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "exportd may not read it (mode ----------" in done.stderr
    assert "drop it again" in done.stderr


def test_a_writer_is_seen_and_a_reader_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("> hi")
    assert not has_writer(path)
    with path.open("rb"):
        assert not has_writer(path)
    with path.open("ab"):
        assert has_writer(path)
    assert not has_writer(path)


def test_a_writer_in_another_process_is_seen_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    with subprocess.Popen(["sh", "-c", 'exec 3>>"$0"; echo open; read _', path],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        assert has_writer(path)
        writer.kill()
    assert not has_writer(path)


def test_asking_for_writers_disturbs_nobody_who_opens_the_file_meanwhile(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("")
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            has_writer(path)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(500):
        with path.open("a") as file:
            file.write("x")
    done.set()
    asking.join()
    assert path.stat().st_size == 500
