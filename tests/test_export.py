"""The canonical dump, and the command that prints it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from conftest import EXAMPLES, Command


def _dump(exportd: Command, *arguments: str) -> list[dict[str, object]]:
    done = exportd("export", *arguments, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _drop_examples(exportd: Command, names: list[str]) -> None:
    for name in names:
        shutil.copy2(EXAMPLES / name, exportd.memory_dir / "exports" / name)
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
    assert _dump(exportd, "--all") == _dump(other, "--all")


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
