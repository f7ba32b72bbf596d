"""The made-up exports of the benchmarks are what they say, for exportd too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from benchmarks.generator import Made, sessions, texts, write_conversations

from exportd.fingerprint import fingerprint
from exportd.formats import claude_ai, claude_code_jsonl, claude_code_text
from exportd.models import Transcript

_KINDS: dict[str, tuple[Callable[..., Made], ModuleType]] = {
    "text": (texts, claude_code_text),
    "jsonl": (sessions, claude_code_jsonl),
}


def _made(folder: Path, kind: str, **how: int) -> tuple[Made, list[Transcript]]:
    make, form = _KINDS[kind]
    made = make(folder, 600_000, mean_bytes=60_000, **how)
    return made, [form.parse(path.read_bytes(), path.name) for path in made.files]


@pytest.mark.parametrize("kind", _KINDS)
def test_a_made_up_export_shows_as_many_messages_as_it_says(tmp_path: Path, kind: str) -> None:
    made, read = _made(tmp_path, kind)
    assert sum(len(transcript.messages) for transcript in read) == made.messages
    assert sum(path.stat().st_size for path in made.files) == made.size_bytes >= 600_000
    assert not [transcript for transcript in read if transcript.faults]
    assert len({path.name for path in made.files}) == len(made.files) > 5


@pytest.mark.parametrize("kind", _KINDS)
def test_a_part_of_the_blocks_was_said_before(tmp_path: Path, kind: str) -> None:
    _, read = _made(tmp_path, kind)
    marks = [[fingerprint(m.role, m.text) for m in transcript.messages] for transcript in read]
    share = 1 - sum(len(set(m)) for m in marks) / sum(map(len, marks))
    assert 0.1 < share < 0.25


@pytest.mark.parametrize("kind", _KINDS)
def test_the_same_seed_makes_the_same_bytes(tmp_path: Path, kind: str) -> None:
    def digests(folder: str, seed: int) -> list[str]:
        made, _ = _made(tmp_path / folder, kind, seed=seed)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in made.files]

    assert digests("a", 1) == digests("b", 1)
    assert not set(digests("a", 1)) & set(digests("c", 2))


@pytest.mark.parametrize("kind", _KINDS)
def test_a_later_export_begins_with_the_earlier_one(tmp_path: Path, kind: str) -> None:
    made, _ = _made(tmp_path, kind, growth=1)
    for earlier, later in zip(made.files[::2], made.files[1::2], strict=True):
        assert later.read_bytes().startswith(earlier.read_bytes())
        assert later.stat().st_size > earlier.stat().st_size


def test_a_session_goes_on_after_a_compaction(tmp_path: Path) -> None:
    _, read = _made(tmp_path, "jsonl", compact_every=2)
    assert any("being continued" in m.text for transcript in read for m in transcript.messages)
    (tmp_path / "t").mkdir()
    made, _ = _made(tmp_path / "t", "text")
    assert any(" Conversation compacted" in path.read_text() for path in made.files)


def test_a_made_up_account_export_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    messages = write_conversations(path, 200_000)
    records = json.loads(path.read_bytes())
    read = [claude_ai.parse(json.dumps(record).encode(), path.name) for record in records]
    assert messages == sum(len(transcript.messages) for transcript in read)
    assert not [transcript for transcript in read if transcript.faults]
