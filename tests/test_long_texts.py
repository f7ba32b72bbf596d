"""A text export that is read in parts: the same is stored as of one that is read at once."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Command, rows
from test_growth import Talk
from test_pipeline import Road, another, road

from exportd import containers, growth
from exportd.containers import Bounds, TextParts, text_parts
from exportd.formats import claude_code_text
from exportd.models import Fate
from exportd.store import Attempt, Drop

__all__ = ["another", "road"]  # fixtures

_PARTS = TextParts()


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths by which an export of a few kilobytes has many parts."""
    monkeypatch.setattr(text_parts, "LONG_BYTES", 1_000)
    monkeypatch.setattr(text_parts, "PART_BYTES", 400)
    monkeypatch.setattr(text_parts, "_BEFORE_ANSWER_BYTES", 3_000)
    monkeypatch.setattr(text_parts, "_ANYWHERE_BYTES", 9_000)


def _talk(seed: int, turns: int = 30) -> Talk:
    talk = Talk(seed)
    talk.turns += [talk.turn(number + 100) for number in range(turns)]
    return talk


def stored(road: Road) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    road.store.dump(None, records.append)
    return [
        {key: record[key] for key in ("message_index", "role", "kind", "content", "in_flight")}
        for record in records
        if record["type"] == "message"
    ]


# -- where an export is parted -----------------------------------------------------------


@pytest.mark.usefixtures("short_parts")
def test_the_parts_are_the_file_and_begin_with_a_prompt() -> None:
    talk = _talk(1)
    raw = talk.export(talk.turns, "bakery")
    members = list(_PARTS.members(raw, "x", Bounds()))
    bodies = [members[0].raw[:], *(m.raw[:].partition(b"\n")[2] for m in members[1:])]
    assert b"".join(bodies) == raw
    assert len(members) > 5
    assert all(body.startswith(b"> ") for body in bodies[1:])
    for member in members:
        assert _PARTS.extract(raw, member.locator) == member.raw
        found = claude_code_text.parse(member.raw[:], "x")
        spans = [message.span for message in found.messages]
        spans += [region.span for region in found.regions]
        parts = sorted((span.start, span.end) for span in spans)
        assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])]
        assert parts[-1][1] == len(member.raw)


@pytest.mark.usefixtures("short_parts")
def test_an_export_that_grew_has_the_same_parts_but_for_the_last() -> None:
    talk = _talk(2)
    raw = talk.export(talk.turns, "bakery")
    grown = [member.raw[:] for member in _PARTS.members(raw, "x", Bounds())]
    for cut in range(1_100, len(raw), 97):
        found = [member.raw[:] for member in _PARTS.members(raw[:cut], "x", Bounds())]
        assert found[:-1] == grown[: len(found) - 1]


@pytest.mark.usefixtures("short_parts")
def test_where_nobody_asks_anything_a_part_ends_before_an_answer_or_any_line() -> None:
    head = _talk(3).export([], "bakery")
    answers = head + "⏺ a loaf of rye\n\n".encode() * 400
    found = [m.raw[:].partition(b"\n")[2] for m in _PARTS.members(answers, "x", Bounds())]
    assert len(found) > 1
    assert all(part.startswith("⏺ ".encode()) for part in found[1:])
    lines = head + b"flour\n" * 5_000
    members = list(_PARTS.members(lines, "x", Bounds()))
    assert len(members) > 1
    assert sum(len(m.raw) for m in members) >= len(lines)


def test_a_part_whose_first_line_is_damaged_is_told() -> None:
    with pytest.raises(Exception, match="first line of a part"):
        claude_code_text.parse(claude_code_text.PART + b"{}\n> hello\n\n", "x")


# -- what is stored ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_in_parts_the_same_is_stored_as_at_once(
    seed: int, monkeypatch: pytest.MonkeyPatch, another: Callable[[], Road]
) -> None:
    talk = _talk(seed)
    states = [talk.export(talk.turns[: 10 + 8 * n], "bakery") for n in range(3)]
    states += [states[-1][: len(states[-1]) - 11], talk.export(talk.turns, "bakery")]
    whole, parted = another(), another()
    whole.drop("2026-02-01-talk.txt", states[-1])
    monkeypatch.setattr(text_parts, "LONG_BYTES", 1_000)
    monkeypatch.setattr(text_parts, "PART_BYTES", 400)
    random.Random(seed).shuffle(states)  # noqa: S311
    for number, raw in enumerate(states):
        report = parted.drop(f"2026-02-0{number + 1}-talk.txt", raw)
        assert report.fate in (Fate.INGESTED, Fate.UNCHANGED)
    assert stored(parted) == stored(whole)
    assert rows(parted.url, "SELECT count(*) FROM segments") == [(1,)]
    assert parted.drop("2026-02-09-again.txt", states[0]).new == 0


