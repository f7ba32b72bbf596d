"""A grown export is read from where it was known: the same is stored as of one read whole."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import rows
from test_pipeline import Road, another, road

from exportd import growth
from exportd.formats import claude_code_text
from exportd.models import Report
from exportd.store import Transaction

__all__ = ["another", "road"]  # fixtures

_HEADER = """ ▐▛███▜▌   Claude Code v2.0.42
▝▜█████▛▘  Sonnet 4.5 · Claude Max
  ▘▘ ▝▝    {cwd}

"""
_WORDS = ("oven", "flour", "dough", "bake", "shelf", "price", "crumb", "tray", "yeast", "salt")

# All that an export leaves behind, but for times.
_FACTS = {
    "log": "SELECT l.conversation_id, l.messages_processed, l.duplicates_filtered, "
    "l.storage_savings_pct, l.metadata, e.sha256 FROM deduplication_log l "
    "JOIN exports e USING (export_id) ORDER BY l.log_id",
    "anomalies": "SELECT a.conversation_id, a.kind, a.severity, a.message, a.metadata, "
    "e.sha256 FROM anomalies a LEFT JOIN exports e USING (export_id) ORDER BY a.anomaly_id",
    "runs": "SELECT e.sha256, s.conversation_id, s.ordinal, r.first_index, r.message_count "
    "FROM export_segments r JOIN exports e USING (export_id) "
    "JOIN segments s USING (segment_id) ORDER BY 1, 2, 3",
    "segments": "SELECT conversation_id, ordinal, first_index, message_count, head_hash, "
    "starts_compacted FROM segments ORDER BY 1, 2",
    "exports": "SELECT sha256, name, message_count, metadata, state FROM exports ORDER BY 1",
    "aliases": "SELECT alias, conversation_id, reason, former FROM conversation_aliases "
    "ORDER BY 1, 2",
}


def left_behind(road: Road) -> dict[str, Any]:
    records: list[dict[str, Any]] = []
    road.store.dump(None, records.append)
    for export in (e for r in records for s in r.get("segments", ()) for e in s["exports"]):
        del export["modified_at"]
    return {"dump": records, **{name: rows(road.url, sql) for name, sql in _FACTS.items()}}


class Talk:
    """A made-up session, the same for the same seed: blocks, and what exports show of them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.seed = seed
        self.turns = [self.turn(n) for n in range(self.chance.randrange(4, 14))]

    def say(self, most: int = 12) -> str:
        return " ".join(self.chance.choices(_WORDS, k=self.chance.randrange(1, most)))

    def turn(self, number: int) -> list[str]:
        """Blocks; repeats and what looks like something else are many on purpose."""
        chance = self.chance
        prompt = chance.choice(
            ["continue", self.say(), f"{self.say()}\n\n⎿ pasted", "/compact"]
        )
        blocks = [f"> {prompt if number else f'session {self.seed}: {self.say()}'}\n"]
        for _ in range(chance.randrange(5)):
            blocks += chance.choice(
                [
                    [f"⏺ {self.say()}\n"],
                    [
                        f"⏺ Bash({self.say()})\n",
                        f"  ⎿  CWD/{self.say()}\n     {self.say()}\n\n",
                    ],
                    ["⏺ Bash(git status)\n", "  ⎿  nothing to commit\n\n"],
                    ["⏺ Task(ask)\n", "  ⎿  Running…\n"],
                    ["✻ Thinking…\n", f"  {self.say()}\n\n"],
                    [f"  ⎿  Conversation exported to: {self.say(2)}-{self.seed}.txt\n\n"],
                    [f"✻ Brewed for {chance.randrange(99)}s\n\n"],
                    ["═══ Conversation compacted ═══\n\n"],
                    [f"⏺ {self.say()} \N{SYMBOL FOR ESCAPE} \x00\n"],
                ]
            )
        return blocks

    def export(self, turns: list[list[str]], cwd: str) -> bytes:
        text = "".join(block for turn in turns for block in turn)
        return (_HEADER.format(cwd=f"~/{cwd}") + text).replace("CWD", cwd).encode()

    def exports(self) -> list[bytes]:
        """States of the session as people export them, in the order of their making."""
        chance, found, cwd, turns = self.chance, [], "bakery", self.turns
        for _ in range(chance.randrange(3, 7)):
            shown = turns[: chance.randrange(1, len(turns) + 1)]
            raw = self.export(shown, cwd)
            match chance.randrange(7):
                case 0:  # cut while it was written
                    raw = raw[: chance.randrange(len(raw) // 2, len(raw))]
                case 1:  # the last block was still running
                    raw += "⏺ Bash(wait)\n  ⎿  Running…\n".encode()
                case 2:  # another directory, and what was printed with it
                    cwd = chance.choice(["bakery", "bakery/shop"])
                    raw = self.export(shown, cwd)
                case 3:  # gone back, and said something else
                    turns = [*shown[:-1], *(self.turn(n + 1) for n in range(3))]
                    raw = self.export(turns, cwd)
                case 4:  # what ran has ended
                    turns = [[b.replace("Running…", "42 loaves") for b in t] for t in turns]
                case _:
                    pass
            found.append(raw)
        return [*found, self.export(self.turns, cwd), self.export(turns, cwd)]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many bytes were parsed, and how often a whole file and only an end."""
    found = {"bytes": 0, "whole": 0, "end": 0}
    for name in ("parse", "parse_on"):
        monkeypatch.setattr(claude_code_text, name, _counted(name, found))
    return found


def _counted(name: str, counts: dict[str, int]) -> Callable[..., Any]:
    real = getattr(claude_code_text, name)

    def parse(raw: bytes, *more: Any) -> Any:
        counts["bytes"] += len(raw)
        counts["whole" if name == "parse" else "end"] += 1
        return real(raw, *more)

    return parse


def _bare(report: Report) -> Report:
    return replace(report, duration_s=0.0)


def _drop_in_both(fast: Road, slow: Road, exports: list[bytes], name: str) -> None:
    for number, raw in enumerate(exports):
        file = f"2026-02-0{1 + number % 9}-{name}-{number}.txt"
        assert _bare(fast.drop(file, raw)) == _bare(slow.drop(file, raw)), (name, number)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, another: Callable[[], Road]) -> tuple[Road, Road]:
    """Two stores; the second one reads every file whole."""
    monkeypatch.setattr(growth, "HEAD_BYTES", 64)
    fast, slow = another(), another()
    monkeypatch.setattr(slow.store, "beginnings", lambda _head: [])
    return fast, slow


def test_whatever_comes_in_whatever_order_is_stored_as_if_it_was_read_whole(
    both: tuple[Road, Road], counts: dict[str, int]
) -> None:
    for seed in range(12):
        exports = Talk(seed).exports()
        if seed % 3 == 2:
            random.Random(seed).shuffle(exports)  # noqa: S311
        _drop_in_both(*both, exports, f"session-{seed}")
    fast, slow = map(left_behind, both)
    for what, found in fast.items():
        assert found == slow[what], what
    assert counts["end"] > 20


# -- how much work a grown export is --------------------------------------------------------


class Hash:
    """hashlib's SHA-256, counting bytes."""

    size_bytes = 0

    def __init__(self, content: bytes = b"", digest: Any = None) -> None:
        self._digest = digest or hashlib.sha256()
        self.update(content)

    def update(self, content: bytes) -> None:
        Hash.size_bytes += len(content)
        self._digest.update(content)

    def copy(self) -> Hash:
        return Hash(digest=self._digest.copy())

    def hexdigest(self) -> str:
        return str(self._digest.hexdigest())


@pytest.fixture
def work(counts: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """The statements sent, and bytes hashed and parsed, since it was asked last."""
    statements: list[str] = []
    execute, copy = Transaction.execute, Transaction.copy

    def executed(tx: Transaction, statement: str, /, **parameters: Any) -> int:
        statements.append(statement)
        return execute(tx, statement, **parameters)

    def copied(tx: Transaction, statement: str, given: Iterable[Any]) -> None:
        found = list(given)
        statements.extend([f"{statement}: a row"] * len(found))
        copy(tx, statement, found)

    monkeypatch.setattr(Transaction, "execute", executed)
    monkeypatch.setattr(Transaction, "copy", copied)
    monkeypatch.setattr(growth, "hashlib", SimpleNamespace(sha256=Hash))

    def asked() -> list[Any]:
        found = [sorted(statements), Hash.size_bytes, dict(counts)]
        statements.clear()
        Hash.size_bytes = 0
        counts.update(dict.fromkeys(counts, 0))
        return found

    return asked


def _long(turns: int) -> bytes:
    said = (f"> turn {n} about bread\n\n⏺ loaf {n}: {'rye ' * 90}\n\n" for n in range(turns))
    return (_HEADER.format(cwd="~/bakery") + "".join(said)).encode()


def test_a_grown_export_is_hashed_once_and_parsed_where_it_is_new(
    road: Road, work: Callable[[], list[Any]]
) -> None:
    sent = []
    for turns in (40, 400):
        before = _long(turns).replace(b"turn 0", f"turn {turns}".encode())
        raw = _long(turns + 2).replace(b"turn 0", f"turn {turns}".encode())
        new = len(raw) - len(before)
        road.drop(f"2026-02-01-{turns}.txt", before)
        work()
        file = road.folders.exports / f"2026-02-02-{turns}.txt"
        file.write_bytes(raw)
        report = road.pipeline.ingest(file)
        assert report is not None
        assert report.new == 4
        statements, hashed, parsed = work()
        sent.append(statements)
        assert hashed < len(raw) + growth.HEAD_BYTES * 2 + 2 * new
        assert (parsed["whole"], parsed["end"]) == (0, 1)
        assert parsed["bytes"] < 3 * new
        assert statements.count("copy_messages: a row") == 4
    assert sent[0] == sent[1]


def test_a_re_drop_parses_nothing_and_writes_no_message(
    road: Road, work: Callable[[], list[Any]]
) -> None:
    raw = _long(40)
    road.drop("2026-02-01-talk.txt", raw)
    work()
    assert road.drop("2026-02-02-again.txt", raw).new == 0
    statements, hashed, parsed = work()
    assert hashed <= len(raw) + growth.HEAD_BYTES
    assert parsed == {"bytes": 0, "whole": 0, "end": 0}
    assert not [name for name in statements if name.startswith("copy_messages")]


# -- when it does not hold -------------------------------------------------------------------


def _points(road: Road) -> list[tuple[Any, ...]]:
    return rows(road.url, "SELECT messages FROM resume_points ORDER BY messages")


def test_what_changes_before_a_point_takes_it_away(road: Road) -> None:
    """An export of another rendering has a block that an earlier one does not show."""
    raw = _long(40)
    middle = raw.index(b"> turn 20")
    road.drop("2026-02-01-talk.txt", raw)
    assert _points(road) == [(77,)]
    call = "⏺ Bash(knead)\n\n  ⎿  done\n\n".encode()
    assert road.drop("2026-02-02-talk.txt", raw[:middle] + call + raw[middle:]).new == 2
    assert _points(road) == [(79,)]


def test_another_version_of_the_parser_reads_all_of_it(
    road: Road, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    road.drop("2026-02-01-talk.txt", _long(40))
    monkeypatch.setattr(claude_code_text, "PARSER_VERSION", 99)
    assert road.drop("2026-02-02-talk.txt", _long(41)).new == 2
    assert (counts["whole"], counts["end"]) == (2, 0)


def test_two_segments_that_begin_alike_are_told_apart_by_the_whole(
    road: Road, counts: dict[str, int]
) -> None:
    raw = _long(40)
    other = raw.replace(b"rye", b"oat")
    road.drop("2026-02-01-talk.txt", raw)
    assert road.drop("2026-02-01-other.txt", other).duplicates == 0
    counts.update(whole=0, end=0)
    assert road.drop("2026-02-02-talk.txt", _long(41)).new == 2
    assert (counts["whole"], counts["end"]) == (1, 1)
