"""The reading commands: sessions, show, log, and what status says of files that wait."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import EXAMPLES, SAMPLES, Command, execute, wait_until
from psycopg2.extensions import make_dsn
from schemas import conforming

from exportd.listed import Session
from exportd.models import Risk, StoredConversation, StoredMessage, StoredSegment
from exportd.overview import Overview, Waiting
from exportd.render.overview import overview
from exportd.render.sessions import table
from exportd.render.show import conversation_text
from exportd.reports import Wanted, reports
from exportd.statuslog import read_lines
from exportd.waiting import Patience, late_files, survey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NATIVE = "claude-code-jsonl.jsonl"


@pytest.fixture(scope="module")
def desk(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A memory folder with a few conversations; what is asked of it changes nothing."""
    for variable in [one for one in os.environ if one.startswith("EXPORTD_")]:
        del os.environ[variable]  # as conftest does, which comes later
    name = f"exportd_{uuid.uuid4().hex[:12]}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE exportd_template")
    memory = tmp_path_factory.mktemp("desk") / "MEMORY-CONTEXT"
    (memory / "exports").mkdir(parents=True)
    for number, path in enumerate([*sorted(EXAMPLES.iterdir()), SAMPLES / NATIVE]):
        shutil.copy(path, memory / "exports")
        at = (NOW - timedelta(days=30 - number)).timestamp()
        os.utime(memory / "exports" / path.name, (at, at))
    (memory / "exports" / "build.log").write_text("make: nothing to be done\n")
    command = Command(memory, make_dsn(server_url, dbname=name))
    assert command("run", "--once").returncode == 0
    yield command
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_sessions_are_listed_the_newest_first_and_filtered(desk: Command) -> None:
    found = conforming("sessions", desk("sessions", "--json").stdout)["sessions"]
    newest = [one["last_at"] or one["exported_at"] for one in found]
    assert newest == sorted(newest, reverse=True)
    by_id = {one["conversation_id"]: one for one in found}
    garden = by_id["garden-planner"]
    assert (garden["segments"], garden["risk"]["level"]) == (2, "medium")
    assert garden["last_export"] == "2026-01-14-EXPORT-GARDEN-PLANNER.txt"
    assert by_id["sourdough"]["title"] == "Sourdough for beginners"
    (native,) = (one for one in found if one["formats"] == ["claude-code-jsonl"])
    assert native["first_at"] < native["last_at"]
    (project,) = native["projects"]
    for options, expected in (
        (("list", "--format", "indexed-json"), ["sourdough"]),
        (("--risk", "medium"), ["garden-planner"]),
        (("--project", Path(project).name), [native["conversation_id"]]),
        (("--limit", "1"), [found[0]["conversation_id"]]),
    ):
        told = json.loads(desk("sessions", *options, "--json").stdout)["sessions"]
        assert [one["conversation_id"] for one in told] == expected, options
    assert desk("sessions", "--since", "2999-01-01").stdout == "No conversation.\n"
    plain = desk("sessions").stdout
    assert all(one["conversation_id"] in plain for one in found)
    wrong = desk("sessions", "--json", "history")
    assert wrong.returncode == os.EX_USAGE
    assert "options stand behind the command" in wrong.stderr


def test_a_list_fits_into_80_columns_and_its_ids_stay_whole() -> None:
    name = "a-conversation-" * 4
    one = Session(
        name, "\x1b[31m" + "title " * 30, 10, 1, NOW, NOW, ("indexed-json",), (), NOW, "x" * 200
    )
    lines = table([one], 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.strip() == name for line in lines)
    assert "\x1b" not in table([one])
    assert "x" * 200 in table([one])


