"""A session JSONL that is read in parts: the same is stored as of one that is read at once."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, rows
from hypothesis import given
from hypothesis import strategies as st
from test_pipeline import Road, another, road

from exportd import containers, formats, growth
from exportd.containers import Bounds, JsonlParts, json_list, jsonl_parts
from exportd.containers.json_list import JsonList
from exportd.errors import DiskTrouble, TransientError
from exportd.file_bytes import FileBytes
from exportd.models import Fate
from exportd.store import Attempt, Drop

__all__ = ["another", "road"]  # fixtures

SESSION = "5b1f0c3e-2222-4c4c-8a8a-000000000001"
_PARTS = JsonlParts()


class Talk:
    """Made-up lines of one session; the same for the same seed."""

    def __init__(self, seed: int, session: str = SESSION) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.session = session
        self.number = 0
        self.last: str | None = None

    def line(self, kind: str, said: dict[str, Any], **more: Any) -> str:
        own = f"{self.session[:8]}-0000-4000-8000-{self.number:012}"
        minute, second = divmod(self.number, 60)
        record = {
            "parentUuid": self.last, "isSidechain": False, "cwd": "/home/ana/bakery",
            "sessionId": self.session, "version": "2.1.0", "type": kind, "message": said,
            "uuid": own, "timestamp": f"2026-02-03T{9 + minute // 60:02}:{minute % 60:02}:"
            f"{second:02}.000Z", **more,
        }  # fmt: skip
        self.number += 1
        self.last = own
        return json.dumps(record) + "\n"

    def turn(self, calls: int = 2) -> Iterator[str]:
        """A prompt, tools that are called, and an answer of several lines."""
        n = self.number
        where = {} if n < 20 else {"cwd": "/home/ana/shop"}
        yield self.line("user", {"role": "user", "content": f"bake {n}"}, **where)
        for call in range(calls):
            use = {"type": "tool_use", "id": f"t{n}.{call}", "name": "Bash",
                   "input": {"command": f"oven {call}"}}  # fmt: skip
            usage = {"input_tokens": n, "output_tokens": 2}
            said = {"id": f"m{n}", "role": "assistant", "content": [use], "usage": usage}
            yield self.line("assistant", said, **where)
            result = {"type": "tool_result", "tool_use_id": f"t{n}.{call}",
                      "content": "hot " * self.chance.randrange(40)}  # fmt: skip
            yield self.line("user", {"role": "user", "content": [result]}, **where)
        text = [{"type": "text", "text": "done " * self.chance.randrange(1, 30)}]
        usage = {"input_tokens": n, "output_tokens": 9}
        said = {"id": f"m{n}", "role": "assistant", "content": text, "usage": usage}
        yield self.line("assistant", said, **where)
        if self.chance.random() < 0.3:
            yield json.dumps({"type": "file-history-snapshot", "snapshot": {"n": n}}) + "\n"

    def turns(self, count: int) -> bytes:
        return "".join(line for _ in range(count) for line in self.turn()).encode()


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths by which a session of a few kilobytes has many parts."""
    monkeypatch.setattr(jsonl_parts, "LONG_BYTES", 2_500)
    monkeypatch.setattr(jsonl_parts, "PART_BYTES", 1_500)
    monkeypatch.setattr(jsonl_parts, "_BEFORE_ANSWER_BYTES", 6_000)
    monkeypatch.setattr(jsonl_parts, "_ANYWHERE_BYTES", 20_000)


def stored(road: Road) -> list[dict[str, Any]]:
    """All messages, and what is told of the conversation but how often it was exported."""
    records: list[dict[str, Any]] = []
    road.store.dump(None, records.append)
    for record in records:
        for segment in record.get("segments", ()):
            del segment["exports"]
    return records


def bodies(raw: bytes) -> list[bytes]:
    """Every part without our line."""
    found = [member.raw[:] for member in _PARTS.members(raw, "x", Bounds())]
    return [found[0], *(part.partition(b"\n")[2] for part in found[1:])]


# -- where a session is parted -----------------------------------------------------------


