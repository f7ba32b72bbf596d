"""The documented long runs work: small ones of them, on files of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from benchmarks.differences import differences
from benchmarks.earlier_rule import losses
from benchmarks.overlap import overlaps
from benchmarks.protections import disable, protections
from benchmarks.running import check_taken
from benchmarks.stored import Export, Segment
from conftest import EXAMPLES, SAMPLES

from exportd.fingerprint import fingerprint
from exportd.formats import claude_code_text

ROOT = Path(__file__).parent.parent
DECK = ("deck-1.txt", "deck-2.txt", "deck-3-other-directory.txt")


def _benchmark(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One session exported three times, the last of them twice, and another session."""
    for path in (
        *(SAMPLES / name for name in DECK),
        EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt",
    ):
        shutil.copy2(path, tmp_path / path.name)
    (tmp_path / "again").mkdir()
    shutil.copy2(tmp_path / DECK[2], tmp_path / "again" / "2026-01-01-EXPORT-CARDS.txt")
    return tmp_path


def test_orders_tries_every_order_of_a_chain(folder: Path) -> None:
    (folder / DECK[1]).unlink()  # 6 orders of a chain take long enough here
    done = _benchmark("orders", str(folder), "--orders", "1", "--seed", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 files, seed 2" in done.stdout
    assert "order 1, in 2 batches: identical" in done.stdout
    assert "1 chain, 6 orders" in done.stdout
    assert done.stdout.endswith("every order gave the same\n")


def test_the_page_tells_numbers_and_neither_names_nor_texts(folder: Path) -> None:
    page = folder.parent / f"{folder.name}.md"
    done = _benchmark("dedup_results", str(folder), "--output", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    told = page.read_text()
    counts = sorted(
        len(claude_code_text.parse((SAMPLES / name).read_bytes(), name).messages)
        for name in DECK
    )
    assert f"| series 1 | 3 | {' < '.join(map(str, counts))} |" in told
    assert "| files | 5 | 4 |" in told
    assert "found no place in it: 0" in told
    for private in (*(path.stem for path in folder.rglob("*.txt")), "cards", "garden"):
        assert private not in told


def _dumped(**facts: Any) -> str:
    records: list[dict[str, Any]] = [
        {"conversation_id": "deck", "metadata": {"reason": "stem"}, "aliases": []},
        {"conversation_id": "deck", "content": "shuffle the cards", "renderings": []},
    ]
    for key, value in facts.items():
        records[key in records[1]][key] = value
    return "\n".join(map(json.dumps, records))


def test_equal_dumps_do_not_differ() -> None:
    assert differences(_dumped(), _dumped()) == []


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"metadata": {"reason": "slug"}}, "deck: metadata.reason"),
        ({"metadata": {"reason": "stem", "cwd": "~"}}, "deck: metadata.cwd"),
        ({"aliases": ["cards"]}, "deck: aliases"),
        ({"content": "secret"}, "deck: content of 1 message, the first of them message 0"),
    ],
)
def test_a_difference_is_told_by_conversation_and_field_and_without_text(
    facts: dict[str, Any], told: str
) -> None:
    assert differences(_dumped(), _dumped(**facts)) == [told]


def test_a_missing_conversation_and_a_missing_message_are_differences() -> None:
    first_line = _dumped().splitlines()[0]
    assert differences(_dumped(), "") == ["deck: missing"]
    assert differences("", _dumped()) == ["deck: not expected"]
    assert differences(_dumped(), first_line) == ["deck: 1 message expected, 0 found"]


def test_messages_in_another_order_are_told_as_that() -> None:
    head = _dumped().splitlines()[0]
    messages = [
        json.dumps({"conversation_id": "deck", "message_index": n, "content_hash": text})
        for n, text in enumerate(["a", "b", "c", "a", "c", "b"])
    ]
    ours, theirs = ("\n".join([head, *run]) for run in (messages[:3], messages[3:]))
    (told,) = differences(ours, theirs)
    assert told == "deck: the same messages in another order, from message 1 on"


def test_files_taken_in_another_order_prove_nothing() -> None:
    check_taken(["a.txt", "b.txt"], [Path("0/a.txt"), Path("1/b.txt")])
    with pytest.raises(click.ClickException, match="proves nothing"):
        check_taken(["b.txt", "a.txt"], [Path("0/a.txt"), Path("1/b.txt")])


def _segment(number: int, conversation_id: str, text: str) -> Segment:
    """A segment that was exported once, as it would stand in the dump."""
    transcript = claude_code_text.parse(text.encode(), "x.txt")
    path = Path(f"2026-01-{number:02}-EXPORT-{number}-count-the-cards-again-please.txt")
    messages: tuple[dict[str, Any], ...] = tuple(
        {
            "role": message.role.value,
            "kind": message.kind.value,
            "content": message.text,
            "content_hash": fingerprint(message.role, message.text),
            "renderings": [],
            "metadata": dict(message.extra),
            "source_index": None,
            "in_flight": message.in_flight,
        }
        for message in transcript.messages
    )
    export = Export(number, path, len(text), 1, transcript)
    return Segment(conversation_id, 0, False, (export,), messages)


def test_the_earlier_rules_lose_repeats_and_whatever_comes_after_a_compaction() -> None:
    before = _segment(1, "before", "> go on\n\n⏺ One.\n\n> go on\n\n⏺ Two.\n")
    after = _segment(2, "after", "> really?\n\n⏺ Three.\n\n> go on\n")
    slug, conversation, file_name, pool = losses([before, after])
    assert (slug.kept, slug.lost, slug.gone, slug.doubled) == (3, 4, 2, 0)
    assert (conversation.kept, conversation.lost, conversation.gone) == (6, 1, 0)
    assert (file_name.kept, file_name.lost, file_name.gone) == (6, 1, 0)
    assert (pool.kept, pool.lost, pool.gone) == (5, 2, 0)


def test_text_is_found_at_another_width_and_nothing_is_found_in_other_text() -> None:
    words = [f"word{n}" for n in range(40)]
    wide, narrow = " ".join(words), "\n  ".join(words)
    other = " ".join(reversed(words))
    (same,) = overlaps([wide, narrow, other], [0, 1, 2])
    assert (same.a, same.b, same.share) == (0, 1, 1.0)
    (apart,) = overlaps([wide, other], [0, 0])
    assert apart.share == 0.0


def test_every_protection_stands_where_the_table_says(tmp_path: Path) -> None:
    """So that none is lost from the long run by a change of its lines, or of its test."""
    for number, protection in enumerate(protections()):
        root = tmp_path / str(number)
        shutil.copytree(ROOT / "daemon", root / "daemon")
        disable(protection, root)
        name, _, test = protection.test.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / name).read_text(), protection.test


def test_the_table_of_speed_is_measured_and_written(tmp_path: Path) -> None:
    """Three rows of it: one of each way to run the program."""
    page = tmp_path / "performance.md"
    rows = ("cold-jsonl", "grown-text", "backlog")
    arguments = [
        sys.executable, "-m", "benchmarks", "--quick", "--output", str(page), "--rows", *rows,
    ]  # fmt: skip
    done = subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = page.read_text()
    assert "| cold ingest, session files |" in told
    assert "bare COPY" in told
    assert "sha256sum" in told