def test_a_project_is_a_directory_by_its_name_or_path() -> None:
    one = Session("a", "", 1, 1, None, None, (), ("/srv/garden/", "~/x"), None, None)
    assert [one.is_of(p) for p in ("garden", "/srv/garden", "x", "srv", "/srv", "ard")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


def test_decisions_and_suggestions_are_told_to_programs(
    exportd: Command, memory_dir: Path
) -> None:
    shutil.copy(EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt", memory_dir / "exports")
    shutil.copy(EXAMPLES / "2026-01-12-EXPORT-SOURDOUGH.json", memory_dir / "exports")
    exportd("run", "--once")
    done = exportd("sessions", "rename", "sourdough", "bread", "--json")
    found = conforming("sessions-decision", done.stdout)
    assert found["changed"] == ["bread", "sourdough"]
    assert [(d["decision"], d["operation"]) for d in found["decisions"]] == [(1, "rename")]
    merged = exportd("sessions", "merge", "bread", "--into", "garden-planner", "--json")
    assert conforming("sessions-decision", merged.stdout)["decisions"][0]["from_id"] == "bread"
    undone = conforming("sessions-decision", exportd("sessions", "undo", "2", "--json").stdout)
    assert undone["decisions"][0]["undone_at"]
    refused = exportd("sessions", "undo", "2", "--json")
    assert (refused.returncode, refused.stdout) == (os.EX_USAGE, "")
    told = conforming("sessions-history", exportd("sessions", "history", "--json").stdout)
    assert [one["decision"] for one in told] == [1, 2]
    assert conforming("sessions-suggest", exportd("sessions", "suggest", "--json").stdout) == []


def test_a_conversation_is_shown_whole_or_in_part(desk: Command) -> None:
    whole = conforming("show", desk("show", "garden-planner", "--json").stdout)
    indices = [message["index"] for message in whole["messages"]]
    assert indices == list(range(30))
    last = json.loads(
        desk("show", "garden-planner", "--last", "2", "--role", "user", "--json").stdout
    )
    said = [message for message in whole["messages"] if message["role"] == "user"]
    assert last["messages"] == said[-2:]
    around = json.loads(desk("show", "garden-planner", "--around", "2", "--json").stdout)
    assert [message["index"] for message in around["messages"]] == list(range(8))
    text = desk("show", "garden-planner", "--around", "22", "--kind", "prompt").stdout
    assert [line for line in text.splitlines() if "#" in line] == ["User  #23"]
    text = desk("show", "garden-planner", "--around", "22").stdout
    assert "── Segment 2 of 2, which begins after a compaction ──" in text
    assert "\x1b" not in text
    beyond = desk("show", "garden-planner", "--around", "30")
    assert beyond.returncode == os.EX_USAGE
    assert "numbered from 0 to 29" in beyond.stderr
    unknown = desk("show", "gardenplanner")
    assert unknown.returncode == os.EX_USAGE
    assert "did you mean garden-planner" in unknown.stderr
    assert desk("show", "sourdough", "--last", "1", "--around", "1").returncode == os.EX_USAGE


def conversation(*messages: StoredMessage) -> StoredConversation:
    return StoredConversation(
        "a\x1b[2J", NOW, NOW, "", 1, 2, 0, (), (StoredSegment(0, 0, 2, False, ("a.txt",)),),
        messages, {"user": 1, "tool": 1}, title="t\x07", risk=Risk(),
    )  # fmt: skip


def test_what_a_message_says_does_not_act_on_the_terminal() -> None:
    messages = (
        StoredMessage(0, "user", "prompt", "hi\x1b]0;owned\x07\r\nthere\u202e", NOW, {}),
        StoredMessage(
            1, "tool", "tool_result", "1\n2\n3\n4\n" + "5" * 900, None, {"tool": "\x1b"}
        ),
    )
    of = conversation(*messages)
    text = "".join(conversation_text(of, of.messages, colourful=False))
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text)
    assert "User  #0  2026-03-01 00:00 UTC\nhi\\x1b]0;owned" in text
    assert "    3\n    … 2 more lines\n" in text
    assert "5555" not in text
    assert "\x1b[1;36mUser" in "".join(conversation_text(of, of.messages, colourful=True))


@pytest.mark.skipif(not shutil.which("less"), reason="no less here")
def test_what_fits_on_the_screen_is_printed_and_the_pager_ends(desk: Command) -> None:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in desk.environment.items() if name != "LESS"}
    subprocess.run(
        [sys.executable, "-m", "exportd", "show", "sourdough", "--last", "1"],
        env={**environment, "PAGER": "less", "TERM": "xterm", "LINES": "60", "COLUMNS": "80"},
        stdin=theirs, stdout=theirs, stderr=theirs, timeout=30, check=True,
        start_new_session=True,
    )  # fmt: skip
    told = os.read(ours, 65_536).decode()
    assert "sourdough" in told
    assert "\x1b[?1049h" not in told  # no screen of its own
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1\n2\n3\n… +12 lines (ctrl+o to expand)", "    3\n    … 12 more lines\n"),
        ("1\n2\n3\n4\n… +12 lines", "    3\n    … 13 more lines\n"),
        ("1\n  … +1 line (ctrl+o to expand)\n", "    1\n    … 1 more line\n"),
        ("1\n… +x lines", "    1\n    … +x lines\n"),
    ],
)
def test_lines_that_the_export_left_out_are_counted_as_it_says(text: str, told: str) -> None:
    of = conversation(StoredMessage(0, "tool", "tool_result", text, None, {}))
    shown = "".join(conversation_text(of, of.messages, colourful=False))
    assert shown.endswith(told)
    assert shown.count("…") == 1


def test_the_status_log_is_searched_by_report(desk: Command) -> None:
    found = conforming("log", desk("log", "--json").stdout)["reports"]
    assert [report["status"] for report in found] == ["failed"]
    files = {file["name"]: file for file in found[0]["files"]}
    garden = files["2026-01-13-EXPORT-GARDEN-PLANNER.txt"]
    assert (garden["sessions"], garden["messages"], garden["new"]) == (
        ["garden-planner"],
        21,
        8,
    )
    assert files["build.log"]["kept_as"] == "exports-failed/build.log"
    whole = (desk.memory_dir / "export-dedup-status.txt").read_text()
    assert desk("log", "--status", "failed", "--file", "build*").stdout == whole.removesuffix(
        "\n"
    )
    none = desk("log", "--status", "success")
    assert (none.returncode, none.stdout) == (0, "")
    assert "no report matches" in none.stderr
    assert desk("log", "--since", "yesterday").returncode == os.EX_USAGE


