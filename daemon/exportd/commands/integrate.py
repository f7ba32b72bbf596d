"""``exportd integrate``: other programs hand their sessions over by themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ..claude_code import Change, carry_out, install, removal
from ..errors import RefusedRequest
from ..folders import Folders
from ..settings import Settings
from .terminal import is_colourful

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_FILES = {"project": "settings.json", "local": "settings.local.json", "user": "settings.json"}


@click.group("integrate")
def command() -> None:
    """Let other programs hand their sessions over.

    \b
    exportd integrate claude-code --dry-run
    """


@command.command("claude-code")
@click.option(
    "--project",
    "where",
    flag_value="project",
    default="project",
    help="Sessions of this project, .claude/settings.json [default].",
)
@click.option(
    "--local",
    "where",
    flag_value="local",
    help="The same, for you alone: .claude/settings.local.json.",
)
@click.option(
    "--user",
    "where",
    flag_value="user",
    help="Sessions of all your projects, ~/.claude/settings.json.",
)
@click.option(
    "--every-answer",
    is_flag=True,
    help="After answers, too; a file above 1 MiB when it grew by a quarter.",
)
@click.option("--remove", "is_removal", is_flag=True, help="Take it all out again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.pass_obj
def claude_code(
    settings: Settings,
    *,
    where: str,
    every_answer: bool,
    is_removal: bool,
    yes: bool,
    dry_run: bool,
) -> int:  # fmt: skip
    """Make Claude Code hand its sessions over.

    They are copied here before a compaction, and at their end.

    \b
    exportd integrate claude-code --dry-run  what would change
    exportd integrate claude-code            this project
    exportd integrate claude-code --user     all your projects, into one folder
    exportd integrate claude-code --remove

    Hooks go into the settings of Claude Code, and beside them the slash command
    /export-dedup. The change is shown first; other settings stay as they are, to the byte.
    """
    folders = Folders(settings.memory_dir.absolute())
    if is_removal:
        changes = removal(_folder(where), _FILES[where])
    else:
        changes = install(
            _folder(where), _FILES[where], folders.memory, every_answer=every_answer
        )
    if not changes:
        click.echo("Nothing to change: it is as it should be.")
        return os.EX_OK
    _show(changes)
    if dry_run:
        return os.EX_OK
    _ask(yes=yes)
    if not is_removal:
        folders.create()  # the hook makes no folders: their disk may be away
    carry_out(changes)
    click.echo(
        "Removed. Sessions are no longer handed over."
        if is_removal
        else f"Installed. Sessions go to {folders.exports}; /hooks in Claude Code shows it."
    )
    return os.EX_OK


def _folder(where: str) -> Path:
    if where != "user":
        return Path(".claude").absolute()
    given = os.environ.get("CLAUDE_CONFIG_DIR")
    return Path(given).absolute() if given else Path.home() / ".claude"


def _show(changes: list[Change]) -> None:
    for change in changes:
        for line in change.diff():
            colour = _COLOURS.get(line[:1]) if is_colourful() else None
            click.echo(click.style(line, fg=colour) if colour else line)


def _ask(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedRequest(
            "nobody can be asked here, for this is no terminal; nothing was changed. --yes "
            "says yes, --dry-run only shows the change"
        )
    click.confirm("Change this?", abort=True)
