"""People say where an export belongs: a sidecar, or ``exportd ingest --session-id``."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import EXAMPLES, Command, rows, wait_until
from test_pipeline import Road, another, road, talk

from exportd.models import Fate

__all__ = ["another", "road"]

FIRST = (EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt").read_text()
GROWN = (EXAMPLES / "2026-01-13-EXPORT-GARDEN-PLANNER.txt").read_text()


def assigned(road: Road, name: str, text: str | bytes, session: str | bytes) -> None:
    sidecar = road.folders.exports / f"{name}.session"
    sidecar.write_bytes(session if isinstance(session, bytes) else session.encode())
    road.drop(name, text)


def homes(road: Road) -> dict[str, int]:
    return dict(rows(road.url, "SELECT conversation_id, total_messages FROM conversations"))


def manifest(road: Road) -> list[dict[str, str]]:
    text = (road.folders.archive / "manifest.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_sidecar_names_the_conversation_and_goes_away(road: Road) -> None:
    assigned(road, "EXPORT-A.txt", FIRST, "My Garden\n")
    assert homes(road) == {"my-garden": 13}
    assert list(road.folders.exports.iterdir()) == []
    assert list(road.folders.inflight.iterdir()) == []
    assert [entry["session_id"] for entry in manifest(road)] == ["My Garden"]


def test_later_exports_of_an_assigned_session_stay_with_it(road: Road) -> None:
    assigned(road, "EXPORT-A.txt", FIRST, "garden")
    road.drop("EXPORT-B.txt", GROWN)
    assert homes(road) == {"garden": 21}


def test_a_sidecar_that_comes_after_its_file_moves_it(road: Road) -> None:
    road.drop("EXPORT-A.txt", FIRST)
    sidecar = road.folders.exports / "EXPORT-A.txt.session"
    sidecar.write_text("garden")
    report = road.pipeline.ingest(sidecar)
    assert report is not None
    assert (report.fate, report.conversation_id) == (Fate.INGESTED, "garden")
    assert (report.size_bytes, report.total) == (6, 0)
    assert set(report.also_changed) == {"a", "garden"}
    assert homes(road) == {"garden": 13}
    assert not sidecar.exists()
    assert manifest(road)[-1]["session_id"] == "garden"


def test_the_same_bytes_dropped_again_with_a_sidecar_move(road: Road) -> None:
    road.drop("EXPORT-A.txt", FIRST)
    assigned(road, "EXPORT-A.txt", FIRST, "garden")
    assert homes(road) == {"garden": 13}


def test_a_sidecar_of_a_packed_file_moves_what_is_in_it(road: Road) -> None:
    packed = gzip.compress(FIRST.encode(), mtime=0)
    road.drop("EXPORT-A.txt.gz", packed)
    sidecar = road.folders.exports / "EXPORT-A.txt.gz.session"
    sidecar.write_text("garden")
    report = road.pipeline.ingest(sidecar)
    assert report is not None
    assert report.conversation_id == "garden"
    assert homes(road) == {"garden": 13}
    assigned(road, "EXPORT-A.txt.gz", packed, "orchard")
    assert homes(road) == {"orchard": 13}


def test_a_sidecar_waits_for_its_file_and_is_a_dead_letter_when_none_comes(
    road: Road,
) -> None:
    sidecar = road.folders.exports / "EXPORT-A.txt.session"
    sidecar.write_text("garden")
    waiting = road.pipeline.ingest(sidecar)
    assert waiting is not None
    assert waiting.fate is Fate.DEFERRED
    assert sidecar.exists()
    while waiting.fate is Fate.DEFERRED:
        waiting = road.pipeline.ingest(sidecar)
        assert waiting is not None
    assert waiting.fate is Fate.DEAD_LETTER
    assert "drop both together" in waiting.reason
    assert (road.folders.failed / "EXPORT-A.txt.session").read_text() == "garden"


def test_a_sidecar_that_says_nothing_clear_does_not_wait_for_its_file(road: Road) -> None:
    sidecar = road.folders.exports / "EXPORT-A.txt.session"
    sidecar.write_text("a\nb\n")
    report = road.pipeline.ingest(sidecar)
    assert report is not None
    assert report.fate is Fate.DEAD_LETTER
    assert "one line of text" in report.reason


@pytest.mark.parametrize("session", [b"", b"a\nb\n", b"\xff\xfe", b"x" * 5000, b"a\x00b"])
def test_a_sidecar_that_says_nothing_clear_sets_both_aside(road: Road, session: bytes) -> None:
    assigned(road, "EXPORT-A.txt", FIRST, session)
    assert homes(road) == {}
    failed = {path.name for path in road.folders.failed.iterdir()}
    assert failed == {"EXPORT-A.txt", "EXPORT-A.txt.session", "EXPORT-A.txt.reason.txt"}
    assert "one line of text" in (road.folders.failed / "EXPORT-A.txt.reason.txt").read_text()


@pytest.mark.parametrize("session", ["../../etc/passwd", "a/b", "..", "🌱", "x" * 300])
def test_no_given_id_leaves_the_folder(road: Road, session: str) -> None:
    assigned(road, "EXPORT-A.txt", FIRST, session)
    (conversation_id,) = homes(road)
    files = [path.relative_to(road.folders.sessions) for path in _files(road.folders.sessions)]
    assert files == [Path(f"{conversation_id}.md")]
    assert not set("/\\") & set(conversation_id)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_a_claim_that_was_killed_gives_the_sidecar_to_its_file(road: Road) -> None:
    path = road.folders.exports / "EXPORT-A.txt"
    path.write_text(FIRST)
    (road.folders.exports / "EXPORT-A.txt.session").write_text("garden")
    assert road.intake.claim(path) is not None  # and here the process was killed
    for claim in road.intake.sweep():
        assert road.pipeline.resume(claim).fate is Fate.INGESTED
    assert homes(road) == {"garden": 13}


def test_the_same_bytes_with_an_earlier_time_or_name_lay_segments_out_anew(
    another: Callable[[], Road],
) -> None:
    dumps = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        road = another()
        drops = [
            ("EXPORT-A.txt", talk("one", "1", "why", "so"), 2_000_000_000),
            ("a.txt", talk("two", "2", "why", "so"), 1_900_000_000),
            ("a.txt", talk("one", "1", "why", "so"), 1_800_000_000),
        ]
        for number in order:
            name, text, modified_at = drops[number]
            path = road.folders.exports / name
            path.write_text(text)
            os.utime(path, (modified_at, modified_at))
            road.pipeline.ingest(path)
        dumps.append(rows(road.url, "SELECT message_index, content FROM messages ORDER BY 1"))
    assert dumps[0] == dumps[1] == dumps[2]
    assert dumps[0][0] == (0, "one")


def test_ingest_copies_files_and_assigns_them(exportd: Command, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(FIRST)
    done = exportd("ingest", str(file), "--session-id", "garden")
    assert done.returncode == 0, done.stderr
    assert "ingested   13        13  garden   notes.txt" in done.stdout
    assert file.exists()
    assert (exportd.memory_dir / "exports-archive" / "notes.txt").read_text() == FIRST
    again = exportd("ingest", str(tmp_path / "nothing.txt"))
    assert again.returncode == 64


def test_ingest_hands_over_to_a_daemon_that_works(exportd: Command, tmp_path: Path) -> None:
    file = tmp_path / "EXPORT-A.txt"
    file.write_text(FIRST)
    with exportd.running():
        done = exportd("ingest", str(file), "--session-id", "garden")
        assert done.returncode == 0, done.stderr
        assert "handed to the daemon" in done.stdout
        session = exportd.memory_dir / "sessions" / "garden.md"
        wait_until(session.exists)


def test_a_name_with_no_room_for_a_sidecar_is_ingested_without_one(road: Road) -> None:
    name = "EXPORT-" + "a" * 244 + ".txt"
    assert road.drop(name, FIRST).fate is Fate.INGESTED
    assert list(road.folders.inflight.iterdir()) == []


def test_files_of_one_name_are_ingested_one_after_the_other(
    exportd: Command, tmp_path: Path
) -> None:
    for folder, text in {"a": FIRST, "b": talk("one", "1", "two", "2")}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").write_text(text)
    done = exportd("ingest", str(tmp_path / "a"), str(tmp_path / "b"))
    assert done.returncode == 0, done.stderr
    assert len(list((exportd.memory_dir / "exports-archive").glob("notes*.txt"))) == 2


def test_what_waits_under_a_name_keeps_its_own_decision(
    exportd: Command, tmp_path: Path
) -> None:
    exports = exportd.memory_dir / "exports"
    (exports / "notes.txt").write_text(FIRST)
    (exports / "notes.txt.session").write_text("garden")
    other = tmp_path / "notes.txt"
    other.write_text(talk("one", "1", "two", "2"))
    done = exportd("ingest", str(other), "--session-id", "greenhouse")
    assert done.returncode == 0, done.stderr
    files = {path.name for path in (exportd.memory_dir / "sessions").iterdir()}
    assert files == {"garden.md", "greenhouse.md"}


def test_a_file_that_cannot_be_read_is_told_by_the_exit_code(
    exportd: Command, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("apples\n")
    assert exportd("ingest", str(tmp_path / "list.txt")).returncode == 65


def test_a_folder_with_the_name_of_a_sidecar_is_none(road: Road) -> None:
    folder = road.folders.exports / "EXPORT-A.txt.session"
    folder.mkdir()
    (folder / "EXPORT-B.txt").write_text(talk("one", "1", "two", "2"))
    report = road.drop("EXPORT-A.txt", FIRST)
    assert report is not None
    assert report.fate is Fate.INGESTED
    assert (folder / "EXPORT-B.txt").exists()


def test_a_sidecar_that_is_being_written_is_waited_for(road: Road) -> None:
    with (road.folders.exports / "EXPORT-A.txt.session").open("w") as sidecar:
        sidecar.write("gar")
        sidecar.flush()
        report = road.drop("EXPORT-A.txt", FIRST)
        assert report is not None
        assert report.fate is Fate.DEFERRED
        sidecar.write("den")
    for claim in road.intake.sweep():
        road.pipeline.resume(claim)
    assert homes(road) == {"garden": 13}


def test_ingest_takes_files_of_one_name_from_several_folders(
    exportd: Command, tmp_path: Path
) -> None:
    for folder, text in (("a", FIRST), ("b", talk("one", "1", "two", "2"))):
        (tmp_path / "from" / folder).mkdir(parents=True)
        (tmp_path / "from" / folder / "same.txt").write_text(text)
    for fate in ("ingested", "duplicate_file"):
        done = exportd("ingest", str(tmp_path / "from"))
        assert done.returncode == 0, done.stderr
        assert f"2 files: 2 {fate}." in done.stdout
    assert list((exportd.memory_dir / "exports").iterdir()) == []


def test_ingest_never_assigns_a_file_that_waits_nor_follows_a_link(
    exportd: Command, tmp_path: Path, database_url: str
) -> None:
    exports, victim = exportd.memory_dir / "exports", tmp_path / "victim"
    (exports / "waits.txt").write_text(talk("one", "1", "two", "2"))
    (exports / "linked.txt.session").symlink_to(victim)
    for name, text in (("waits.txt", FIRST), ("linked.txt", talk("three", "3", "four", "4"))):
        (tmp_path / name).write_text(text)
        exportd("ingest", str(tmp_path / name), "--session-id", "garden")
    assert not victim.exists()
    found = rows(database_url, "SELECT conversation_id, total_messages FROM conversations")
    assert dict(found) == {"garden": 17, "waits": 4}


@pytest.mark.parametrize(
    ("name", "session"),
    [("a.tmp", None), (".a.txt", None), ("a.txt", ""), ("a.txt", "x\ny"), ("a.txt", "\udcff")],
)
def test_ingest_refuses_what_would_never_be_taken(
    exportd: Command, tmp_path: Path, name: str, session: str | None
) -> None:
    (tmp_path / name).write_text(FIRST)
    arguments = [] if session is None else ["--session-id", session]
    done = exportd("ingest", str(tmp_path / name), *arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("exportd: refused: ")
    assert list((exportd.memory_dir / "exports").iterdir()) == []


def test_a_sidecar_whose_file_was_archived_before_a_kill_is_done_with(road: Road) -> None:
    assigned(road, "EXPORT-A.txt", FIRST, "garden")
    place = road.folders.inflight / "0b0e3bd0-6f9b-4a3c-9d0c-0a1b2c3d4e5f"
    place.mkdir()  # killed between the file's last move and its sidecar's end
    (place / "EXPORT-A.txt.session").write_text("garden")
    (claim,) = road.intake.sweep()
    assert road.pipeline.resume(claim).fate is Fate.UNCHANGED
    assert list(road.folders.inflight.iterdir()) == []
    assert list(road.folders.failed.iterdir()) == []