def test_rotated_logs_are_read_in_order_and_what_was_cut_off_is_kept(tmp_path: Path) -> None:
    def report(day: int, name: str, status: str) -> str:
        rule = "=" * 80
        return (
            f"{rule}\nEXPORT-DEDUP EXECUTION REPORT\n{rule}\n"
            f"Started: 2026-01-{day:02}T10:00:00 UTC\n{rule}\n\n"
            f"✓ unchanged: {name} (1.2 KB)\n    Sessions: a, b and 3 more\n"
            f"    Why: Status: ❌ FAILED\n\nStatus: {status}\n{rule}\n\n"
        )

    log = tmp_path / "log.txt"
    log.write_text("no report\n" + report(3, "c (5 KB).txt", "⚠ PARTLY (a part)"))
    (tmp_path / "log.txt.2").write_bytes(report(1, "a.txt", "✅ SUCCESS").encode() + b"\xff")
    (tmp_path / "log.txt.10").write_text(report(1, "oldest", "✅ SUCCESS")[:200])
    (tmp_path / "log.txt.old").write_text(report(9, "no", "✅ SUCCESS"))
    found = list(reports(read_lines(log)))
    assert [one.status for one in found] == [None, "success", "partly"]
    assert [file.name for one in found for file in one.files] == ["a.txt", "c (5 KB).txt"]
    assert found[1].files[0].sessions == ("a", "b")
    fitting = Wanted(name="c*", session="b", since=datetime(2026, 1, 2, tzinfo=UTC))
    assert [fitting.fits(one) for one in found] == [False, False, True]


def test_status_says_why_each_of_the_oldest_files_waits(desk: Command) -> None:
    assert conforming("status", desk("status", "--json").stdout)["waiting"]["files"] == 0
    exports = desk.memory_dir / "exports"
    with desk.running() as daemon:
        (exports / "empty.txt").touch()
        (exports / "lonely.txt.session").write_text("mine\n")
        with (exports / "written.txt").open("w") as file:
            file.write("> hi")
            file.flush()
            time.sleep(0.3)
            found = conforming("status", desk("status", "--json").stdout)
            text = desk("status").stdout
        reasons = {one["name"]: one["reason"] for one in found["waiting"]["oldest"]}
        assert reasons == {
            "empty.txt": "it is empty; it becomes a dead letter when 10 minutes old",
            "lonely.txt.session": "lonely.txt, its export, has not come yet; it becomes a dead "
            "letter when 10 minutes old",
            "written.txt": "a program has it open for writing",
        }
        assert (found["waiting"]["files"], found["waiting"]["sidecars"]) == (2, 1)
        assert found["process"]["pid"] == daemon.pid
        assert found["watch_roots"] == [str(exports)]
        assert f"watches {exports} and what is below it" in text
        assert "2 files waiting" in text
        wait_until(lambda: not (exports / "written.txt").exists())
    for path in exports.iterdir():
        path.unlink()


def test_what_may_wait_is_late_only_after_its_time(memory_dir: Path) -> None:
    """An empty file is due when ``empty_timeout`` is over, not before, and not never."""
    exports, patience = memory_dir / "exports", Patience(1, 600)
    for name, text in (("empty.txt", ""), ("lonely.txt.session", "x"), ("a.txt", "x")):
        (exports / name).write_text(text)
    (exports / "a.txt.session").write_text("with its file")

    def late(age_s: float) -> int:
        time_before, time.time = time.time, lambda: time_before() + age_s
        try:
            return late_files(exports, patience, 300)
        finally:
            time.time = time_before

    assert [late(age) for age in (0, 299, 301, 899, 901)] == [0, 0, 2, 2, 4]
    found = survey(exports, patience, 0, "its turn has not come yet", 2)
    assert (found.files, found.sidecars, len(found.oldest)) == (2, 2, 2)


def test_where_no_memory_folder_is_nothing_is_said_to_be_dropped_into_it(
    desk: Command, tmp_path: Path
) -> None:
    done = desk("status", EXPORTD_MEMORY_DIR=str(tmp_path / "nowhere"))
    assert "✗ Memory folder there is none of this name" in done.stdout
    assert "exports/" not in done.stdout
    assert "make the folder and start in it: exportd run" in done.stdout
    assert not (tmp_path / "nowhere").exists()
    bare = Overview("/m", "/m/exports", None, Waiting(), (), (), (), (), None, is_folder=False)
    assert "Nothing to do" not in overview(bare, NOW)
