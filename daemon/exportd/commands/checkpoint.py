"""``exportd checkpoint``: how the project stands, with the exports in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..api import project_settings
from ..checkpoint import Committing, Taken, take_checkpoint
from ..errors import RefusedRequest
from ..formats.text import escape, printable
from ..lifecycle import stop_on_signals
from ..render.wording import some
from ..settings import Settings

_MOST_CHARS = 500


@click.command("checkpoint")
@click.argument("title")
@click.option("--commit", is_flag=True, help="Commit the checkpoint and the line in README.md.")
@click.option(
    "--with-sessions", is_flag=True, help="With --commit: changed session files, too."
)
@click.option(
    "--project-root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The project, with README.md and MEMORY-CONTEXT [default: the current folder].",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, 86_400),
    default=120,
    show_default=True,
    help="Seconds that a daemon gets for the files that wait.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    title: str,
    commit: bool,
    with_sessions: bool,
    project_root: Path | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Ingest what waits and write down how the project stands.

    \b
    exportd checkpoint "Sprint complete"
    exportd checkpoint "Sprint complete" --commit
    exportd checkpoint "Sprint complete" --json | jq .totals

    Git status, open and done tasks (TODO.md, tasks*.md, *TASKLIST*.md), and what the exports
    since the last checkpoint brought go to MEMORY-CONTEXT/checkpoints; README.md gets a line
    under "Checkpoints". Exit code 75: an export had to wait; 65: one became a dead letter, or
    git refused the commit. The checkpoint is written all the same.
    """
    if not title.strip():
        raise RefusedRequest("expected a title, found none; say in a few words what is reached")
    if with_sessions and not commit:
        raise click.UsageError("--with-sessions goes with --commit")
    root = (project_root or Path()).absolute()
    taken = take_checkpoint(
        _settings(ctx, root, is_given=project_root is not None),
        root,
        escape(title.strip())[:_MOST_CHARS],
        Committing(with_sessions) if commit else None,
        timeout_s,
        stop_on_signals(),
    )
    click.echo(json.dumps(_facts(taken, root)) if as_json else "\n".join(_told(taken, root)))
    if taken.standing.waiting or taken.standing.exports is None:
        return os.EX_TEMPFAIL
    return os.EX_DATAERR if taken.standing.dead_letters or taken.commit_trouble else os.EX_OK


def _settings(ctx: click.Context, root: Path, *, is_given: bool) -> Settings:
    """Those of the project; what the command line says counts more."""
    options = ctx.find_root().params
    settings: Settings = ctx.obj
    if is_given and options.get("config") is None:
        settings = project_settings(root)
    memory_dir = options.get("memory_dir")
    folder = memory_dir.absolute() if memory_dir else root / settings.memory_dir
    return settings.model_copy(update={"memory_dir": folder})


def _facts(taken: Taken, root: Path) -> dict[str, Any]:
    return {
        "file": _shown(taken.file, root),
        **taken.standing.as_dict(),
        "readme": _shown(taken.readme, root) if taken.readme else None,
        "readme_trouble": taken.readme_trouble,
        "commit": taken.commit or None,
        "committed": [_shown(path, root) for path in taken.committed],
        "left_out": [
            {"path": _shown(Path(path), root), "reason": reason}
            for path, reason in taken.left_out
        ],
        "commit_trouble": taken.commit_trouble,
    }


def _told(taken: Taken, root: Path) -> Iterator[str]:
    standing, counts = taken.standing, taken.standing.counts()
    yield f"Checkpoint written: {_shown(taken.file, root)}"
    if standing.exports is None:
        yield f"  Exports: not known: {printable(standing.export_trouble)}"
    else:
        yield (
            f"  Exports: {some(counts['exports'], 'file')}, {counts['new_messages']:,} new of "
            f"{some(counts['total_messages'], 'message')}, {counts['duplicates_filtered']:,} "
            f"filtered, {'since the last checkpoint' if standing.since else 'all until now'}"
        )
    for one in standing.waiting:
        yield f"  Waits: {printable(one.name)}: {printable(one.reason)}"
    for export in standing.dead_letters:
        yield f"  Set aside: {printable(export.name)}: {printable(export.reason)}"
    tasks = [task for one in standing.task_lists for task in one.tasks]
    done = sum(task.is_done for task in tasks)
    yield f"  Tasks: {len(tasks) - done:,} open, {done:,} done" if tasks else "  Tasks: no list"
    yield f"  Git: {_git(taken)}"
    yield f"  README: {_shown(taken.readme, root) if taken.readme else taken.readme_trouble}"
    if taken.commit:
        yield f"  Committed as {taken.commit[:10]}:"
        yield from (f"    {_shown(path, root)}" for path in taken.committed)
    for path, reason in taken.left_out:
        yield f"  Not committed: {_shown(Path(path), root)}: {reason}"
    if taken.commit_trouble:
        yield f"  Nothing was committed: {printable(taken.commit_trouble)}"


def _git(taken: Taken) -> str:
    git = taken.standing.git
    if git is None:
        return printable(taken.standing.git_trouble)
    branch = printable(git.branch) or "no branch"
    changed = some(len(git.changes), "changed file")
    return f"{branch}, {changed}, {some(git.commit_count, 'commit')}"


def _shown(path: Path, root: Path) -> str:
    for base in (root, root.resolve()):
        if path.is_relative_to(base):
            return printable(str(path.relative_to(base)))
    return printable(str(path))
