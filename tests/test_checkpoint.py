"""``exportd checkpoint``: in a real repository, with a real git, on a real memory folder."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import EXAMPLES, Command
from schemas import conforming

from exportd.project import write_new
from exportd.render.inline import code, link, plain
from exportd.render.readme import with_reference
from exportd.standing import Mark, file_name, last_mark
from exportd.tasks import is_task_list, tasks_in

SCRIPT = Path(__file__).parent.parent / "docs" / "how-to" / "samples" / "create_checkpoint.py"
NOW = datetime(2025, 11, 17, 12, tzinfo=UTC)


@pytest.fixture
def project(exportd: Command) -> Path:
    """A repository with one commit; git asks nobody who we are."""
    root = exportd.memory_dir.parent
    exportd.environment |= {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "ana"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    git(exportd, "init", "-q", "-b", "main")
    (root / "README.md").write_bytes(b"# Garden\r\n\r\nplants")
    (root / "TODO.md").write_text("- [ ] sow **now**\n- [x] dig\n```\n- [ ] no task\n```\n")
    git(exportd, "add", "README.md", "TODO.md")
    git(exportd, "commit", "-q", "-m", "begin")
    return root


def git(exportd: Command, *arguments: str) -> str:
    root = exportd.memory_dir.parent
    return subprocess.run(
        ["git", *arguments], cwd=root, env=exportd.environment, check=True, capture_output=True,
        encoding="utf-8", errors="surrogateescape",
    ).stdout  # fmt: skip


def take(exportd: Command, *arguments: str, code: int = 0) -> dict[str, object]:
    root = str(exportd.memory_dir.parent)
    done = exportd("checkpoint", "--project-root", root, "--json", *arguments)
    assert done.returncode == code, done.stderr + done.stdout
    found: dict[str, object] = conforming("checkpoint", done.stdout)
    return found


def test_a_checkpoint_tells_git_tasks_and_exports_and_is_committed_alone(
    exportd: Command, project: Path
) -> None:
    for example in EXAMPLES.iterdir():
        (exportd.memory_dir / "exports" / example.name).write_bytes(example.read_bytes())
    for name in ("old-name.md", "gone.md"):
        (project / name).write_text(f"# A page of some length that is called {name}\n")
    git(exportd, "add", "*.md")
    git(exportd, "commit", "-q", "-m", "pages")
    git(exportd, "mv", "old-name.md", "new-name.md")
    (project / "gone.md").unlink()
    (project / "TODO.md").write_text((project / "TODO.md").read_text() + "\n")
    (project / "staged.txt").write_text("mine")
    git(exportd, "add", "staged.txt")
    hostile = project / 'a"b|`c`\n[x](y).txt'
    hostile.touch()
    found = take(exportd, "Sprint ../ done 🌱", "--commit")
    file = project / str(found["file"])
    assert file.parent == exportd.memory_dir / "checkpoints"
    assert file.name.endswith("Z-Sprint-done.md")
    text = file.read_text()
    assert "4 exports with 47 messages, 34 new and 13 duplicates filtered" in text
    assert "[garden-planner](../sessions/garden-planner.md): 30 messages" in text
    assert "- [ ] sow \\*\\*now\\*\\* (`TODO.md:1`)" in text
    assert "no task" not in text
    assert '- untracked: ``a"b|`c`\\n[x](y).txt``\n' in text
    assert "- new: `staged.txt`\n" in text
    assert "- modified: `TODO.md`\n" in text
    assert "- renamed: `new-name.md`\n" in text
    assert "- deleted: `gone.md`\n" in text
    assert git(exportd, "show", "--name-only", "--format=%s").split("\n")[0:1] == [
        "Checkpoint: Sprint ../ done 🌱"
    ]
    assert found["committed"] == [found["file"], "README.md"]
    changed = git(exportd, "show", "-z", "--name-only", "--format=").split("\0")
    assert sorted(filter(None, changed)) == sorted(map(str, found["committed"]))
    assert git(exportd, "diff", "--cached", "--name-only") == "new-name.md\nstaged.txt\n"
    line = f"MEMORY-CONTEXT/checkpoints/{file.name})"
    readme = (project / "README.md").read_bytes()
    assert readme.startswith(b"# Garden\r\n\r\nplants\r\n\r\n## Checkpoints\r\n\r\n- [")
    assert line in readme.decode()

    again = take(exportd, "Next", "--commit", "--with-sessions")
    assert again["since"] is not None
    assert (again["totals"], again["exports"]) == (
        {"exports": 0, "total_messages": 0, "new_messages": 0, "duplicates_filtered": 0,
         "duplicates_pct": None}, [],
    )  # fmt: skip
    assert [one["subject"] for one in again["git"]["commits"]] == [  # type: ignore[index]
        "Checkpoint: Sprint ../ done 🌱"
    ]
    assert "MEMORY-CONTEXT/sessions/garden-planner.md" in again["committed"]  # type: ignore[operator]
    assert (project / "README.md").read_bytes().count(b"## Checkpoints") == 1


def test_what_git_refuses_is_told_and_nothing_is_lost(exportd: Command, project: Path) -> None:
    hook = project / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    (project / "README.md").write_text("# Garden\n\nunfinished words of mine\n")
    found = take(exportd, "Refused", "--commit", code=os.EX_DATAERR)
    assert "not today" in str(found["commit_trouble"])
    assert [one["path"] for one in found["left_out"]] == ["README.md"]  # type: ignore[attr-defined]
    assert (project / str(found["file"])).exists()
    assert git(exportd, "diff", "--cached", "--name-only") == ""
    hook.unlink()
    (project / ".gitignore").write_text("MEMORY-CONTEXT/\n")
    outside = project.parent / f"{project.name}-outside.md"
    outside.write_text("not ours")
    (project / "README.md").unlink()
    (project / "README.md").symlink_to(outside)
    ignored = take(exportd, "Ignored", "--commit", code=os.EX_DATAERR)
    assert "ignore" in str(ignored["commit_trouble"])
    assert ignored["readme"] is None
    assert outside.read_text() == "not ours"
    assert git(exportd, "log", "--format=%s") == "begin\n"


@pytest.mark.parametrize(
    "target", [".git/config", "MEMORY-CONTEXT/exports-archive/a.md", "Makefile", "README.md"]
)
def test_a_readme_that_leads_to_what_is_none_stays_as_it_is(
    exportd: Command, project: Path, target: str
) -> None:
    (project / "README.md").unlink()
    (project / "README.md").symlink_to(target)
    if target != "README.md":  # a loop
        (project / target).parent.mkdir(parents=True, exist_ok=True)
        before = (project / target).read_text() if (project / target).exists() else ""
        (project / target).write_text(f"{before}# it\n")
    found = take(exportd, "Hostile")
    assert found["readme"] is None
    assert "README.md is" in str(found["readme_trouble"])
    if target != "README.md":
        assert (project / target).read_text().endswith("# it\n")


def test_ten_thousand_files_hostile_settings_and_a_git_hook_around_us(
    exportd: Command, project: Path
) -> None:
    marker = project / "monitor-ran"
    git(exportd, "checkout", "-q", "--detach")
    git(exportd, "config", "core.fsmonitor", f"touch {marker}; false")
    for number in range(10_000):
        (project / f"{number}.txt").touch()
    exportd.environment |= {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index"}
    found = take(exportd, "Many")
    text = (project / str(found["file"])).read_text()
    assert "On no branch (detached)" in text
    assert "- … and 9," in text
    assert len(text) < 20_000
    assert not marker.exists()


def test_it_works_without_a_repository_and_tells_what_waits_and_what_was_set_aside(
    exportd: Command,
) -> None:
    exports = exportd.memory_dir / "exports"
    (exports / "notes.txt").write_text("nothing of ours")
    found = take(exportd, "No git", code=os.EX_DATAERR)
    assert found["git"] is None
    assert "not a git repository" in str(found["git_trouble"])
    assert (exportd.memory_dir.parent / "README.md").read_text().startswith("# ")
    (exports / "empty.txt").touch()
    plain_text = exportd(
        "checkpoint", "x", "--project-root", str(exportd.memory_dir.parent), PATH="/nowhere"
    )
    assert plain_text.returncode == os.EX_TEMPFAIL
    assert "Waits: empty.txt: it is empty" in plain_text.stdout
    assert "Git: git is not installed" in plain_text.stdout
    (exports / "empty.txt").unlink()
    exportd.environment["EXPORTD_DATABASE_URL"] = "postgresql://localhost:1/none"
    away = take(exportd, "No database", code=os.EX_TEMPFAIL)
    assert away["exports"] is None
    assert (exportd.memory_dir.parent / str(away["file"])).exists()
    assert exportd("checkpoint", " ").returncode == os.EX_USAGE


def test_a_daemon_in_the_folder_is_waited_for(exportd: Command, project: Path) -> None:
    with exportd.running():
        for example in EXAMPLES.iterdir():
            (exportd.memory_dir / "exports" / example.name).write_bytes(example.read_bytes())
        found = take(exportd, "With a daemon")
        assert found["totals"]["new_messages"] == 34  # type: ignore[index]
        assert found["waiting"] == []


def test_the_sample_script_shows_both_uses(exportd: Command, project: Path) -> None:
    example = EXAMPLES / "2026-01-12-EXPORT-GARDEN-PLANNER.txt"
    done = subprocess.run(
        [sys.executable, SCRIPT, "Sprint complete", "--export", example, "--commit"],
        cwd=project, env=exportd.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "New messages: 13" in done.stdout
    assert "Committed as" in done.stdout
    notes = project / "notes.txt"
    notes.write_text("nothing of ours")
    done = subprocess.run(
        [sys.executable, SCRIPT, "x", "--export", notes],
        cwd=project, env=exportd.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no conversation export" in done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"## Checkpoints\n\n- new\n"),
        (b"text", b"text\n\n## Checkpoints\n\n- new\n"),
        (
            b"# A\n\n## Checkpoints\n\n- old\n\n## B\n",
            b"# A\n\n## Checkpoints\n\n- new\n- old\n\n## B\n",
        ),
        (b"Checkpoints\n---\nwords\n", b"Checkpoints\n---\n\n- new\n\nwords\n"),
        (b"# Checkpoints #", b"# Checkpoints #\n\n- new\n"),
        (b"```\n# Checkpoints\n```\n", b"```\n# Checkpoints\n```\n\n## Checkpoints\n\n- new\n"),
        (b"# Checkpoints\r\n\r\n\xff", b"# Checkpoints\r\n\r\n- new\r\n\r\n\xff"),
    ],
)  # fmt: skip
def test_the_reference_stands_under_its_heading_and_once(before: bytes, after: bytes) -> None:
    assert with_reference(before, b"- new") == after
    assert with_reference(after, b"- new") == after


def test_names_titles_and_marks_are_safe(tmp_path: Path) -> None:
    assert [write_new(tmp_path, "a.md", text).name for text in "xyz"] == [
        "a.md", "a-2.md", "a-3.md",
    ]  # fmt: skip
    assert (tmp_path / "a.md").read_text() == "x"
    assert len(list(tmp_path.iterdir())) == 3
    assert file_name("Sprint Complete", NOW) == "2025-11-17T12-00-00Z-Sprint-Complete.md"
    assert file_name("../../etc 🎉", NOW) == "2025-11-17T12-00-00Z-etc.md"
    assert file_name("🎉", NOW) == "2025-11-17T12-00-00Z-checkpoint.md"
    assert len(file_name("ä" * 999, NOW).encode()) < 160
    assert plain("<b>*x*\n[a](b)") == r"\<b\>\*x\*\\n\[a\](b)"
    assert code("a``b`") == "``` a``b` ```"
    assert link("a]", "x y/ü.md") == r"[a\]](x%20y/%C3%BC.md)"
    name = "2025-11-17T12-00-00Z-x.md"
    head = "a" * 40
    mark = f"<!-- exportd checkpoint: head={head} until=2025-11-17T12:00:05+00:00 -->\n"
    assert last_mark(name, mark) == Mark(head, NOW.replace(second=5))
    assert last_mark(name, "rewritten by hand") == Mark("", NOW)
    assert last_mark("notes.md", mark) is None
    assert all(map(is_task_list, ("TODO.md", "V2-TASKLIST.md", "tasks-1.md")))
    assert not any(map(is_task_list, ("mytodo.md", "TODO.txt", "tasksmith.md")))
    tasks = tasks_in("* [x] a\n  1. [ ] b\n- [] no\n~~~\n- [ ] no\n~~~~\n> - [X] c\n")
    assert [(task.title, task.is_done, task.line) for task in tasks] == [
        ("a", True, 1), ("b", False, 2), ("c", True, 7),
    ]  # fmt: skip