@pytest.mark.usefixtures("short_parts")
def test_of_a_grown_one_the_last_part_alone_is_parsed(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = _talk(5)
    raw = talk.export(talk.turns, "bakery")
    road.drop("2026-02-01-talk.txt", raw)
    parsed: list[int] = []
    real = claude_code_text.parse

    def parse(raw: bytes, name: str) -> Any:
        parsed.append(len(raw))
        return real(raw, name)

    monkeypatch.setattr(claude_code_text, "parse", parse)
    assert road.drop("2026-02-02-talk.txt", raw + b"> more\n\n> bread\n\n").new == 2
    assert len(parsed) == 2  # the header, and the last part


@pytest.mark.usefixtures("short_parts")
def test_the_known_parts_of_a_grown_one_are_not_looked_at(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And yet they are in it, as when each is asked for: for people, verify and a purge."""
    monkeypatch.setattr(growth, "HEAD_BYTES", 64)
    talk = _talk(6)
    raw = talk.export(talk.turns, "bakery")
    first = road.drop("2026-02-01-talk.txt", raw)
    begun: list[Drop] = []
    begin = road.store.begin

    def counted(drop: Drop) -> Attempt:
        begun.append(drop)
        return begin(drop)

    monkeypatch.setattr(road.store, "begin", counted)
    grown = road.drop("2026-02-01-talk.txt", raw + b"> more\n\n")
    assert len(begun) <= 3  # the file, its last part, and one more
    assert (grown.new, grown.total) == (1, first.total + 1)
    assert (grown.conversation_id, grown.fate) == (first.conversation_id, first.fate)
    inside = "SELECT locator FROM drops WHERE parent_export_id = (SELECT {}(parent_export_id)"
    one, other = (
        rows(road.url, f"{inside.format(which)} FROM drops) ORDER BY drop_id")
        for which in ("min", "max")
    )
    assert other[: len(one) - 1] == one[:-1]
    assert 0 <= len(other) - len(one) <= 1
    begun.clear()
    again = road.drop("2026-02-03-under-another-name.txt", raw + b"> more\n\n> bread\n\n")
    assert again.new == 1
    assert len(begun) > len(other)


@pytest.mark.usefixtures("short_parts")
def test_a_long_text_that_is_rendered_anew_loses_nothing(road: Road) -> None:
    """Another width: all is known or kept, and what is asked stands where it stood."""
    said = [f"> turn {n}\n\n⏺ {'rye and wheat ' * 6}{n}\n\n" for n in range(40)]
    header = "╭─── Claude Code v2.0.42 ───╮\n\n"
    road.drop("2026-02-01-talk.txt", header + "".join(said))
    narrow = [turn.replace("wheat rye", "wheat\n  rye") for turn in said]
    report = road.drop("2026-02-02-talk.txt", header + "".join(narrow) + "> and now?\n\n")
    assert (report.new, report.total) == (1, 81)
    assert rows(road.url, "SELECT count(*) FROM segments") == [(1,)]


@pytest.mark.usefixtures("short_parts")
def test_a_branch_of_a_long_text_is_kept_beside_what_was_said(road: Road) -> None:
    said = [f"> turn {n}\n\n⏺ {'rye and wheat ' * 6}{n}\n\n" for n in range(40)]
    header = "╭─── Claude Code v2.0.42 ───╮\n\n"
    road.drop("2026-02-01-talk.txt", header + "".join(said))
    other = [turn.replace("turn", "another turn").replace("rye", "oats") for turn in said[30:]]
    road.drop("2026-02-02-talk.txt", header + "".join([*said[:30], *other]))
    texts = {text for (text,) in rows(road.url, "SELECT content FROM messages")}
    assert {f"turn {n}" for n in range(40)} <= texts
    assert {f"another turn {n}" for n in range(30, 40)} <= texts


# -- the real command ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_text() -> bytes:
    filler = "⏺ " + (f"{'a loaf of rye ' * 12}\n  " * 57) + "\n\n"
    turns = (f"> turn {n}\n\n{filler}" for n in range(1_000))
    return ("╭─── Claude Code v2.0.42 ───╮\n\n" + "".join(turns)).encode()


def test_a_long_text_is_known_again_verified_and_reindexed(
    exportd: Command, database_url: str, long_text: bytes
) -> None:
    assert isinstance(containers.recognise(long_text, "talk.txt"), TextParts)
    file = exportd.memory_dir / "exports" / "2026-02-01-talk.txt"
    file.write_bytes(long_text)
    killed = exportd("run", "--once", EXPORTD_CRASH_AT="store.written:2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert exportd("run", "--once").returncode == 0
    file.write_bytes(long_text + b"> more\n\n")
    report = json.loads(exportd("run", "--once", "--json").stdout)["files"][0]
    assert (report["fate"], report["new"], report["total"]) == ("ingested", 1, 2_001)
    for command in ("reindex", "verify --deep"):
        done = exportd(*command.split())
        assert done.returncode == 0, done.stdout + done.stderr
    assert rows(database_url, "SELECT count(*) FROM messages") == [(2_001,)]
    file.write_bytes(long_text + b"> more\n\n> bread\n\n")
    report = json.loads(exportd("run", "--once", "--json").stdout)["files"][0]
    assert (report["fate"], report["new"]) == ("ingested", 1)
