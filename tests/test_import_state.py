"""``exportd import-state``: every line of the earlier log is stored or set aside, and back.

The oracle is the log itself: what it says, line by line, is what the store says, place by
place; and a rollback leaves the canonical dump as it was before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, rows, wait_until
from schemas import conforming
from test_pipeline import Road, assert_sound, talk

from exportd.errors import DiskTrouble, PermanentError, TransientError
from exportd.import_state import roll_back, take_over
from exportd.settings import Settings
from exportd.state_report import RolledBack, TakenOver
from exportd.store import Store


class Earlier:
    """A folder of the earlier scripts, and the import of it."""

    def __init__(self, folder: Path, settings: Settings, url: str) -> None:
        self.folder = folder
        self.settings = settings
        self.url = url
        self.memory = settings.memory_dir
        folder.mkdir()

    def write(self, *lines: bytes, **files: object) -> None:
        """The log, and ``watermarks`` or ``content_hashes`` as JSON."""
        (self.folder / "conversation_log.jsonl").write_bytes(b"".join(lines))
        for name, value in files.items():
            (self.folder / f"{name}.json").write_text(json.dumps(value))

    def take_over(self, folder: Path | None = None) -> TakenOver:
        done = take_over(
            folder or self.folder, self.settings, threading.Event(), lambda *_: None
        )
        assert_sound(self.url)
        return done

    def roll_back(self, folder: Path | None = None) -> RolledBack:
        done = roll_back(
            folder or self.folder, self.settings, threading.Event(), lambda *_: None
        )
        assert_sound(self.url)
        return done

    def files(self, folder: str) -> dict[str, bytes]:
        found = (self.memory / folder).rglob("*")
        return {p.name: p.read_bytes() for p in found if p.is_file()}

    def dump(self) -> list[dict[str, Any]]:
        """The canonical dump."""
        records: list[dict[str, Any]] = []
        store = Store(self.url)
        store.dump(None, records.append)
        store.close()
        return records


@pytest.fixture
def earlier(tmp_path: Path, settings: Settings, database_url: str) -> Earlier:
    return Earlier(tmp_path / "dedup_state", settings, database_url)


@pytest.fixture
def road(settings: Settings, database_url: str) -> Iterator[Road]:
    """Files that a person drops into the same memory folder."""
    made = Road(settings.memory_dir, database_url)
    yield made
    made.store.close()


def line(conversation: object, index: object, body: object = None, **other: object) -> bytes:
    said = {"index": index, "role": "user", "content": body or f"{index} of {conversation}"}
    facts = {
        "conversation_id": conversation,
        "timestamp": "2025-11-17T10:00:00Z",
        "content_hash": hashlib.sha256(repr((index, body)).encode()).hexdigest(),
        "message": said,
    }
    return json.dumps({**facts, **other}).encode() + b"\n"


def run(conversation: str, start: int, stop: int) -> list[bytes]:
    return [line(conversation, n) for n in range(start, stop)]


def stored(url: str, conversation_id: str) -> list[str]:
    return [
        row[0]
        for row in rows(
            url,
            "SELECT content FROM messages WHERE conversation_id = %s ORDER BY message_index",
            conversation_id,
        )
    ]


def counted(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM messages")[0][0])


def everything(url: str) -> list[int]:
    tables = (
        "conversations", "messages", "segments", "export_segments", "watermarks",
        "deduplication_log", "anomalies", "message_renderings", "conversation_aliases",
    )  # fmt: skip
    return [rows(url, f"SELECT count(*) FROM {table}")[0][0] for table in tables]  # noqa: S608


# -- taking over --------------------------------------------------------------------


def test_every_line_of_several_conversations_is_stored_in_order(earlier: Earlier) -> None:
    garden, kitchen = run("garden", 0, 5), run("kitchen", 0, 3)
    earlier.write(garden[0], kitchen[0], *garden[1:4], *kitchen[1:], garden[4])
    done = earlier.take_over()
    assert (done.code, done.lines, done.corrupt_lines, done.waiting) == (0, 8, 0, ())
    assert stored(earlier.url, "garden") == [f"{n} of garden" for n in range(5)]
    assert stored(earlier.url, "kitchen") == [f"{n} of kitchen" for n in range(3)]
    assert [(s.earlier_id, s.lines, s.stored, s.new) for s in done.sides] == [
        ("garden", 5, 5, 5),
        ("kitchen", 3, 3, 3),
    ]


def test_the_parts_are_archived_byte_for_byte(earlier: Earlier) -> None:
    garden, kitchen = run("garden", 0, 3), run("kitchen", 0, 2)
    earlier.write(garden[0], *kitchen, *garden[1:])
    earlier.take_over()
    archived = {
        data for name, data in earlier.files("exports-archive").items() if "EXPORT" in name
    }
    assert archived == {b"".join(garden), b"".join(kitchen)}
    assert sorted(earlier.files("sessions")) == ["garden.md", "kitchen.md"]


def test_the_folder_is_backed_up_first_and_never_changed(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 3), watermarks={"garden": 2})
    (earlier.folder / "deep").mkdir()
    (earlier.folder / "deep" / "notes.txt").write_bytes(b"\xff\x00")
    before = {p: p.read_bytes() for p in earlier.folder.rglob("*") if p.is_file()}
    done = earlier.take_over()
    assert {p: p.read_bytes() for p in earlier.folder.rglob("*") if p.is_file()} == before
    backup = Path(done.backup)
    copied = {earlier.folder / p.relative_to(backup) for p in backup.rglob("*") if p.is_file()}
    assert copied == set(before)
    assert (backup / "deep/notes.txt").read_bytes() == b"\xff\x00"
    log = (earlier.folder / "conversation_log.jsonl").read_bytes()
    assert backup.name == f"import-state-{hashlib.sha256(log).hexdigest()[:12]}"
    assert done.backup_is_new
    assert not earlier.take_over().backup_is_new


def test_another_file_beside_the_same_log_gets_a_backup_of_its_own(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 3))
    first = earlier.take_over().backup
    earlier.write(*run("garden", 0, 3), watermarks={"garden": 2})
    second = earlier.take_over()
    assert second.backup_is_new
    assert second.backup.startswith(f"{first}-")
    assert earlier.take_over().backup == second.backup


def test_twice_is_nothing_new(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 5), b"torn", *run("kitchen", 0, 2))
    assert sum(side.new for side in earlier.take_over().sides) == 7 - 1
    dump, aside = earlier.dump(), earlier.files("exports-failed")
    again = earlier.take_over()
    assert (again.code, [side.new for side in again.sides]) == (0, [0, 0])
    assert earlier.dump() == dump
    assert earlier.files("exports-failed") == aside
    assert rows(earlier.url, "SELECT count(*) FROM dead_letters") == [(1,)]
    assert rows(earlier.url, "SELECT count(*) FROM alerts WHERE title = 'dead letter'") == [
        (1,)
    ]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_log_that_grew_brings_only_what_is_new(earlier: Earlier, restarts: bool) -> None:  # noqa: FBT001
    first = run("garden", 0, 4) + (run("garden", 0, 4) if restarts else [])
    earlier.write(*first)
    earlier.take_over()
    earlier.write(*first, *run("kitchen", 0, 2), *run("garden", 4, 9))
    done = earlier.take_over()
    assert [(side.earlier_id, side.new) for side in done.sides] == [
        ("garden", 5),
        ("kitchen", 2),
    ]
    assert stored(earlier.url, "garden")[-6:] == [f"{n} of garden" for n in range(3, 9)]
    assert counted(earlier.url) == len(first) + 7


def test_a_log_of_unknown_roles_that_grew_brings_only_what_is_new(earlier: Earlier) -> None:
    said = [
        line("g", 0, message={"index": 0, "role": "bot", "content": f"say {n}"})
        for n in range(6)
    ]
    for grown in (1, 4, 6):
        earlier.write(*said[:grown])
        assert earlier.take_over().code == 0
        assert stored(earlier.url, "g") == [f"say {n}" for n in range(grown)]
    earlier.write(*said, line("g", 0, "a prompt"))
    assert earlier.take_over().sides[0].new == 1


def test_duplicate_indices_and_indices_out_of_order_lose_nothing(earlier: Earlier) -> None:
    earlier.write(*(line("g", n, f"say {m}") for m, n in enumerate([0, 1, 1, 0, 5, 2])))
    done = earlier.take_over()
    assert (done.code, done.sides[0].highest_index) == (0, 5)
    assert stored(earlier.url, "g") == [f"say {m}" for m in range(6)]
    assert rows(earlier.url, "SELECT message FROM anomalies WHERE kind = 'indices_not_growing'")


@pytest.mark.parametrize("body", [["a", {"type": "p", "data": "b"}], {"exit": 0}, 7, False])
def test_a_body_of_any_shape_arrives(earlier: Earlier, body: object) -> None:
    message = {"index": 0, "type": "prompt", "message": body}
    earlier.write(line("g", 0, message=message), line("g", 1, message={**message, "index": 1}))
    assert earlier.take_over().code == 0
    assert len(stored(earlier.url, "g")) == 2


def test_an_empty_log_is_no_error(earlier: Earlier) -> None:
    earlier.write()
    done = earlier.take_over()
    assert (done.code, done.lines, done.sides, done.dead_letter) == (0, 0, (), "")
    assert Path(done.backup).is_dir()


def test_twenty_thousand_lines_arrive(earlier: Earlier) -> None:
    earlier.write(*(line(f"c{n % 7}", n // 7, f"line {n}") for n in range(20_000)))
    done = earlier.take_over()
    assert (done.code, sum(side.stored for side in done.sides)) == (0, 20_000)
    assert counted(earlier.url) == 20_000


# -- corrupt lines ------------------------------------------------------------------


def test_corrupt_lines_become_one_dead_letter_with_every_number(earlier: Earlier) -> None:
    good = run("garden", 0, 4)
    bad = [
        b'{"conversation_id": "garden"\n',
        b"\xff\xfe\n",
        b"[1]\n",
        b'{"conversation_id": "ga',
    ]
    earlier.write(good[0], bad[0], good[1], good[2], bad[1], bad[2], b"\n", good[3], bad[3])
    done = earlier.take_over()
    assert (done.code, done.lines, done.corrupt_lines, done.blank_lines) == (0, 9, 4, 1)
    assert stored(earlier.url, "garden") == [f"{n} of garden" for n in range(4)]
    assert (earlier.memory / done.dead_letter).read_bytes() == b"".join(bad)
    told = (earlier.memory / f"{done.dead_letter}.reason.txt").read_text()
    for words in (
        "4 of 9 lines of conversation_log.jsonl",
        "lines 2, 9: not JSON (cut off or damaged)",
        "line 5: not UTF-8",
        "line 6: no JSON object",
    ):
        assert words in told
    ((name, reason),) = rows(earlier.url, "SELECT failed_name, reason FROM dead_letters")
    assert (f"exports-failed/{name}", reason in told) == (done.dead_letter, True)


def test_a_log_of_corrupt_lines_alone_is_set_aside(earlier: Earlier) -> None:
    earlier.write(b"nothing\n", b"of use\n")
    done = earlier.take_over()
    assert (done.code, done.sides, done.corrupt_lines) == (0, (), 2)
    assert counted(earlier.url) == 0


def test_a_last_line_without_its_end_is_a_line(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 2), line("garden", 2).removesuffix(b"\n"))
    assert earlier.take_over().code == 0
    assert len(stored(earlier.url, "garden")) == 3


# -- both sides compared ------------------------------------------------------------


def test_a_watermark_that_claims_more_is_a_warning_and_no_failure(earlier: Earlier) -> None:
    earlier.write(
        *run("garden", 0, 26),
        watermarks={"garden": 92, "ghost": 4, "none": -1},
        content_hashes={"garden": ["h"] * 20, "shade": ["h"], "ghost": ["h"], "none": []},
    )
    done = earlier.take_over()
    assert done.code == 0
    claim = "the earlier state claims 93 messages (watermark 92)"
    assert done.sides[0].notes == (
        f"{claim}, its log holds 26 (up to index 25)",
        "content_hashes.json has 20 hashes for 26 lines",
    )
    assert done.warnings == (
        "ghost: the earlier state claims 5 messages (watermark 4), its log holds none",
        "shade: content_hashes.json has 1 hash, its log holds no message",
    )


def test_a_state_that_agrees_with_itself_has_no_warning(earlier: Earlier) -> None:
    earlier.write(
        *run("garden", 0, 26), watermarks={"garden": 25}, content_hashes={"garden": ["h"] * 26}
    )
    done = earlier.take_over()
    assert (done.sides[0].notes, done.warnings) == ((), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "watermarks.json is missing"),
        ('{"garden": 2', "watermarks.json is damaged"),
        ("\udcff", "watermarks.json is damaged"),
        ("[]", "watermarks.json holds no JSON object"),
        ('{"garden": "2"}', "watermarks.json: 'garden' has no whole number"),
    ],
)
def test_what_is_missing_or_damaged_beside_the_log_is_said_and_not_fatal(
    earlier: Earlier, text: str | None, words: str
) -> None:
    earlier.write(*run("garden", 0, 3), content_hashes={"garden": ["h"] * 3})
    if text is not None:
        raw = text.encode("utf-8", "surrogateescape")
        (earlier.folder / "watermarks.json").write_bytes(raw)
    done = earlier.take_over()
    assert done.code == 0
    assert words in " ".join(done.warnings)


def test_a_folder_without_a_log_is_refused_before_anything_happens(earlier: Earlier) -> None:
    with pytest.raises(PermanentError, match=r"expected the folder .* conversation_log\.jsonl"):
        earlier.take_over()
    assert not (earlier.memory / "backups").exists()


def test_a_folder_that_holds_the_backups_is_refused(earlier: Earlier) -> None:
    (earlier.memory / "conversation_log.jsonl").write_bytes(line("g", 0))
    with pytest.raises(PermanentError, match="holds the memory folder's own backups"):
        earlier.take_over(earlier.memory)


def test_a_conversation_that_does_not_arrive_is_65_and_named(earlier: Earlier) -> None:
    earlier.settings = earlier.settings.model_copy(update={"max_export_bytes": 1000})
    earlier.write(*run("garden", 0, 2), *run("kitchen", 0, 30))
    done = earlier.take_over()
    assert done.code == 65
    assert [(side.arrived, side.stored) for side in done.sides] == [(True, 2), (False, 0)]
    assert "max_export_bytes" in done.sides[1].reason


def test_a_stop_signal_leaves_the_rest_for_the_next_time(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 2), *run("kitchen", 0, 2), *run("attic", 0, 2))
    stopping = threading.Event()

    def stop(what: str, done: int, _total: int) -> None:
        if what == "Storing conversations" and done == 1:
            stopping.set()

    done = take_over(earlier.folder, earlier.settings, stopping, stop)
    assert (done.code, len(done.waiting)) == (75, 2)
    again = earlier.take_over()
    assert (again.code, [side.new for side in again.sides]) == (0, [0, 2, 2])


# -- names --------------------------------------------------------------------------


HOSTILE = [
    "a/b",
    "../../etc/passwd",
    "..",
    "x" * 300,
    "🙂",
    "[bold]x",
    "new\nline",
    "é",
    "e\u0301",
]


def test_hostile_ids_stay_apart_and_in_their_folder(earlier: Earlier) -> None:
    earlier.write(*(line(name, n) for n in range(2) for name in HOSTILE))
    done = earlier.take_over()
    assert done.code == 0
    ids = [side.conversation_id for side in done.sides]
    assert len(set(ids)) == len(HOSTILE)
    assert {name.removesuffix(".md") for name in earlier.files("sessions")} == set(ids)
    assert all(len(name.encode()) <= 255 for name in earlier.files("exports-archive"))
    assert len(earlier.roll_back().removed) == len(HOSTILE)
    assert counted(earlier.url) == 0


def test_ids_that_differ_in_case_or_a_space_alone_are_not_merged(earlier: Earlier) -> None:
    names = ["my plan", "My Plan", "my-plan", "MY PLAN", "my--plan"]
    earlier.write(*(line(name, n, f"{n} in {name!r}") for n in range(3) for name in names))
    done = earlier.take_over()
    ids = {side.earlier_id: side.conversation_id for side in done.sides}
    assert ids["my-plan"] == "my-plan"
    assert len(set(ids.values())) == len(names)
    for name, conversation_id in ids.items():
        assert stored(earlier.url, conversation_id) == [f"{n} in {name!r}" for n in range(3)]


def test_conversations_that_say_the_same_stay_two(earlier: Earlier) -> None:
    said = ["hi", "Hello! What shall we do?", "the garden plan, please", "Here it is: beds."]
    texts = [line(name, n, text) for name in ("one", "two") for n, text in enumerate(said)]
    earlier.write(*texts, line("two", 4, "thanks"))
    done = earlier.take_over()
    assert [(side.conversation_id, side.new) for side in done.sides] == [("one", 4), ("two", 5)]
    assert earlier.roll_back().removed == {"one": 4, "two": 5}


def test_the_log_joins_the_conversation_of_text_exports_as_a_segment(
    road: Road, earlier: Earlier
) -> None:
    road.drop("2025-11-18-EXPORT-GARDEN.txt", talk("one", "two", "three", "four"))
    before = earlier.dump()
    earlier.write(*run("garden", 0, 3))
    assert earlier.take_over().sides[0].conversation_id == "garden"
    assert stored(road.url, "garden") == [
        *(f"{n} of garden" for n in range(3)), "one", "two", "three", "four",
    ]  # fmt: skip
    assert earlier.roll_back().removed == {"garden": 3}
    assert earlier.dump() == before
    assert stored(road.url, "garden") == ["one", "two", "three", "four"]
    assert "0 of garden" not in (road.folders.sessions / "garden.md").read_text()


def test_a_part_dropped_by_hand_is_an_export_like_any_other(road: Road) -> None:
    report = road.drop("log.jsonl", b"".join(run("Garden", 0, 3)))
    assert (report.fate.value, report.new) == ("ingested", 3)
    assert str(report.conversation_id).startswith("garden-")
    assert road.drop("log.jsonl", b"".join(run("Garden", 0, 5))).new == 2
    report = road.drop("whole.jsonl", b"".join(run("a", 0, 2) + run("b", 0, 2)))
    assert report.fate.value == "dead_letter"
    assert "exportd import-state" in report.reason


# -- rolling back -------------------------------------------------------------------


def test_a_rollback_leaves_nothing_and_moves_the_files_out_of_the_archive(
    earlier: Earlier,
) -> None:
    earlier.write(*run("garden", 0, 5), *run("garden", 0, 2), b"torn\n", *run("kitchen", 3, 9))
    earlier.take_over()
    dump = earlier.dump()
    parts = {n: d for n, d in earlier.files("exports-archive").items() if "EXPORT" in n}
    done = earlier.roll_back()
    assert (done.code, done.removed, done.exports) == (0, {"garden": 7, "kitchen": 6}, 2)
    assert everything(earlier.url) == [0] * 9
    assert earlier.files("sessions") == {}
    assert not [n for n in earlier.files("exports-archive") if "EXPORT" in n]
    failed = earlier.files("exports-failed")
    assert {name: failed[name] for name in parts} == parts
    note = failed[f"{min(parts)}.reason.txt"].decode()
    assert f"rolled back by 'exportd import-state --rollback {earlier.folder}'" in note
    assert "could not be ingested" not in note
    assert rows(earlier.url, "SELECT error_class FROM dead_letters ORDER BY 1") == [
        ("MalformedExport",), ("RolledBack",), ("RolledBack",),
    ]  # fmt: skip
    again = earlier.roll_back()
    assert (again.code, again.removed, again.exports) == (0, {}, 0)

    assert earlier.take_over().code == 0
    assert earlier.dump() == dump
    assert {n: d for n, d in earlier.files("exports-archive").items() if "EXPORT" in n} == parts
    assert not [name for name in earlier.files("exports-failed") if "EXPORT" in name]


def test_a_rollback_of_a_grown_log_takes_its_beginning_along(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 4))
    earlier.take_over()
    earlier.write(*run("garden", 0, 9))
    assert earlier.roll_back().removed == {"garden": 4}
    earlier.write(*run("garden", 0, 4))
    earlier.take_over()
    earlier.write(*run("garden", 0, 9))
    earlier.take_over()
    done = earlier.roll_back()
    assert (done.removed, done.exports) == ({"garden": 9}, 2)
    assert everything(earlier.url) == [0] * 9


def test_a_rollback_of_the_beginning_says_what_to_roll_back_first(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 4), *run("kitchen", 0, 2))
    first = earlier.take_over()
    earlier.write(*run("garden", 0, 9), *run("kitchen", 0, 2), *run("attic", 0, 1))
    second = earlier.take_over()
    done = earlier.roll_back(Path(first.backup))
    assert (done.code, done.removed) == (65, {"kitchen": 2})
    (told,) = done.refused
    assert told.startswith("garden stays: its segment also shows dedup-state-")
    assert told.endswith(f"first: exportd import-state --rollback {second.backup}")
    assert len(stored(earlier.url, "garden")) == 9
    assert earlier.roll_back(Path(second.backup)).removed == {"garden": 9, "attic": 1}
    assert earlier.roll_back(Path(first.backup)).code == 0
    assert counted(earlier.url) == 0


def test_a_rollback_does_not_take_what_a_person_dropped(road: Road, earlier: Earlier) -> None:
    road.drop("mine.jsonl", b"".join(run("garden", 2, 6)))
    earlier.write(*run("garden", 0, 4))
    assert earlier.take_over().sides[0].new == 2
    done = earlier.roll_back()
    assert (done.code, done.removed) == (65, {})
    assert "mine.jsonl, which no import into this memory folder brought" in done.refused[0]
    assert len(stored(road.url, "garden")) == 6


def test_a_rollback_in_the_middle_renumbers_the_neighbours(
    road: Road, earlier: Earlier
) -> None:
    road.drop("2025-11-16-EXPORT-GARDEN.txt", talk("a", "b", "c"))
    road.drop("2025-11-18-EXPORT-GARDEN.txt", talk("x", "y", "z"))
    before = earlier.dump()
    earlier.write(*run("garden", 0, 4))
    earlier.take_over()
    assert stored(road.url, "garden")[2:5] == ["c", "0 of garden", "1 of garden"]
    earlier.roll_back()
    assert earlier.dump() == before


def test_a_signal_ends_a_rollback_between_two_conversations(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 2), *run("kitchen", 0, 2), *run("attic", 0, 2))
    earlier.take_over()
    stopping = threading.Event()

    def stop(what: str, _done: int, _total: int) -> None:
        if what == "Rolling back":
            stopping.set()

    with pytest.raises(TransientError, match="run it again"):
        roll_back(earlier.folder, earlier.settings, stopping, stop)
    assert counted(earlier.url) == 4
    assert earlier.roll_back().removed == {"kitchen": 2, "attic": 2}


def test_the_same_name_in_the_drop_folder_is_never_overwritten(earlier: Earlier) -> None:
    earlier.write(*run("garden", 0, 2))
    earlier.take_over()
    (name,) = [n for n in earlier.files("exports-archive") if "EXPORT" in n]
    (earlier.memory / "exports" / name).write_bytes(b"something else")
    with pytest.raises(DiskTrouble, match="is in the way"):
        earlier.take_over()
    assert earlier.files("exports") == {name: b"something else"}


# -- killed in between --------------------------------------------------------------


@pytest.fixture
def many(exportd: Command, tmp_path: Path) -> Iterator[Path]:
    """A state of 40 conversations, large enough to be killed in the middle."""
    folder = tmp_path / "dedup_state"
    folder.mkdir()
    lines = [line(f"c{n % 40}", n // 40, f"line {n}") for n in range(400)]
    (folder / "conversation_log.jsonl").write_bytes(b"".join(lines))
    yield folder
    shutil.rmtree(folder)


def killed(exportd: Command, condition: Callable[[], object], *arguments: str) -> None:
    """Start the command and kill it (-9) as soon as ``condition`` is true."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exportd", "import-state", *arguments],
        env=exportd.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: condition() or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL) if process.poll() is None else None
    assert process.wait(timeout=20) == -signal.SIGKILL, "it was done before the kill"