@pytest.mark.usefixtures("short_parts")
def test_the_parts_are_the_file_and_begin_where_somebody_speaks() -> None:
    raw = Talk(1).turns(12)
    parts = bodies(raw)
    assert b"".join(parts) == raw
    assert len(parts) > 5
    for part in parts:
        first = json.loads(part.partition(b"\n")[0])
        assert first["type"] == "user"
        assert isinstance(first["message"]["content"], str)
    for member in _PARTS.members(raw, "x", Bounds()):
        assert _PARTS.extract(raw, member.locator) == member.raw


@pytest.mark.usefixtures("short_parts")
def test_a_session_that_grew_has_the_same_parts_but_for_the_last() -> None:
    talk = Talk(2)
    raw = talk.turns(10)
    before = [member.raw[:] for member in _PARTS.members(raw, "x", Bounds())]
    for cut in range(len(raw) - 300, len(raw), 7):  # while it was written, too
        cut_off = [member.raw[:] for member in _PARTS.members(raw[:cut], "x", Bounds())]
        assert cut_off[: len(cut_off) - 1] == before[: len(cut_off) - 1]
    grown = [member.raw[:] for member in _PARTS.members(raw + talk.turns(9), "x", Bounds())]
    assert len(grown) > len(before)
    assert grown[: len(before) - 1] == before[:-1]


@pytest.mark.usefixtures("short_parts")
def test_where_nobody_asks_anything_a_part_ends_before_an_answer() -> None:
    talk = Talk(3)
    raw = "".join(talk.turn(calls=150)).encode()
    parts = bodies(raw)  # one answer of 150 calls is cut where it must be
    assert len(parts) > 3
    assert all(len(part) >= 20_000 for part in parts[:-1])
    agent = "".join(
        talk.line("assistant", {"id": f"m{n}", "role": "assistant", "content": "x" * 300})
        for n in range(60)
    )
    firsts = [json.loads(part.partition(b"\n")[0]) for part in bodies(agent.encode())]
    assert len(firsts) > 3
    assert {first["type"] for first in firsts} == {"assistant"}


@pytest.mark.usefixtures("short_parts")
def test_a_short_session_is_no_container() -> None:
    raw = Talk(4).turns(40)
    assert containers.recognise(raw, "x") is not None
    assert containers.recognise(raw[:2_000], "x") is None


@pytest.mark.usefixtures("short_parts")
def test_a_line_that_is_too_long_costs_no_other() -> None:
    talk = Talk(5)
    raw = talk.turns(5) + talk.line("user", {"content": "x" * 50_000}).encode() + talk.turns(9)
    found = list(_PARTS.members(raw, "x", Bounds(max_bytes=30_000)))
    faults = [member for member in found if member.fault]
    assert len(faults) == 1
    assert "max_export_bytes" in faults[0].fault
    assert sum(len(member.raw) for member in found) > len(raw) - 55_000


def without(raw: bytes, *keys: str) -> bytes:
    """The lines of a session without some of their keys."""
    records = [json.loads(line) for line in raw.splitlines()]
    kept = [{k: v for k, v in record.items() if k not in keys} for record in records]
    return "".join(json.dumps(record) + "\n" for record in kept).encode()


@pytest.mark.usefixtures("short_parts")
def test_a_session_is_parted_only_when_it_and_its_messages_have_ids() -> None:
    raw = Talk(4).turns(40)
    assert containers.recognise(raw, "x") is not None
    for key in ("sessionId", "uuid"):
        assert containers.recognise(without(raw, key), "x") is None


# -- what is stored ----------------------------------------------------------------------


def test_in_parts_the_same_is_stored_as_at_once(
    monkeypatch: pytest.MonkeyPatch, another: Callable[[], Road]
) -> None:
    talk = Talk(6)
    raw = talk.turns(12) + b'{"type":"user","message":\n' + talk.turns(12)
    whole, parted = another(), another()
    assert whole.drop("a.jsonl", raw).fate is Fate.INGESTED
    monkeypatch.setattr(jsonl_parts, "LONG_BYTES", 2_500)
    monkeypatch.setattr(jsonl_parts, "PART_BYTES", 1_500)
    report = parted.drop("a.jsonl", raw)
    assert (report.fate, report.conversation_id) == (Fate.INGESTED, SESSION)
    assert "parts in it" in report.reason
    one, other = stored(whole), stored(parted)
    assert [{**r, "metadata": r["metadata"]} for r in other[1:]] == one[1:]
    assert {**other[0], "aliases": []} == {**one[0], "aliases": []}
    line = "SELECT original_name FROM dead_letters"
    assert rows(parted.url, line) == rows(whole.url, line)
    kinds = "SELECT DISTINCT kind FROM anomalies ORDER BY kind"
    assert rows(parted.url, kinds) == rows(whole.url, kinds)
    session = (parted.folders.sessions / f"{SESSION}.md").read_text()
    assert "- **Exports:** 1," in session
    assert session.count("(index: ") == len(one) - 1


