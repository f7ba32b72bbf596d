"""Durable moves: every byte stays, nothing is replaced, and names are never the trouble."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exportd.archive import Archive
from exportd.errors import DiskTrouble
from exportd.folders import Folders, write_file

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def folders(memory_dir: Path) -> Folders:
    made = Folders(memory_dir)
    made.create()
    return made


@pytest.fixture
def archive(folders: Folders) -> Archive:
    return Archive(folders)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the memory folder."""
    shm = Path("/dev/shm")  # noqa: S108
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


def sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def inflight(folders: Folders, name: str, raw: bytes) -> Path:
    place = folders.inflight / str(uuid.uuid4())
    place.mkdir()
    (place / name).write_bytes(raw)
    return place / name


def keep(archive: Archive, folders: Folders, name: str, raw: bytes) -> str:
    path = inflight(folders, name, raw)
    kept_as = archive.keep(path, sha(raw))
    assert not path.exists()
    assert (folders.archive / kept_as).read_bytes() == raw
    return kept_as


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_kept_byte_for_byte(folders: Folders, archive: Archive) -> None:
    raw = bytes(range(256)) * 1000
    assert keep(archive, folders, "a.bin", raw) == "a.bin"
    assert kept(folders.archive) == {"a.bin": raw}


def test_other_bytes_under_a_known_name_get_the_hash_into_their_name(
    folders: Folders, archive: Archive
) -> None:
    keep(archive, folders, "a.txt", b"first")
    name = f"a.{sha(b'second')[:12]}.txt"
    assert keep(archive, folders, "a.txt", b"second") == name
    assert kept(folders.archive) == {"a.txt": b"first", name: b"second"}


def test_a_name_without_extension_gets_the_hash_at_its_end(
    folders: Folders, archive: Archive
) -> None:
    keep(archive, folders, "NOTES", b"first")
    assert keep(archive, folders, "NOTES", b"second") == f"NOTES.{sha(b'second')[:12]}"


def test_the_same_bytes_are_kept_once(folders: Folders, archive: Archive) -> None:
    for _ in range(3):
        assert keep(archive, folders, "a.txt", b"same") == "a.txt"
    assert kept(folders.archive) == {"a.txt": b"same"}


def test_the_same_bytes_under_another_name_are_served_by_the_archived_copy(
    folders: Folders, archive: Archive
) -> None:
    keep(archive, folders, "a.txt", b"same")
    path = inflight(folders, "b.txt", b"same")
    assert archive.keep(path, sha(b"same"), archived_as="a.txt") == "a.txt"
    assert not path.exists()
    assert kept(folders.archive) == {"a.txt": b"same"}


@pytest.mark.parametrize("damage", [b"sbme", b"", None])
def test_a_damaged_or_missing_archived_copy_is_never_trusted(
    folders: Folders, archive: Archive, damage: bytes | None
) -> None:
    keep(archive, folders, "a.txt", b"same")
    if damage is None:
        (folders.archive / "a.txt").unlink()
    else:
        (folders.archive / "a.txt").write_bytes(damage)
    path = inflight(folders, "b.txt", b"same")
    kept_as = archive.keep(path, sha(b"same"), archived_as="a.txt")
    assert (folders.archive / kept_as).read_bytes() == b"same"
    if damage is not None:
        assert (folders.archive / "a.txt").read_bytes() == damage


def test_a_symbolic_link_in_the_archive_is_no_archived_copy(
    folders: Folders, archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"same")
    (folders.archive / "a.txt").symlink_to(tmp_path / "elsewhere")
    assert keep(archive, folders, "a.txt", b"same") != "a.txt"
    assert (folders.archive / "a.txt").is_symlink()


def test_a_kill_between_the_new_name_and_the_end_of_the_old_one_is_finished(
    folders: Folders, archive: Archive
) -> None:
    path = inflight(folders, "a.txt", b"same")
    (folders.archive / "a.txt").hardlink_to(path)
    assert archive.keep(path, sha(b"same")) == "a.txt"
    assert not path.exists()
    assert kept(folders.archive) == {"a.txt": b"same"}