def test_an_import_that_was_killed_goes_on_or_back(
    exportd: Command, many: Path, database_url: str, settings: Settings
) -> None:
    killed(exportd, lambda: counted(database_url), str(many))
    assert 0 < counted(database_url) < 400
    done = exportd("import-state", "--rollback", str(many))
    assert done.returncode == 0, done.stderr
    assert everything(database_url) == [0] * 9
    for folder in ("exports", ".exportd/inflight", "sessions"):
        assert list((exportd.memory_dir / folder).iterdir()) == []
    killed(exportd, lambda: counted(database_url) > 50, str(many))
    assert exportd("import-state", str(many)).returncode == 0
    assert counted(database_url) == 400
    assert_sound(database_url)

    killed(exportd, lambda: counted(database_url) < 400, "--rollback", str(many))
    assert 0 < counted(database_url) < 400
    assert_sound(database_url)
    assert exportd("import-state", "--rollback", str(many)).returncode == 0
    assert everything(database_url) == [0] * 9
    archive = {p.name for p in (exportd.memory_dir / "exports-archive").iterdir()}
    assert archive <= {"manifest.jsonl", ".exportd-archive"}
    assert list((exportd.memory_dir / "sessions").iterdir()) == []


def test_a_rebuild_keeps_an_import_and_does_not_bring_back_what_was_rolled_back(
    exportd: Command, earlier: Earlier
) -> None:
    earlier.write(*run("garden", 0, 5), *run("Kitchen", 0, 3), *run("Kitchen", 1, 2))
    earlier.take_over()
    before = earlier.dump()
    assert exportd("reindex").returncode == 0
    assert earlier.dump() == before
    assert earlier.roll_back().exports == 2
    assert exportd("reindex").returncode == 0
    assert earlier.dump() == []