def test_a_sub_agent_s_file_in_parts_is_one_conversation(
    monkeypatch: pytest.MonkeyPatch, another: Callable[[], Road]
) -> None:
    talk = Talk(7)
    talk.last = "aaaaaaaa-0000-4000-8000-000000000009"  # in the session that called it
    records = [json.loads(line) for line in talk.turns(14).splitlines()]
    side = [{**r, "isSidechain": True, "agentId": "a7"} for r in records if "uuid" in r]
    raw = "".join(json.dumps(record) + "\n" for record in side).encode()
    whole, parted = another(), another()
    whole.drop("agent-a7.jsonl", raw)
    monkeypatch.setattr(jsonl_parts, "LONG_BYTES", 2_500)
    monkeypatch.setattr(jsonl_parts, "PART_BYTES", 1_000)
    monkeypatch.setattr(jsonl_parts, "_BEFORE_ANSWER_BYTES", 4_000)
    parted.drop("agent-a7.jsonl", raw)
    assert rows(parted.url, "SELECT count(*) FROM exports")[0][0] > 3
    assert rows(parted.url, "SELECT conversation_id FROM conversations") == [
        (f"{SESSION}-agent-a7",)
    ]
    assert stored(parted)[1:] == stored(whole)[1:]


@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_of_its_states_the_same_is_stored(
    seed: int, monkeypatch: pytest.MonkeyPatch, another: Callable[[], Road]
) -> None:
    """Short and long, cut in the middle of a line, and one that begins late."""
    chance = random.Random(seed)  # noqa: S311
    raw = Talk(seed).turns(26)
    ends = [0, *(n + 1 for n, byte in enumerate(raw) if byte == ord("\n"))]
    prompts = [end for end in ends if raw[end:].split(b"\n")[0].find(b'"bake ') > 0]
    late = chance.choice(prompts[1:9])
    states = [raw[: chance.choice(ends[4:])] for _ in range(3)]
    states += [raw[: chance.randrange(2_000, len(raw))], raw[late:], raw]
    whole, parted = another(), another()
    whole.drop("a.jsonl", raw)
    monkeypatch.setattr(jsonl_parts, "LONG_BYTES", 4_000)
    monkeypatch.setattr(jsonl_parts, "PART_BYTES", chance.choice([800, 1_500, 3_000]))
    chance.shuffle(states)
    for state in states:
        parted.drop("a.jsonl", state)
    again = parted.drop("b.jsonl", raw + b"\n")
    assert again.new == 0
    facts = ("message_index", "content", "source_id", "role", "kind", "occurred_at")
    one, other = stored(whole)[1:], stored(parted)[1:]
    assert [[r[f] for f in facts] for r in other] == [[r[f] for f in facts] for r in one]
    tokens = "SELECT sum((metadata -> 'tokens' ->> 'total')::int) FROM messages"
    assert rows(parted.url, tokens) == rows(whole.url, tokens)
    firing = "SELECT kind FROM anomalies WHERE kind = 'low_deduplication'"
    assert rows(parted.url, firing) == []