@pytest.mark.parametrize(
    "name",
    [
        "x" * 251 + ".txt",
        "ü" * 125 + ".txt",
        "x" * 255,
        os.fsdecode(b"\xff\xfe caf\xe9.txt"),
        "two\nlines.txt",
        "\x1b[31mred.txt",
        "a:b.txt",
        "-rf.txt",
    ],
)
def test_any_name_that_a_file_may_have_may_collide(
    folders: Folders, archive: Archive, name: str
) -> None:
    names = {keep(archive, folders, name, raw) for raw in (b"1", b"2", b"3", b"2")}
    assert len(names) == 3
    assert name in names
    assert sorted(kept(folders.archive).values()) == [b"1", b"2", b"3"]


def test_a_long_sentence_with_an_early_dot_may_collide_too(
    folders: Folders, archive: Archive
) -> None:
    name = ("1. " + "what should we do about the export of yesterday " * 6)[:255]
    assert len({keep(archive, folders, name, raw) for raw in (b"1", b"2")}) == 2


def test_where_both_names_hold_other_bytes_a_third_is_found(
    folders: Folders, archive: Archive
) -> None:
    (folders.archive / "a.txt").write_bytes(b"other")
    (folders.archive / f"a.{sha(b'mine')[:12]}.txt").write_bytes(b"damaged")
    keep(archive, folders, "a.txt", b"mine")


def test_a_hard_link_elsewhere_cannot_change_the_archived_bytes(
    folders: Folders, archive: Archive, tmp_path: Path
) -> None:
    path = inflight(folders, "a.txt", b"as it was dropped")
    (tmp_path / "working-copy.txt").hardlink_to(path)
    archive.keep(path, sha(b"as it was dropped"))
    (tmp_path / "working-copy.txt").write_bytes(b"edited in place")
    assert kept(folders.archive) == {"a.txt": b"as it was dropped"}


def test_the_archive_may_be_on_another_file_system(
    folders: Folders, archive: Archive, other_disk: Path
) -> None:
    folders.archive.rmdir()
    folders.archive.symlink_to(other_disk)
    raw = os.urandom(3_000_000)
    keep(archive, folders, "a.bin", raw)
    keep(archive, folders, "a.bin", b"other")
    keep(archive, folders, "a.bin", raw)
    assert sorted(kept(other_disk).values(), key=len) == [b"other", raw]


def test_a_full_archive_is_disk_trouble_and_the_file_stays_where_it_is(
    folders: Folders, archive: Archive, other_disk: Path
) -> None:
    """A name is the one thing that a full disk and this folder both refuse."""
    folders.archive.rmdir()
    folders.archive.symlink_to(other_disk / "unmounted")
    path = inflight(folders, "a.txt", b"mine")
    with pytest.raises(DiskTrouble, match=r"a\.txt: cannot be moved"):
        archive.keep(path, sha(b"mine"))
    assert path.read_bytes() == b"mine"


def test_a_dead_letter_lies_beside_its_reason(folders: Folders, archive: Archive) -> None:
    path = inflight(folders, "a.txt", b"junk")
    name = archive.failed_name(path, uuid.uuid4())
    archive.fail(path, name, "no known export format", NOW)
    assert (folders.failed / "a.txt").read_bytes() == b"junk"
    reason = (folders.failed / "a.txt.reason.txt").read_text()
    assert "no known export format" in reason
    assert "2025-01-02 03:04:05 UTC" in reason
    assert not path.exists()


def test_what_was_rolled_back_lies_beside_a_note_that_says_so(
    folders: Folders, archive: Archive
) -> None:
    path = folders.archive / "a.txt"
    path.write_bytes(b"all well")
    archive.take_back(path, "a.txt", "rolled back by a person", NOW)
    assert (folders.failed / "a.txt").read_bytes() == b"all well"
    note = (folders.failed / "a.txt.reason.txt").read_text()
    assert "a.txt was rolled back" in note
    assert "rolled back by a person" in note
    assert "could not be ingested" not in note
    assert not path.exists()


