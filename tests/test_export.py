"""The canonical dump, and the command that prints it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from conftest import EXAMPLES, Command
from schemas import conforming


def _dump(exportd: Command, *arguments: str) -> list[dict[str, object]]:
    done = exportd("export", *arguments, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _drop_examples(exportd: Command, names: list[str]) -> None:
    for name in names:
        shutil.copy2(EXAMPLES / name, exportd.memory_dir / "exports" / name)
        assert exportd("run", "--once").returncode == 0


def _drop_all(exportd: Command) -> None:
    for path in EXAMPLES.iterdir():
        shutil.copy2(path, exportd.memory_dir / "exports" / path.name)
    assert exportd("run", "--once").returncode == 0


def test_every_message_is_dumped_behind_its_conversation(exportd: Command) -> None:
    _drop_examples(exportd, sorted(path.name for path in EXAMPLES.iterdir()))
    records = _dump(exportd, "--all")
    conversations = [record for record in records if record["type"] == "conversation"]
    assert [c["conversation_id"] for c in conversations] == ["garden-planner", "sourdough"]
    assert len(records) == 2 + sum(int(str(c["total_messages"])) for c in conversations)
    first = records[1]
    assert first["message_index"] == 0
    assert str(first["content"]).startswith("I want a small program")


def test_the_order_of_arrival_does_not_show(
    exportd: Command, tmp_path: Path, empty_database_url: str
) -> None:
    names = sorted(path.name for path in EXAMPLES.iterdir())
    _drop_examples(exportd, names)
    other = Command(tmp_path / "other", empty_database_url)
    (other.memory_dir / "exports").mkdir(parents=True)
    _drop_examples(other, names[::-1])
    dumped = _dump(exportd, "--all")
    assert dumped == _dump(other, "--all")
    # And the time of a file does: a plain copy is another file.
    written = datetime.fromtimestamp((EXAMPLES / names[0]).stat().st_mtime, UTC)
    assert f'"modified_at": "{written.isoformat()[:19]}' in json.dumps(dumped)
    said = " ".join(exportd("export", "--help").stdout.split())
    assert "Names and times of the files count" in said


def test_conversations_are_found_by_id_and_alias_and_others_are_refused(
    exportd: Command,
) -> None:
    _drop_examples(exportd, ["2026-01-12-EXPORT-GARDEN-PLANNER.txt"])
    text = (EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt").read_text()
    (exportd.memory_dir / "exports" / "2026-01-15-EXPORT-BEDS.txt").write_text(text + "\n")
    assert exportd("run", "--once").returncode == 0
    assert exportd("export", "beds").stdout == exportd("export", "garden-planner").stdout
    assert exportd("export", "garden-planner").stdout.startswith("# Session: garden-planner")
    unknown = exportd("export", "garden-plan")
    assert unknown.returncode == 64
    assert "did you mean garden-planner?" in unknown.stderr
    assert exportd("export").returncode == 64
    assert exportd("export", "--all", "beds").returncode == 64


def test_an_id_that_is_no_text_is_unknown(exportd: Command) -> None:
    assert exportd("run", "--once").returncode == 0
    for command in ("export", "stats"):
        done = exportd(command, "\udcff")
        assert (done.returncode, done.stdout) == (64, "")
        assert done.stderr.startswith("exportd: refused: there is no conversation")


def test_json_is_one_document_of_its_schema_with_what_the_lines_have(
    exportd: Command,
) -> None:
    samples = EXAMPLES.parent / "tests" / "samples"
    shutil.copy2(samples / "claude-code-jsonl.jsonl", exportd.memory_dir / "exports")
    _drop_all(exportd)
    lines = exportd("export", "--all", "--format", "jsonl").stdout.splitlines()
    records = [conforming("export-jsonl", line) for line in lines]
    done = exportd("export", "--all", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    document = conforming("export-json", done.stdout)
    flat = []
    for conversation in document["conversations"]:
        conversation_id = conversation["conversation_id"]
        messages = conversation.pop("messages")
        flat.append({"type": "conversation", **conversation})
        said = {"type": "message", "conversation_id": conversation_id}
        flat += [{**said, **message} for message in messages]
    assert flat == records
    assert len(document["conversations"]) == 3
    one = conforming("export-json", exportd("export", "sourdough", "--format", "json").stdout)
    assert [c["conversation_id"] for c in one["conversations"]] == ["sourdough"]


def test_a_file_is_written_whole_or_not_at_all_and_not_replaced(
    exportd: Command, tmp_path: Path
) -> None:
    _drop_all(exportd)
    place = tmp_path / "out.json"
    place.write_text("mine")
    export = ("export", "garden-planner", "--format", "json", "-o")
    refused = exportd(*export, str(place))
    assert refused.returncode == 64
    assert f"{place} exists; --force replaces it" in refused.stderr
    assert place.read_text() == "mine"
    assert exportd(*export, str(place), "--force").returncode == 0
    conforming("export-json", place.read_text())
    assert place.stat().st_mode & 0o777 == 0o600

    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("nowhere/out.json", "link"):
        done = exportd(*export, str(tmp_path / name), "--force")
        assert done.returncode == 64, done.stderr
        assert len(done.stderr.splitlines()) == 1

    full = exportd(*export, "/dev/full", "--force")
    assert full.returncode == 64
    assert "is no file" in full.stderr
    with Path("/dev/full").open("w") as nowhere:
        full = subprocess.run(
            [sys.executable, "-m", "exportd", *export[:-1]],
            env=exportd.environment,
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert full.returncode == 75
    assert full.stderr.endswith(
        "standard output: cannot be written (No space left on device)\n"
    )
    small = [
        "sh",
        "-c",
        'ulimit -f 1; exec "$@"',
        "-",
        sys.executable,
        "-m",
        "exportd",
        *export,
    ]
    done = subprocess.run(
        [*small, str(tmp_path / "cut.json")],
        env=exportd.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "MEMORY-CONTEXT", "link", "out.json",
    ]  # fmt: skip


def test_several_pages_are_put_into_a_folder_all_or_none(
    exportd: Command, tmp_path: Path
) -> None:
    _drop_all(exportd)
    refused = exportd("export", "--all", "--format", "html")
    assert refused.returncode == 64
    assert "say -o FOLDER" in refused.stderr

    folder = tmp_path / "pages"
    done = exportd("export", "--all", "--format", "html", "-o", str(folder))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    names = ["garden-planner.html", "sourdough.html"]
    assert sorted(path.name for path in folder.iterdir()) == names
    one = exportd("export", "sourdough", "--format", "html")
    assert (folder / "sourdough.html").read_text() == one.stdout

    (folder / "garden-planner.html").unlink()
    (folder / "notes.txt").write_text("mine")
    (folder / "sourdough.html").write_text("old")
    again = ("export", "sourdough", "garden-planner", "--format", "html", "-o", str(folder))
    refused = exportd(*again)
    assert refused.returncode == 64
    assert "sourdough.html exists" in refused.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "sourdough.html"]
    assert exportd(*again, "--force").returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "notes.txt"])
    assert (folder / "sourdough.html").read_text() == one.stdout

    session = exportd("export", "sourdough", "-o", str(tmp_path / "sourdough.md"))
    assert session.returncode == 0, session.stderr
    written = exportd.memory_dir / "sessions" / "sourdough.md"
    assert (tmp_path / "sourdough.md").read_bytes() == written.read_bytes()