@pytest.mark.parametrize("name", ["no ids", "no session", "no times", "a wrong clock"])
def test_what_a_line_lacks_is_in_parts_no_other_than_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch, another: Callable[[], Road]
) -> None:
    """Nothing said again is lost, no session falls apart, and no part comes before another."""
    raw = Talk(12).turns(20)
    lines = raw.splitlines(keepends=True)
    if name == "no ids":
        said = {"role": "user", "content": "continue"}
        again = {"type": "user", "sessionId": SESSION, "message": said}
        raw = b"".join(
            without(line, "uuid", "timestamp") + json.dumps(again).encode() + b"\n"
            for line in lines
        )
    elif name == "no session":
        raw = without(raw, "sessionId")
    elif name == "no times":
        raw = b"".join(
            without(line, "timestamp") if b"bake" in line else line for line in lines
        )
    else:
        middle = len(lines) // 2
        later = [line.replace(b"2026-02-03", b"2026-02-02") for line in lines[middle:]]
        raw = b"".join([*lines[:middle], *later])
    whole, parted = another(), another()
    whole.drop("session.jsonl", raw)
    monkeypatch.setattr(jsonl_parts, "LONG_BYTES", 2_500)
    monkeypatch.setattr(jsonl_parts, "PART_BYTES", 1_500)
    parted.drop("session.jsonl", raw)
    facts = ("conversation_id", "message_index", "content", "source_id", "occurred_at")
    one, other = stored(whole)[1:], stored(parted)[1:]
    assert [[r[f] for f in facts] for r in other] == [[r[f] for f in facts] for r in one]


@pytest.mark.parametrize("is_seen", [True, False])
def test_what_is_said_again_late_and_without_an_id_is_not_lost(
    *, is_seen: bool, monkeypatch: pytest.MonkeyPatch, road: Road
) -> None:
    """Far behind the first lines; even where it is not seen that they have no ids."""
    talk = Talk(14)
    said = {"type": "user", "message": {"role": "user", "content": "continue"}}
    again = json.dumps(said | {"note": {"uuid": "x", "parentUuid": "y"}}).encode() + b"\n"
    again = again if not is_seen else json.dumps(said).encode() + b"\n"
    raw = talk.turns(40) + b"".join(talk.turns(1) + again for _ in range(20))
    assert raw.index(b"continue") > formats.HEAD_BYTES
    monkeypatch.setattr(jsonl_parts, "LONG_BYTES", 2_500)
    monkeypatch.setattr(jsonl_parts, "PART_BYTES", 1_500)
    assert _PARTS.has_ids(raw) is not is_seen
    assert road.drop("session.jsonl", raw).new == raw.count(b'"message"')
    assert rows(road.url, "SELECT count(*) FROM messages WHERE content = 'continue'") == [(20,)]
    assert road.drop("again.jsonl", raw + talk.turns(1)).new == 6


def test_one_id_with_other_words_in_another_part_keeps_both(
    monkeypatch: pytest.MonkeyPatch, road: Road
) -> None:
    raw = Talk(15).turns(20)
    edited = raw.partition(b"\n")[0].replace(b"bake 0", b"bake no more bread") + b"\n"
    monkeypatch.setattr(jsonl_parts, "LONG_BYTES", 2_500)
    monkeypatch.setattr(jsonl_parts, "PART_BYTES", 1_500)
    road.drop("session.jsonl", raw + edited)
    kept = "SELECT content FROM messages UNION ALL SELECT content FROM message_renderings"
    texts = {text for (text,) in rows(road.url, kept)}
    assert {"bake 0", "bake no more bread"} <= texts


def test_other_sessions_that_begin_with_one_prompt_are_not_looked_through(road: Road) -> None:
    for number in range(3):
        session = f"{number}b1f0c3e-2222-4c4c-8a8a-000000000001"
        road.drop(f"{number}.jsonl", Talk(13, session).turns(2))
    names = "SELECT head_hash, format FROM segments"
    head, format_name = rows(road.url, names)[0]
    assert len(set(rows(road.url, names))) == 1
    for session_id, count in ((session, 1), ("another", 0), (None, 3)):
        found = road.store.run(
            lambda tx, s=session_id: tx.candidates(head, format_name, None, s)  # type: ignore[misc]
        )
        assert len(found.candidates) == count


@pytest.mark.usefixtures("short_parts")
def test_the_known_parts_of_a_grown_session_are_not_looked_at(
    road: Road, another: Callable[[], Road], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "HEAD_BYTES", 64)
    talk = Talk(16)
    raw = talk.turns(20)
    first = road.drop("a.jsonl", raw)
    begun: list[Drop] = []
    begin = road.store.begin

    def counted(drop: Drop) -> Attempt:
        begun.append(drop)
        return begin(drop)

    monkeypatch.setattr(road.store, "begin", counted)
    more = raw + talk.turns(1)
    grown = road.drop("a.jsonl", more)
    assert 2 <= len(begun) <= 3  # the file, and its end
    assert (grown.new, grown.total) == (6, first.total + 6)
    other = another()
    other.drop("a.jsonl", more)
    assert stored(road)[1:] == stored(other)[1:]
    counts = "SELECT count(*) FROM drops WHERE outcome IS NULL"
    assert rows(road.url, counts) == [(0,)]