def test_every_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    made = Folders(tmp_path / "MEMORY-CONTEXT")
    made.create()
    for folder in (made.memory, *(path for path in made.memory.rglob("*") if path.is_dir())):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


@pytest.mark.parametrize(
    "name", ["a.txt", "x" * 255, "x" * 251 + ".txt", os.fsdecode(b"\xff.txt"), "two\nlines"]
)
def test_dead_letters_of_one_name_never_replace_each_other(
    folders: Folders, archive: Archive, name: str
) -> None:
    for raw in (b"1", b"2", b"3"):
        path = inflight(folders, name, raw)
        archive.fail(path, archive.failed_name(path, uuid.uuid4()), raw.decode(), NOW)
    contents = sorted(kept(folders.failed).values())
    assert contents[:3] == [b"1", b"2", b"3"]
    assert len(contents) == 6
    assert {raw.split(b"Why:  ")[1][:1] for raw in contents[3:]} == {b"1", b"2", b"3"}


def test_links_and_pipes_are_moved_as_what_they_are(
    folders: Folders, archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("not to be read")
    place = folders.inflight / str(uuid.uuid4())
    place.mkdir()
    (place / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(place / "pipe")
    for name in ("link", "pipe"):
        archive.fail(place / name, name, "no regular file", NOW)
    assert (folders.failed / "link").readlink() == tmp_path / "secret"
    assert (folders.failed / "pipe").is_fifo()
    assert list(place.iterdir()) == []


def test_a_dead_letter_has_the_same_name_at_every_try(
    folders: Folders, archive: Archive
) -> None:
    """Killed after the note was written: the next try ends under the same name."""
    path, claim_id = inflight(folders, "a.txt", b"junk"), uuid.uuid4()
    name = archive.failed_name(path, claim_id)
    write_file(folders.failed / f"{name}.reason.txt", "written just before the kill")
    assert archive.failed_name(path, claim_id) == name


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_file(tmp_path / "a.md", "first")
    write_file(tmp_path / "a.md", "second ✓")
    assert kept(tmp_path) == {"a.md": "second ✓".encode()}
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_file(tmp_path / "folder", "in the way")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.md", "folder"]


def test_a_copy_that_cannot_be_removed_keeps_nothing_from_starting(
    folders: Folders, archive: Archive
) -> None:
    """A folder cannot: that stands for every refusal, and for one that another removed."""
    stays, goes = (folders.inflight / f".{uuid.UUID(int=n)}.tmp" for n in (0, 1))
    stays.mkdir()
    goes.touch()
    archive.tidy()
    assert (stays.exists(), goes.exists()) == (True, False)


def test_empty_folders_of_an_earlier_ingest_go_at_the_next_start(
    folders: Folders, archive: Archive
) -> None:
    """Those in which a file waits stay, and what others made, and what is new."""
    old = time.time() - 2 * 86_400
    for name in ("ingest-0a1b2c3d/2", "ingest-11111111", "ingest-notes", "ingest-22222222"):
        (folders.exports / name).mkdir(parents=True)
    (folders.exports / "ingest-11111111" / "a.txt").touch()
    for path in sorted(folders.exports.glob("ingest-[!2]*/**/"), reverse=True):
        os.utime(path, (old, old))
    archive.tidy()
    archive.tidy()  # what was emptied just now is no older than that
    left = {path.name for path in folders.exports.iterdir()}
    assert left == {"ingest-0a1b2c3d", "ingest-11111111", "ingest-notes", "ingest-22222222"}
    os.utime(folders.exports / "ingest-0a1b2c3d", (old, old))
    archive.tidy()
    assert not (folders.exports / "ingest-0a1b2c3d").exists()
