"""What people and programs drop by mistake: each file meets its fate, in words.

Every test drops a hostile file together with a good one, runs the real command, and
sees that the good one was ingested and that the hostile one's bytes are still there.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import OURS, Command, rows

from exportd.formats.text import escape, unescape

# The good one comes last: a hostile one must not stand in its way.
GOOD_NAME, GOOD = "zz-2025-01-01-EXPORT-GOOD.txt", "> are you there?\n\n⏺ Still here.\n"


@dataclass
class Ended:
    """How a run over a hostile file ended."""

    done: subprocess.CompletedProcess[str]
    report: dict[str, Any]
    folder: Path

    @property
    def reason(self) -> str:
        return str(self.report["reason"])

    def kept(self) -> Path:
        return self.folder / unescape(str(self.report["kept_as"]))


def run(exportd: Command, name: str) -> Ended:
    (exportd.memory_dir / "exports" / GOOD_NAME).write_text(GOOD)
    for path in (exportd.memory_dir / "exports").iterdir():
        os.utime(path, (time.time() - 3600,) * 2, follow_symlinks=False)
    done = exportd("run", "--once", "--json")
    assert done.returncode == 0, done.stderr
    reports = {file["name"]: file for file in json.loads(done.stdout)["files"]}
    assert reports[GOOD_NAME]["fate"] in ("ingested", "duplicate_file")
    assert list((exportd.memory_dir / "exports").iterdir()) == []
    assert list((exportd.memory_dir / ".exportd" / "inflight").iterdir()) == []
    assert len(done.stderr) < 100_000
    return Ended(done, reports[escape(name)], exportd.memory_dir)


def run_with(exportd: Command, name: str, raw: bytes) -> Ended:
    (exportd.memory_dir / "exports" / name).write_bytes(raw)
    ended = run(exportd, name)
    assert ended.kept().read_bytes() == raw
    return ended


def indexed(extra: str = "", text: str = "what is said") -> bytes:
    messages = ", ".join(
        f'{{"index": {n}, "type": "{said}", {extra} "message": "{text} {n}"}}'
        for n, said in enumerate(["prompt", "response", "prompt", "response"])
    )
    return f'{{"exported_at": "2025-03-01", "messages": [{messages}]}}'.encode()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 20
LOG = b"[INFO] compiling\n> Task :compileJava\n> Task :test FAILED\nmake: *** Error 2\n" * 50
CHECKPOINT = json.dumps(
    {
        "metadata": {"timestamp": "2025-01-01", "tags": []},
        "conversation": [{"role": "system", "content": "Session summary", "sections": {}}],
    }
).encode()

DEAD = {
    "empty.txt": (b"", "empty"),
    "blank.txt": (b"\n  \n\n", "blank lines"),
    "build.log": (LOG, "that exportd reads"),
    "picture.txt": (PNG, "a PNG picture"),
    "utf-16.txt": ("\ufeff> hi\n\n⏺ Hello\n".encode("utf-16-le"), "UTF-16"),
    "truncated.json": (indexed()[:-30], "broken or truncated JSON"),
    "checkpoint.json": (CHECKPOINT, "that exportd reads"),
    "nested.json": (b"[" * 100_000, "that exportd reads"),
    "nested-object.json": (b'{"messages":[{"index":0,"a":' + b"[" * 100_000, "nested"),
    "numbers.bin": (os.urandom(100_000), "that exportd reads"),
    "one-line.txt": (b"x" * 20_000_000, "that exportd reads"),
    "index.json": (indexed().replace(b'"index": 2', b'"index": 1'), "index 1 stands after"),
}


def test_what_is_no_conversation_is_a_dead_letter_that_says_why(
    exportd: Command, database_url: str
) -> None:
    exports = exportd.memory_dir / "exports"
    for name, (raw, _) in DEAD.items():
        (exports / name).write_bytes(raw)
    ended = run(exportd, "empty.txt")
    reports = {file["name"]: file for file in json.loads(ended.done.stdout)["files"]}
    failed = exportd.memory_dir / "exports-failed"
    for name, (raw, why) in DEAD.items():
        assert reports[name]["fate"] == "dead_letter", name
        assert why in reports[name]["reason"], name
        assert "bug" not in reports[name]["reason"], name
        assert (failed / name).read_bytes() == raw
        assert why in (failed / f"{name}.reason.txt").read_text()
    assert rows(database_url, "SELECT count(*) FROM conversations") == [(1,)]
    letters = rows(database_url, "SELECT original_name, failed_name FROM dead_letters")
    assert sorted(letters) == sorted((name, name) for name in DEAD)
    assert rows(database_url, "SELECT count(*) FROM alerts WHERE severity <> 'info'") == [
        (len(DEAD),)
    ]


def test_bytes_that_are_no_utf_8_and_nul_are_stored_reversibly(
    exportd: Command, database_url: str
) -> None:
    raw = b"> caf\xe9 and \x00 nul\n\n\xe2\x8f\xba and \xff\xfe back \xed\xa0\x80\n"
    ended = run_with(exportd, "2025-01-01-EXPORT-ODD.txt", raw)
    assert ended.report["fate"] == "ingested"
    stored = rows(
        database_url, "SELECT content FROM messages WHERE conversation_id = 'odd' ORDER BY 1"
    )
    assert sorted(text for (text,) in stored) == [
        "and ␛DCFF␛DCFE back ␛DCED␛DCA0␛DC80",
        "caf␛DCE9 and ␛0000 nul",
    ]


NAMES = [
    "2025-01-01-EXPORT-" + "long" * 45 + ".txt",
    "2025-11-16T15:23:00-EXPORT-COLONS.txt",
    "2025-01-01-EXPORT-two\nlines.txt",
    "2025-01-01-EXPORT-\x1b[31mred\x1b]0;title\x07.txt",
    "2025-01-01-EXPORT-..%2f..%2fetc%2fpasswd.txt",
    "-rf --help.txt",
    "2025-01-01-EXPORT-\u202egnp.txt",
    "; DROP TABLE messages; --.txt",
    "CON",
    "a...txt",
    "\\..\\windows.txt",
    "%s %(name)s {0} $HOME `id`.txt",
]


def test_a_hostile_name_is_only_a_name(exportd: Command, database_url: str) -> None:
    contents = {name: f"> hello {n}\n\n⏺ Hello yourself.\n" for n, name in enumerate(NAMES)}
    for name, text in contents.items():
        (exportd.memory_dir / "exports" / name).write_text(text)
    ended = run(exportd, NAMES[0])
    reports = {file["name"]: file for file in json.loads(ended.done.stdout)["files"]}
    assert {reports[escape(name)]["fate"] for name in NAMES} == {"ingested"}
    archived = exportd.memory_dir / "exports-archive"
    files = (p for p in archived.iterdir() if p.name not in OURS)
    assert {p.name: p.read_text() for p in files} == contents | {GOOD_NAME: GOOD}
    status = (exportd.memory_dir / "export-dedup-status.txt").read_text()
    for shown in (ended.done.stderr, status):
        assert not set(shown) & set("\x1b\x07\u202e\r")
    assert not set(ended.done.stdout) & set("\x1b\x07")
    sessions = [path.read_text() for path in (exportd.memory_dir / "sessions").iterdir()]
    for n in range(len(NAMES)):
        assert sum(f"hello {n}\n" in session for session in sessions) == 1
    dropped = {name for (name,) in rows(database_url, "SELECT original_name FROM drops")}
    assert dropped == {escape(name) for name in (*NAMES, GOOD_NAME)}


def test_a_name_that_is_no_utf_8_is_only_a_name(exportd: Command, database_url: str) -> None:
    name = os.fsdecode(b"2025-01-01-EXPORT-caf\xe9.txt")
    ended = run_with(exportd, name, b"> hello there\n\n\xe2\x8f\xba Hello yourself.\n")
    assert ended.report["fate"] == "ingested"
    again = run_with(
        exportd, name, b"> hello there\n\n\xe2\x8f\xba Hello yourself.\n\n> more\n"
    )
    assert (again.report["fate"], again.report["new"]) == ("ingested", 1)
    assert rows(database_url, "SELECT count(*) FROM dead_letters") == [(0,)]


@pytest.mark.parametrize("kind", ["link", "folder-link", "dangling", "pipe"])
def test_links_and_pipes_are_set_aside_unread(
    exportd: Command, database_url: str, kind: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("> SENTINEL of another file\n\n⏺ SENTINEL\n")
    there = exportd.memory_dir / "exports" / kind
    match kind:
        case "pipe":
            os.mkfifo(there)
        case "link":
            there.symlink_to(secret)
        case "folder-link":
            there.symlink_to("/etc")
        case _:
            there.symlink_to("nowhere")
    ended = run(exportd, kind)
    assert ended.report["fate"] == "dead_letter"
    assert "drop a copy of the file itself" in ended.reason
    assert os.path.lexists(ended.kept())
    assert secret.exists()
    dump = rows(database_url, "SELECT string_agg(m::text, '') FROM messages m")
    assert "SENTINEL" not in str(dump) + ended.done.stdout + ended.done.stderr
    for folder in ("sessions", "exports-archive"):
        for path in (exportd.memory_dir / folder).iterdir():
            assert b"SENTINEL" not in path.read_bytes()


def test_a_conversation_with_one_huge_line_is_stored_whole(
    exportd: Command, database_url: str
) -> None:
    raw = b"> read this\n\n\xe2\x8f\xba " + b"word " * 4_000_000 + b"\n"
    assert run_with(exportd, "huge.txt", raw).report["fate"] == "ingested"
    assert rows(database_url, "SELECT max(length(content)) FROM messages") == [(19_999_999,)]


@pytest.mark.parametrize("value", ["1e999", "NaN", "-Infinity", "1" + "0" * 5000])
def test_a_number_that_no_one_can_hold_is_stored_or_refused_in_words(
    exportd: Command, value: str
) -> None:
    ended = run_with(exportd, "page.json", indexed(f'"score": {value},'))
    assert "bug" not in ended.reason


@pytest.mark.parametrize("levels", [100, 600, 950])
def test_an_extra_value_however_deep_is_stored_or_refused_in_words(
    exportd: Command, levels: int
) -> None:
    deep = "[" * levels + "]" * levels
    assert "bug" not in run_with(exportd, "page.json", indexed(f'"deep": {deep},')).reason


def test_a_malformed_message_is_never_quoted_in_reasons_and_logs(exportd: Command) -> None:
    said = "SENTINEL of what was said in confidence"
    raw = indexed().replace(b'"index": 2', f'"index": {{"text": "{said}"}}'.encode())
    ended = run_with(exportd, "page.json", raw)
    assert ended.report["fate"] == "dead_letter"
    assert "SENTINEL" not in ended.done.stderr + ended.reason


def test_message_text_never_reaches_the_log(exportd: Command) -> None:
    said = "> SENTINEL of a prompt\n\n⏺ SENTINEL of an answer\n"
    (exportd.memory_dir / "exports" / "a.txt").write_text(said)
    (exportd.memory_dir / "exports" / "b.txt").write_text(f"{said}\n> SENTINEL more\n")
    (exportd.memory_dir / "exports" / "c.txt").write_text("SENTINEL is no export")
    done = run(exportd, "a.txt").done
    assert "SENTINEL" not in done.stderr + done.stdout


def test_a_file_from_another_age_of_the_world_is_ingested(exportd: Command) -> None:
    path = exportd.memory_dir / "exports" / "a.txt"
    path.write_text(GOOD.replace("you", "they"))
    os.utime(path, (-1e9, -1e9))
    done = exportd("run", "--once", "--json")
    assert json.loads(done.stdout)["files"][0]["fate"] == "ingested"


@pytest.mark.parametrize("size", ["larger", "sparse"])
def test_a_file_beyond_the_limit_is_a_dead_letter_that_names_the_setting(
    exportd: Command, size: str
) -> None:
    path = exportd.memory_dir / "exports" / "large.txt"
    with path.open("wb") as file:
        file.truncate(2_000_000 if size == "larger" else 4 * 1024**3)
    os.utime(path, (time.time() - 60,) * 2)
    done = exportd("run", "--once", "--json", EXPORTD_MAX_EXPORT_BYTES="1000000")
    report = json.loads(done.stdout)["files"][0]
    assert report["fate"] == "dead_letter"
    assert "max_export_bytes" in report["reason"]
    assert (exportd.memory_dir / "exports-failed" / "large.txt").exists()