# -- the real command ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_session() -> tuple[bytes, int]:
    talk = Talk(8)
    raw = b"".join(talk.turns(1) for _ in range(400))
    filler = "rye " * 10_000
    lines = [
        talk.line("user", {"role": "user", "content": f"{n} {filler}"}) for n in range(240)
    ]
    raw += "".join(lines).encode()
    return raw, sum(b'"uuid"' in line for line in raw.splitlines())


def _verified(exportd: Command) -> None:
    done = exportd("verify", "--deep")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_long_session_is_verified_reindexed_and_known_again(
    exportd: Command, database_url: str, long_session: tuple[bytes, int]
) -> None:
    raw, count = long_session
    file = exportd.memory_dir / "exports" / "session.jsonl"
    file.write_bytes(raw)
    done = exportd("run", "--once", "--json")
    report = json.loads(done.stdout)["files"][0]
    assert (report["fate"], report["new"], report["total"]) == ("ingested", count, count)
    _verified(exportd)
    more = Talk(9)
    more.number = 100_000
    file.write_bytes(raw + more.turns(1))
    report = json.loads(exportd("run", "--once", "--json").stdout)["files"][0]
    assert (report["fate"], report["new"]) == ("ingested", 6)
    done = exportd("reindex")
    assert done.returncode == 0, done.stdout + done.stderr
    _verified(exportd)
    assert rows(database_url, "SELECT count(*) FROM messages") == [(count + 6,)]
    shown = exportd("stats", SESSION).stdout
    assert "low_deduplication" not in shown


@pytest.mark.parametrize(
    "point", ["members.counted:2", "store.committed:1", "store.written:2", "members.done"]
)
def test_a_kill_between_two_parts_loses_none_and_doubles_none(
    point: str, exportd: Command, database_url: str, long_session: tuple[bytes, int]
) -> None:
    raw, count = long_session
    (exportd.memory_dir / "exports" / "session.jsonl").write_bytes(raw)
    killed = exportd("run", "--once", EXPORTD_CRASH_AT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert exportd("run", "--once").returncode == 0
    assert rows(database_url, "SELECT count(*), count(DISTINCT source_id) FROM messages") == [
        (count, count)
    ]
    _verified(exportd)


def test_a_part_that_kills_costs_the_one_behind_it_one_attempt(
    exportd: Command, database_url: str, long_session: tuple[bytes, int]
) -> None:
    """Which is read while the one before it is stored: the attempt on it is counted."""
    raw, count = long_session
    (exportd.memory_dir / "exports" / "session.jsonl").write_bytes(raw)
    attempts = (
        "SELECT attempts FROM exports JOIN drops USING (export_id) "
        "WHERE parent_export_id IS NOT NULL ORDER BY drop_id"
    )
    for point, counted in [
        ("store.gathered:2", [1, 1, 1]),
        ("store.gathered:1", [1, 2, 1]),
        ("store.gathered:1", [1, 3, 1]),
    ]:
        killed = exportd("run", "--once", EXPORTD_CRASH_AT=point)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert [row[0] for row in rows(database_url, attempts)] == counted
    assert exportd("run", "--once").returncode == 0
    assert rows(database_url, attempts)[-1] == (2,)
    states = "SELECT state FROM exports JOIN drops USING (export_id) ORDER BY drop_id"
    told = [row[0] for row in rows(database_url, states)]
    assert told == ["ingested", "ingested", "dead_letter", "ingested"]
    (stored,) = rows(database_url, "SELECT count(*) FROM messages")[0]
    assert 0 < stored < count


def test_a_sidecar_names_the_conversation_of_all_parts(
    exportd: Command, database_url: str, long_session: tuple[bytes, int]
) -> None:
    exports = exportd.memory_dir / "exports"
    (exports / "session.jsonl.session").write_text("night-shift\n")
    (exports / "session.jsonl").write_bytes(long_session[0])
    assert exportd("run", "--once").returncode == 0
    assert rows(database_url, "SELECT conversation_id FROM conversations") == [("night-shift",)]


def test_a_part_beyond_a_limit_is_set_aside_by_verify_and_reindex_as_well(
    exportd: Command, database_url: str, long_session: tuple[bytes, int]
) -> None:
    """Else verify --deep finds damage in a sound store, and reindex goes beyond the limit."""
    talk = Talk(9)
    talk.number = 100_000
    raw = long_session[0] + talk.line("user", {"content": "x" * 2_000_000}).encode()
    number = raw.count(b"\n")
    (exportd.memory_dir / "exports" / "session.jsonl").write_bytes(raw + talk.turns(3))
    done = exportd("run", "--once", "--json", EXPORTD_MAX_LINE_BYTES="1000000")
    assert f"line {number} has more than" in done.stdout
    count = rows(database_url, "SELECT count(*) FROM messages")
    for command in ("verify --deep", "reindex"):
        done = exportd(*command.split(), EXPORTD_MAX_LINE_BYTES="1000000")
        assert done.returncode == 0, done.stdout + done.stderr
    assert rows(database_url, "SELECT count(*) FROM messages") == count
    assert exportd("reindex").returncode == 0
    assert rows(database_url, "SELECT count(*) FROM messages") > count


# -- pieces ----------------------------------------------------------------------------------


def test_a_file_that_became_shorter_is_no_damage_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    raw = FileBytes(path, 10)
    assert (raw[2:5], raw[8:99], raw[20:30], len(raw)) == (b"234", b"89", b"", 10)
    path.write_bytes(b"0123")
    with pytest.raises(TransientError, match="cut it off"):
        raw[2:8]


def test_no_link_is_followed_to_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DiskTrouble, match="symbolic"):
        FileBytes(tmp_path / "b", 10)[0:3]


