"""Every format, as people use it: dropped, dropped again, grown, verified, exported.

Each sample of a format that is a conversation is dropped whole and in parts; in whatever
order they come the same is stored, once.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, rows
from test_pipeline import Road, another

from exportd import formats

__all__ = ["another"]  # a fixture

SAMPLES = Path(__file__).parent / "samples"


def _lines(count: int) -> Callable[[bytes], bytes]:
    return lambda raw: b"".join(raw.splitlines(keepends=True)[:count])


def _first(key: str, count: int) -> Callable[[bytes], bytes]:
    def cut(raw: bytes) -> bytes:
        document = json.loads(raw)
        document[key] = document[key][:count]
        return json.dumps(document).encode()

    return cut


def _other_branch(raw: bytes) -> bytes:
    """ChatGPT before the last question, with the answer that was thrown away as current."""
    document = json.loads(raw)
    for key in ("u2", "a3"):
        del document["mapping"][key]
    document["mapping"]["a2"]["children"] = []
    document["current_node"] = "a1"
    return json.dumps(document).encode()


def _paragraphs(raw: bytes) -> bytes:
    return raw[: raw.index(b"#### continue")]


# By sample: what an export of the same session looked like that was taken earlier.
EARLIER: dict[str, Callable[[bytes], bytes]] = {
    "claude-code-jsonl.jsonl": _lines(5),
    "claude-code-jsonl-agent.jsonl": _lines(3),
    "claude-code-jsonl-loglines.json": _first("loglines", 5),
    "claude-ai.json": _first("chat_messages", 2),
    "chatgpt.json": _other_branch,
    "codex-jsonl.jsonl": _lines(8),
    "opencode.json": _first("messages", 2),
    "gemini-cli.json": _first("messages", 2),
    "gemini-cli.jsonl": _lines(3),
    "aider.md": _paragraphs,
    "role-messages.json": _first("messages", 2),
    "role-messages-calls.json": _first("messages", 3),
    "role-messages-exporter.json": _first("messages", 2),
    "indexed-messages.json": _first("messages", 2),
}


@pytest.fixture
def drop(exportd: Command) -> Callable[[str, bytes], dict[str, Any]]:
    """Drop one file and drain the folder; what became of it."""

    def dropped(name: str, raw: bytes) -> dict[str, Any]:
        path = exportd.memory_dir / "exports" / name
        path.write_bytes(raw)
        os.utime(path, (1_770_000_000,) * 2)
        done = exportd("run", "--once", "--json")
        (report,) = json.loads(done.stdout)["files"]
        return dict(report)

    return dropped


def _dump(exportd: Command) -> list[dict[str, Any]]:
    done = exportd("export", "--all", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _verified(exportd: Command) -> None:
    done = exportd("verify", "--deep")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_format_that_holds_talk_grows_here() -> None:
    read = {formats.parse((SAMPLES / n).read_bytes(), n).format for n in EARLIER}
    others = {"claude-code-text", "dedup-state", "checkpoint-summary"}  # tested elsewhere
    assert read == {module.NAME for module in formats.FORMATS} - others


@pytest.mark.parametrize("name", EARLIER)
def test_what_grew_adds_only_what_is_new(
    name: str, exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    whole = (SAMPLES / name).read_bytes()
    earlier = EARLIER[name](whole)
    expected = [len(formats.parse(raw, name).messages) for raw in (earlier, whole)]
    first = drop(name, earlier)
    assert (first["fate"], first["new"]) == ("ingested", expected[0]), first
    second = drop(f"later-{name}", whole)
    assert second["conversation_id"] == first["conversation_id"]
    assert (second["fate"], second["total"]) == ("ingested", expected[1])
    assert second["new"] == expected[1] - expected[0]
    again = drop(f"again-{name}", whole + b"\n")
    assert (again["fate"], again["new"]) == ("unchanged", 0), again
    _verified(exportd)


def _without_the_last(name: str, raw: bytes) -> bytes:
    """A third state: what was exported just before the end."""
    if name.endswith(".jsonl"):
        return b"".join(raw.splitlines(keepends=True)[:-1])
    if name.endswith(".md"):
        return raw[: raw.rindex(b"#### ")]
    document = json.loads(raw)
    if "mapping" in document:
        last = max(document["mapping"], key=lambda key: document["mapping"][key].get("id", ""))
        parent = document["mapping"].pop(last)["parent"]
        document["mapping"][parent]["children"].remove(last)
        document["current_node"] = parent
        return json.dumps(document).encode()
    key = next(k for k in ("loglines", "chat_messages", "messages") if k in document)
    return _first(key, len(document[key]) - 1)(raw)


@pytest.mark.parametrize("name", EARLIER)
def test_the_order_of_arrival_of_three_does_not_matter(
    name: str, another: Callable[[], Road]
) -> None:
    whole = (SAMPLES / name).read_bytes()
    found = [EARLIER[name](whole), _without_the_last(name, whole), whole]
    stored = []
    for order in itertools.permutations(range(3)):
        road = another()
        for n in order:
            road.drop(f"{n}-{name}", found[n])
        records: list[dict[str, Any]] = []
        road.store.dump(None, records.append)
        stored.append([record for record in records if record["type"] == "message"])
    assert stored[0]
    for number, messages in enumerate(stored):
        for one, other in zip(messages, stored[0], strict=True):
            assert one == other, number


@pytest.mark.parametrize("name", EARLIER)
def test_every_normalised_field_comes_out_again(
    name: str, exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    whole = (SAMPLES / name).read_bytes()
    drop(name, whole)
    messages = [record for record in _dump(exportd) if record["type"] == "message"]
    parsed = formats.parse(whole, name).messages
    assert [m["content"] for m in messages] == [m.text for m in parsed]
    for record, message in zip(messages, parsed, strict=True):
        assert (record["role"], record["kind"]) == (message.role, message.kind)
        assert record["source_id"] == message.source_id
        assert record["metadata"].get("model") == message.model or "model" in message.extra
        assert record["metadata"].get("tokens") == message.tokens
        assert record["metadata"].get("parent_id") == message.parent_id
        at = message.occurred_at
        assert record["occurred_at"] == (at.isoformat() if at else None)
        for key, value in message.extra.items():
            assert record["metadata"][key] == value


def _account(*names: str) -> bytes:
    return b"[\n" + b",\n".join((SAMPLES / name).read_bytes() for name in names) + b"]\n"


def _zip(**files: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return raw.getvalue()


def test_an_account_export_is_as_many_conversations_as_it_holds(
    exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    first = drop("conversations.json", _account("claude-ai.json"))
    assert (first["fate"], first["new"]) == ("ingested", 10)
    both = _zip(
        conversations__json=_account("claude-ai.json", "chatgpt.json"), users__json=b"[{}]"
    )
    second = drop("data-2026-02-01.zip", both)
    assert (second["fate"], second["new"], second["total"]) == ("ingested", 6, 16), second
    assert "users.json" in second["reason"]
    known = drop("data-2026-02-01.zip", both)
    assert (known["fate"], known["new"], known["total"]) == ("duplicate_file", 0, 16)
    _verified(exportd)
    url = exportd.environment["EXPORTD_DATABASE_URL"]
    assert rows(url, "SELECT count(*) FROM conversations") == [(2,)]
    assert sorted(p.name for p in (exportd.memory_dir / "exports-archive").glob("[!.]*")) == [
        "conversations.json", "data-2026-02-01.zip", "manifest.jsonl",
    ]  # fmt: skip


def test_a_packed_file_is_what_is_in_it(
    exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    raw = (SAMPLES / "codex-jsonl.jsonl").read_bytes()
    packed = drop("rollout.jsonl.gz", gzip.compress(raw, mtime=0))
    assert (packed["fate"], packed["new"]) == ("ingested", 10)
    assert drop("rollout.jsonl", raw)["fate"] == "duplicate_file"
    _verified(exportd)
    done = exportd("reindex")
    assert done.returncode == 0, done.stdout + done.stderr
    _verified(exportd)


@pytest.mark.parametrize(
    "point",
    [
        "members.counted:2", "members.done", "parse.done:2", "store.written:2",
        "store.committed:1", "store.committed:2", "recheck.done", "archive.begin",
        "archive.noted",
    ],
)  # fmt: skip
def test_a_kill_between_two_members_loses_none_and_doubles_none(
    point: str, exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    (exportd.memory_dir / "exports").joinpath("conversations.json").write_bytes(
        _account("claude-ai.json", "chatgpt.json", "opencode.json")
    )
    os.utime(exportd.memory_dir / "exports" / "conversations.json", (1_770_000_000,) * 2)
    killed = exportd("run", "--once", EXPORTD_CRASH_AT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert exportd("run", "--once").returncode == 0
    url = exportd.environment["EXPORTD_DATABASE_URL"]
    found = rows(url, "SELECT sum(total_messages), count(*) FROM conversations")
    assert found == [(10 + 6 + 9, 3)]
    shown = exportd("stats").stdout
    assert "3 distinct exports" in shown
    _verified(exportd)


def test_a_damaged_member_costs_no_other(
    exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    broken = (SAMPLES / "claude-ai.json").read_bytes().replace(b'"human"', b'"human', 1)
    good = (SAMPLES / "chatgpt.json").read_bytes()
    other = (SAMPLES / "claude-ai.json").read_bytes().replace(b"0198c0de", b"0198c0df")
    other = other.replace(b"c1a0de00", b"c1a0de01")
    raw = b"[" + b",".join([good, broken, good.replace(b"6770aaaa", b"6770aaab")]) + b"]"
    report = drop("conversations.json", raw)
    assert (report["fate"], report["new"]) == ("ingested", 12), report
    assert drop("other.json", b"[" + b",".join([other, broken, other]) + b"]")["new"] == 10
    assert "could not be ingested" in report["reason"]
    listed = exportd("alerts", "list").stdout
    assert "A file could not be ingested" in listed
    _verified(exportd)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (_account("claude-ai.json")[:900], "not one of 1 conversation in this JSON list"),
        (_zip(notes__txt=b"nothing"), "no conversation export is in this zip archive"),
        (b"PK\x03\x04 cut off", "damaged or cut off"),
        (gzip.compress(b"hello", mtime=0)[:-9], "damaged or cut off"),
        (gzip.compress(bytes(50_000_000), mtime=0), "unfolds to more than"),
    ],
)
def test_a_container_without_a_conversation_is_a_dead_letter(
    raw: bytes, reason: str, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    report = drop("container.bin", raw)
    assert report["fate"] == "dead_letter"
    assert reason in report["reason"]


def test_a_damaged_line_is_set_aside_alone(
    exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    raw = (SAMPLES / "claude-code-jsonl.jsonl").read_bytes()
    report = drop("session.jsonl", raw[:-40])
    assert (report["fate"], report["new"]) == ("ingested", 11)
    assert any("could not be read" in a["message"] for a in report["anomalies"]), report
    url = exportd.environment["EXPORTD_DATABASE_URL"]
    assert rows(url, "SELECT original_name, reason, failed_name FROM dead_letters") == [
        ("session.jsonl, line 13", "not JSON (cut off or damaged)", None)
    ]
    assert drop("later.jsonl", raw)["new"] == 1
    _verified(exportd)


def test_a_message_whose_parent_is_missing_tells_of_a_loss_until_it_comes(
    exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    raw = (SAMPLES / "claude-code-jsonl.jsonl").read_bytes()
    lines = raw.splitlines(keepends=True)
    drop("late.jsonl", b"".join(lines[7:]))
    assert "Messages are missing before one" in exportd("alerts", "list").stdout
    assert "1 high" in exportd("stats").stdout
    drop("whole.jsonl", raw)
    assert "Messages are missing before one" not in exportd("alerts", "list").stdout
    assert "0 high" in exportd("stats").stdout
    found = [m["content"] for m in _dump(exportd) if m["type"] == "message"]
    assert found == [m.text for m in formats.parse(raw, "whole.jsonl").messages]


def test_a_checkpoint_summary_is_set_aside_without_alarm(
    exportd: Command, drop: Callable[[str, bytes], dict[str, Any]]
) -> None:
    report = drop("checkpoint.json", (SAMPLES / "checkpoint-summary.json").read_bytes())
    assert report["fate"] == "unchanged"
    assert "not a conversation" in report["reason"]
    assert exportd("alerts", "list").stdout == "No alert.\n"
