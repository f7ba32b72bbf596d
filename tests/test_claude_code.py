"""Claude Code: its hooks in its settings, and a hook run as it runs one: a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, Command, rows
from hypothesis import given
from hypothesis import strategies as st

from exportd.claude_code import carry_out, install, removal
from exportd.claude_settings import with_hooks, without_hooks
from exportd.errors import RefusedRequest

SESSION = "5b1f0c3e-1111-4c4c-8a8a-000000000001"
SAMPLE = (SAMPLES / "claude-code-jsonl.jsonl").read_bytes()
HOOK = f"{sys.executable} -P -m exportd.hook --memory-dir /m"
EVENTS = ("PreCompact", "SessionEnd")


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    """A session as Claude Code keeps it, with a sub-agent of either age, and a stranger."""
    project = tmp_path / "claude" / "projects" / "-home-ana-garden"
    own = project / SESSION / "subagents"
    own.mkdir(parents=True)
    agent = (SAMPLES / "claude-code-jsonl-agent.jsonl").read_bytes()
    (own / "agent-new1.jsonl").write_bytes(agent)
    first = json.loads(agent.split(b"\n")[0])
    (project / "agent-old2.jsonl").write_text(
        json.dumps({**first, "sessionId": SESSION}) + "\n"
    )
    (project / "agent-other.jsonl").write_text(json.dumps({**first, "sessionId": "x"}) + "\n")
    (project / f"{SESSION}.jsonl").write_bytes(SAMPLE)
    return project / f"{SESSION}.jsonl"


def fire(
    memory_dir: Path, stdin: bytes | dict[str, Any], *more: str, **environment: str
) -> str:
    """Run the hook in a hostile folder; it ends with 0 and says nothing to Claude."""
    hostile = memory_dir.parent / "hostile"
    hostile.mkdir(exist_ok=True)
    (hostile / "json.py").write_text("raise SystemExit(2)")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "exportd.hook", "--memory-dir", str(memory_dir), *more],
        input=stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode(),
        env={**os.environ, **environment},
        cwd=hostile, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert more or done.stdout == b""
    return (done.stdout + done.stderr).decode()


def event(transcript: Path, name: str = "PreCompact") -> dict[str, Any]:
    return {
        "session_id": SESSION, "transcript_path": str(transcript), "cwd": "/home/ana/garden",
        "hook_event_name": name, "trigger": "auto", "custom_instructions": None,
    }  # fmt: skip


def test_a_session_is_dropped_before_a_compaction_and_ingested(
    exportd: Command, transcript: Path
) -> None:
    exports = exportd.memory_dir / "exports"
    assert exportd("run", "--once").returncode == 0
    fire(exportd.memory_dir, event(transcript))
    names = [f"{SESSION}-agent-new1.jsonl", f"{SESSION}-agent-old2.jsonl", f"{SESSION}.jsonl"]
    assert sorted(path.name for path in exports.iterdir()) == names
    assert (exports / names[2]).read_bytes() == SAMPLE
    fire(exportd.memory_dir, event(transcript, "SessionEnd"))  # nothing has changed
    assert len(list(exports.iterdir())) == 3
    with transcript.open("ab") as file:  # a line, and half of another that is being written
        line = json.loads(SAMPLE.strip().split(b"\n")[-1])
        file.write(json.dumps({**line, "uuid": "new-1"}).encode() + b"\n" + b'{"type": "us')
    fire(exportd.memory_dir, event(transcript, "SessionEnd"))
    assert (exports / names[2]).read_bytes() == SAMPLE  # it waits and stays as it is
    grown = exports / f"{SESSION}_0002.jsonl"
    assert grown.read_bytes().endswith(b"}\n")
    done = exportd("run", "--once", "--json")
    fates = {one["name"]: one for one in json.loads(done.stdout)["files"]}
    assert fates[names[2]]["fate"] == fates[grown.name]["fate"] == "ingested"
    assert fates[grown.name]["new"] == 1
    url = exportd.environment["EXPORTD_DATABASE_URL"]
    ids = [row[0] for row in rows(url, "SELECT conversation_id FROM conversations")]
    assert fates[names[2]]["conversation_id"] in ids
    assert rows(url, "SELECT count(*) FROM dead_letters") == [(0,)]
    assert not (exportd.memory_dir / ".exportd" / "claude-code-hook.log").exists()


def test_after_answers_a_large_file_is_copied_when_it_grew_by_a_quarter(
    memory_dir: Path, transcript: Path
) -> None:
    exports, stop = memory_dir / "exports", event(transcript, "Stop")
    line = b'{"type": "user"}' + b" " * 100_000 + b"\n"
    transcript.write_bytes(line * 20)
    fire(memory_dir, stop)
    for count in (1, 3):
        with transcript.open("ab") as file:
            file.write(line * count)
        fire(memory_dir, stop)
        assert not (exports / f"{SESSION}_0002.jsonl").exists()
    with transcript.open("ab") as file:
        file.write(line * 2)
    fire(memory_dir, stop)
    assert (exports / f"{SESSION}_0002.jsonl").stat().st_size == 26 * len(line)
    with transcript.open("ab") as file:
        file.write(line)
    fire(memory_dir, event(transcript, "SessionEnd"))
    assert (exports / f"{SESSION}_0003.jsonl").exists()


def test_whatever_is_wrong_claude_is_not_kept_and_the_log_tells(
    memory_dir: Path, transcript: Path
) -> None:
    (memory_dir / ".exportd").mkdir()
    log = memory_dir / ".exportd" / "claude-code-hook.log"
    link, pipe = transcript.parent / "link.jsonl", transcript.parent / "pipe.jsonl"
    link.symlink_to(transcript)
    os.mkfifo(pipe)
    wrong: list[bytes | dict[str, Any]] = [
        b"", b"[1]", b"\xff", b"{}", {"transcript_path": "/none/x.jsonl"},
        {"transcript_path": "/etc/passwd"}, {"transcript_path": str(link)},
        {"transcript_path": str(pipe), "session_id": "../../x"},
        {"transcript_path": str(transcript.parent)}, {"transcript_path": "a\nb\x1b.jsonl"},
    ]  # fmt: skip
    for number, stdin in enumerate(wrong, 1):
        if isinstance(stdin, dict):
            stdin["hook_event_name"] = "SessionEnd"
        fire(memory_dir, stdin)
        assert len(log.read_text().splitlines()) == number, stdin
    assert "is no regular file" in log.read_text()
    assert log.read_text().isascii()
    assert "\x1b" not in log.read_text()
    assert list((memory_dir / "exports").iterdir()) == []
    stale = memory_dir / "exports" / ".exportd-hook-0.tmp"
    stale.touch()
    os.utime(stale, (time.time() - 9_999,) * 2)
    away = memory_dir.parent / "away"
    assert "is no folder" in fire(away, event(transcript))
    assert not away.exists()
    root = str(transcript.parents[2])
    said = fire(memory_dir, b"", "--session", SESSION, CLAUDE_CONFIG_DIR=root)
    assert said.startswith(f"Handed to exportd: {SESSION}.jsonl")
    assert not stale.exists()
    assert "Nothing has changed" in fire(
        memory_dir, b"", "--session", SESSION, CLAUDE_CONFIG_DIR=root
    )
    assert "not told which" in fire(memory_dir, b"", "--session", "")


MINE = {"type": "command", "command": "echo mine"}
TEXTS = st.builds(
    json.dumps,
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.text(max_size=5),
            "hooks": st.dictionaries(
                st.sampled_from([*EVENTS, "Stop"]),
                st.lists(st.fixed_dictionaries({"hooks": st.lists(st.just(MINE), max_size=2)}),
                         max_size=2),
            ),
            "env": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        },
    ),
    indent=st.sampled_from([None, 1, 2, 4, "\t"]),
    ensure_ascii=st.booleans(),
)  # fmt: skip


@given(TEXTS, st.sampled_from(["", "\n", "  \n\n"]), st.sampled_from(["\n", "\r\n"]))
def test_what_was_put_into_settings_comes_out_to_the_byte(
    text: str, end: str, newline: str
) -> None:
    text = (text + end).replace("\n", newline)
    after, made = with_hooks(text, EVENTS, HOOK)
    found = json.loads(after)
    assert [found["hooks"][name][-1]["hooks"][0]["command"] for name in EVENTS] == [HOOK] * 2
    assert without_hooks(after, made) == text
    assert without_hooks(text, None) == text
    before = json.loads(text)
    assert {k: v for k, v in found.items() if k != "hooks"} == {
        k: v for k, v in before.items() if k != "hooks"
    }


def integrate(exportd: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exportd", "integrate", "claude-code", *arguments],
        cwd=exportd.memory_dir.parent,
        env={**exportd.environment, "HOME": str(exportd.memory_dir.parent / "home")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_integration_is_shown_asked_for_repeatable_and_reversible(exportd: Command) -> None:
    root = exportd.memory_dir.parent
    settings = root / ".claude" / "settings.json"
    assert integrate(exportd).returncode == os.EX_USAGE  # nobody was asked
    shown = integrate(exportd, "--dry-run")
    assert (shown.returncode, settings.exists()) == (0, False)
    assert "+++ " in shown.stdout
    assert integrate(exportd, "--yes").returncode == 0
    hooks = json.loads(settings.read_text())["hooks"]
    assert set(hooks) == set(EVENTS)
    assert str(exportd.memory_dir) in hooks["PreCompact"][0]["hooks"][0]["command"]
    assert "Stop" in integrate(exportd, "--yes", "--every-answer").stdout
    hooks = json.loads(settings.read_text())["hooks"]
    assert set(hooks) == {*EVENTS, "Stop"}
    hostile = root / "hostile"
    hostile.mkdir()
    (hostile / "json.py").write_text("raise SystemExit(2)")
    shell = ["sh", "-c", hooks["Stop"][0]["hooks"][0]["command"]]  # as Claude Code runs it
    subprocess.run(shell, input=b"{}", cwd=hostile, check=True)
    assert (
        "transcript_path"
        in (exportd.memory_dir / ".exportd" / "claude-code-hook.log").read_text()
    )
    assert integrate(exportd, "--remove", "--yes").returncode == 0
    assert not (root / ".claude").exists()
    assert integrate(exportd, "--user", "--yes").returncode == 0
    assert (root / "home" / ".claude" / "commands" / "export-dedup.md").exists()


def test_settings_of_others_stay_and_what_is_broken_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ".claude"
    settings, command = folder / "settings.json", folder / "commands" / "export-dedup.md"
    folder.mkdir()
    mine = '{"model":"opus",\n    "hooks": {"PreCompact": []} }'
    settings.write_text(mine)
    settings.chmod(0o640)
    carry_out(install(folder, "settings.json", tmp_path, every_answer=False))
    assert settings.stat().st_mode & 0o777 == 0o640
    assert install(folder, "settings.json", tmp_path, every_answer=False) == []
    with pytest.raises(RefusedRequest, match=r"installed in settings.json; take it out"):
        install(folder, "settings.local.json", tmp_path, every_answer=False)
    planned = removal(folder, "settings.json")
    settings.write_text(settings.read_text().replace("opus", "haiku"))
    with pytest.raises(RefusedRequest, match="changed since it was shown"):
        carry_out(planned)
    carry_out(removal(folder, "settings.json"))
    assert settings.read_text() == mine.replace("opus", "haiku")
    assert not command.exists()
    for wrong, why in (
        ('{"hooks": {},}', "is not JSON: .* in line 1, column 14"), ("[]", "a JSON object"),
        ('{"a": 1, "a": 2}', "stands twice"), ('{"hooks": {"Stop": 1}}', "an object of lists"),
    ):  # fmt: skip
        settings.write_text(wrong)
        with pytest.raises(RefusedRequest, match=why):
            install(folder, "settings.json", tmp_path, every_answer=False)
        assert settings.read_text() == wrong
    settings.unlink()
    settings.symlink_to(settings.name)
    with pytest.raises(RefusedRequest, match="symbolic links"):
        install(folder, "settings.json", tmp_path, every_answer=False)
    settings.unlink()
    command.parent.mkdir()
    command.write_text("mine")
    with pytest.raises(RefusedRequest, match="not of exportd"):
        install(folder, "settings.json", tmp_path, every_answer=False)
    with pytest.raises(RefusedRequest, match="such a sign"):
        install(tmp_path / "x", "settings.json", tmp_path / "`a`", every_answer=False)