_TOKENS = st.sampled_from(
    [b'{"uuid":"1","name":"x"}', b'{"uuid":"2","name":"]"}', b"[", b"]", b"{", b"}", b",", b" ",
     b'"', b"\\", b'"a\\"b"', b"1", b"null", b"\n", b'{"uuid":"3","name":"y","z":[{}]}']
)  # fmt: skip


@given(tokens=st.lists(_TOKENS, max_size=30), piece=st.integers(1, 9))
def test_a_list_is_taken_apart_alike_in_pieces_of_any_size(
    tokens: list[bytes], piece: int
) -> None:
    raw = b'[{"uuid":"0","name":"a"},' + b"".join(tokens)
    found = list(JsonList().members(raw, "x", Bounds()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "_PIECE_BYTES", piece + json_list._HEAD_BYTES)
        padded = raw.replace(b'"a"', b'"' + b"a" * json_list._HEAD_BYTES + b'"', 1)
        shift = len(padded) - len(raw)
        pieces = list(JsonList().members(padded, "x", Bounds()))
    assert [m.raw[:] for m in pieces[1:]] == [m.raw[:] for m in found[1:]]
    assert [bool(m.fault) for m in pieces] == [bool(m.fault) for m in found]
    assert shift > 0


def _seconds(raw: bytes) -> float:
    started = time.monotonic()
    assert list(JsonList().members(raw, "x", Bounds()))
    return time.monotonic() - started


def test_a_head_of_white_space_alone_stops_nobody() -> None:
    assert _seconds(b'[{"uuid":' + b" " * 4_000 + b"x{") < 5


def test_a_list_in_which_no_element_ends_is_read_a_few_times_at_most() -> None:
    """Each seems to go on to the end of the file, where the next one begins."""
    good = b'{"uuid":"g","name":"n","chat_messages":[{"uuid":"m","text":"t"}]}'
    bad = b'{"uuid":"b","name":"n","chat_messages":["' + b"x" * 200 + b'"]'
    raw = b"[" + b",".join([*([bad] * 4_000), good, good]) + b"]"
    assert _seconds(raw) < 10
    found = list(JsonList().members(raw, "x", Bounds()))
    assert [member.raw for member in found if not member.fault] == [good, good]
    assert len(found) == 4_002