# -- the command --------------------------------------------------------------------


def test_the_command_reports_for_people_and_programs(exportd: Command, tmp_path: Path) -> None:
    folder = tmp_path / "dedup_state"
    folder.mkdir()
    log = b"".join([*run("Garden [Plan]", 0, 26), b"torn\n"])
    (folder / "conversation_log.jsonl").write_bytes(log)
    (folder / "watermarks.json").write_text('{"Garden [Plan]": 92}')
    done = exportd("import-state", str(folder))
    assert done.returncode == 0, done.stderr
    for words in (
        "Garden [Plan] → garden-plan-",
        "27 lines = 26 stored + 1 corrupt + 0 blank; 26 messages are new.",
        "Corrupt lines: exports-failed/dedup-state-",
        "Garden [Plan]: the earlier state claims 93 messages (watermark 92), its log holds 26",
        "content_hashes.json is missing",
    ):
        assert words in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Everything in the log has arrived. ")
    done = exportd("import-state", "--json", str(folder))
    facts = conforming("import-state", done.stdout)
    assert (facts["code"], facts["lines"], facts["corrupt_lines"]) == (0, 27, 1)
    assert facts["conversations"][0]["watermark"] == 92
    undone = exportd("import-state", "--rollback", str(folder))
    assert "26 messages of 1 conversation removed; 1 file moved" in undone.stdout
    assert "nothing to roll back" in exportd("import-state", "--rollback", str(folder)).stdout
    done = exportd("import-state", "--rollback", "--json", str(folder))
    assert conforming("import-state-rollback", done.stdout)["removed"] == {}


def test_the_command_says_what_it_expected(exportd: Command, tmp_path: Path) -> None:
    done = exportd("import-state", str(tmp_path / "no-such-folder"))
    assert done.returncode == 64
    assert "with conversation_log.jsonl in it, and found no such file" in done.stderr
    with exportd.running() as daemon:
        (tmp_path / "conversation_log.jsonl").write_bytes(line("g", 0))
        done = exportd("import-state", str(tmp_path))
        assert done.returncode == 73
        assert f"process {daemon.pid} on " in done.stderr
        assert "works in this folder already; stop it first" in done.stderr
