"""What exportd says of itself: --help, exit codes, completion in a shell, the manual page."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from conftest import Command
from pages.commands import all_commands

import exportd as package
from exportd.cli import _ERRORS, cli
from exportd.commands import COMMANDS, PURPOSES, by_purpose
from exportd.exit_codes import EXIT_CODES
from exportd.render.man import manual

PROGRAM = Path(sys.executable).with_name("exportd")
WIDTH = 80


def helped(name: str) -> str:
    """``name --help`` on a terminal of 80 columns."""
    _, *words = name.split()
    result = CliRunner().invoke(
        cli, [*words, "--help"], prog_name="exportd", terminal_width=WIDTH
    )
    assert result.exit_code == 0, result.output
    return result.output


EVERY = ["exportd", *(name for name, _ in all_commands())]


@pytest.mark.parametrize("name", EVERY)
def test_help_fits_80_columns_and_cuts_no_summary(name: str) -> None:
    for line in helped(name).splitlines():
        assert len(line) <= WIDTH, line
        assert not re.fullmatch(r"  \S+ .*\w\.\.\.", line), line


@pytest.mark.parametrize("name", EVERY)
def test_help_has_examples_and_they_are_commands(name: str) -> None:
    examples = re.findall(r"^  +(?:.*\$\()?(exportd .*)", helped(name), re.MULTILINE)
    assert examples, f"{name} --help shows no example"
    for example in examples:
        _accepts(shlex.split(re.split(r"  +|[|>]|\)\"|\\$", example)[0])[1:])


def _accepts(words: list[str]) -> None:
    """These are options and commands of exportd; ``UsageError`` when one is not."""
    command: click.Command = cli
    while isinstance(command, click.Group) and "COMMAND" not in words:
        context = click.Context(command, info_name="exportd")
        _, words, _ = command.make_parser(context).parse_args(words)
        if not words:
            return
        _, found, words = command.resolve_command(context, words)
        assert found is not None, words
        command = found
    context = click.Context(command, **command.context_settings)
    command.make_parser(context).parse_args(words)


def test_every_command_stands_once_under_a_purpose() -> None:
    listed = [name for _, names in by_purpose() for name in names]
    assert sorted(listed) == sorted(COMMANDS)
    told = helped("exportd")
    for purpose, names in by_purpose():
        section = told.partition(f"{purpose}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines() if line[2] != " "] == names


def test_a_command_without_a_purpose_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exportd.commands.COMMANDS", ("new", "run"))
    assert list(by_purpose()) == [(PURPOSES[0][0], ["run"]), ("Others", ["new"])]


# -- exit codes -------------------------------------------------------------------------


def test_every_exit_code_in_the_source_is_in_the_table() -> None:
    source = "".join(p.read_text() for p in Path(package.__file__).parent.rglob("*.py"))
    used = {getattr(os, name): name for name in re.findall(r"os\.(EX_[A-Z]+)", source)}
    table = {code.number: code.name for code in EXIT_CODES}
    assert used.items() <= table.items()
    assert {number for _, _, number in _ERRORS} <= table.keys()
    assert list(table) == sorted(table)
    for number, name in table.items():
        assert f"  {number} " in helped("exportd")
        assert not name or getattr(os, name) == number


# -- completion -------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with two session files, and one whose name is none of ours."""
    sessions = tmp_path / "MEMORY-CONTEXT" / "sessions"
    sessions.mkdir(parents=True)
    for name in ("garden", "garden-planner", "Not; ours"):
        (sessions / f"{name}.md").touch()
    return tmp_path


def completed(shell: list[str], script: str, project: Path) -> str:
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*shell, script], cwd=project, env={**os.environ, "PATH": path},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


BASH = """
    source <(exportd completion bash)
    complete -p exportd > /dev/null
    offer() {
        COMP_LINE="$*" COMP_WORDS=("$@") COMP_CWORD=$(( $# - 1 )) COMPREPLY=()
        _exportd_completion exportd
        echo "${COMPREPLY[*]}"
    }
    offer exportd ver
    offer exportd alerts sil
    offer exportd reindex --d
    offer exportd stats garden-
    echo 'wrong = true' > exportd.toml
    offer exportd ver
    offer exportd stats gard
"""


def test_bash_completes_commands_options_and_ids(project: Path) -> None:
    """With wrong settings, too, all but the ids: nobody knows which folder is meant."""
    assert completed(["bash", "-c"], BASH, project).splitlines() == [
        "verify", "silence", "--dry-run", "garden-planner", "verify", "",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_completes_commands_and_ids(project: Path) -> None:
    script = "exportd completion fish | source; complete -C 'exportd stats gard'"
    assert completed(["fish", "-c"], script, project).split() == ["garden", "garden-planner"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_takes_the_script(project: Path) -> None:
    script = """
        autoload -Uz compinit && compinit -u -d $PWD/dump
        eval "$(exportd completion zsh)"
        print ${_comps[exportd]}
    """
    assert completed(["zsh", "-f", "-c"], script, project) == "_exportd_completion\n"


# -- the manual page --------------------------------------------------------------------


def test_the_manual_page_has_every_command_option_and_exit_code() -> None:
    page = _shown(manual(cli, "1.2.3", date(2026, 1, 31)))
    for name, command in all_commands():
        assert name in page
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(option in page for option in parameter.opts), (name, parameter.opts)
    for code in EXIT_CODES:
        assert code.meaning in page
    assert "exportd 1.2.3" in page


def _shown(roff: str) -> str:
    """Without what is roff, as far as words go; groff itself is asked below."""
    text = "\n".join(line for line in roff.splitlines() if not line.startswith((".RS", ".PP")))
    return " ".join(text.replace("\\-", "-").replace("\\&", "").split())


@pytest.mark.parametrize(
    "command",
    [["groff", "-man", "-ww", "-Tutf8"], ["mandoc", "-T", "lint", "-W", "warning"]],
    ids=lambda command: command[0],
)
def test_formatters_find_no_fault_in_it(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    done = subprocess.run(
        command, input=CliRunner().invoke(cli, ["man"]).stdout,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    if command[0] == "groff":
        assert "exportd - Keep every message of your AI conversations, once" in done.stdout
        assert "'" in done.stdout  # nothing is taken for a request and left out
    else:
        assert done.stdout == ""


def test_quiet_leaves_errors_and_what_was_asked_for(exportd: Command) -> None:
    (exportd.memory_dir / ".exportd").mkdir()
    (exportd.memory_dir / "exports-archive").mkdir()
    (exportd.memory_dir / "exports" / "junk.bin").write_bytes(b"\0")
    loud, quiet = exportd("reindex", "--dry-run"), exportd("-q", "reindex", "--dry-run")
    assert loud.stdout == quiet.stdout
    drained = exportd("-q", "run", "--once")
    assert "junk.bin" in drained.stdout
    assert drained.stderr == ""
    assert "there is no alert 99" in exportd("-q", "alerts", "ack", "99").stderr
