"""``exportd retry``: dead letters, back into the drop folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import click

from ..dead_letters import DeadLetters, PutBack
from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import printable
from ..lifecycle import holder
from ..listed import DeadLetter
from ..settings import Settings
from .conversations import opened, who
from .dead_letters import chosen_by


@click.command("retry")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every file that is set aside.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def command(
    settings: Settings, *, names: tuple[str, ...], everything: bool, as_json: bool
) -> int:
    """Put files that were set aside back into exports/, under the names they came with.

    \b
    exportd retry build.log
    exportd retry --all                where no daemon works, then:
    exportd run --once

    The daemon takes them as any other file, or 'exportd run --once' does. 65 when one cannot
    be put back, 75 when it may be later.
    """
    if everything == bool(names):
        raise click.UsageError("expected either names or --all")
    folders = Folders(settings.memory_dir.absolute())
    with opened(settings) as store:
        letters = DeadLetters(folders, store)
        done = [letters.retry(letter, who()) for letter in _chosen(letters.listed(), names)]
    daemon = holder(folders)
    if as_json:
        click.echo(json.dumps(_facts(done, daemon), ensure_ascii=False))
    else:
        _tell(done, daemon)
    refused = [one for one in done if one.obstacle]
    if not refused:
        return 0
    return os.EX_TEMPFAIL if all(one.can_wait for one in refused) else os.EX_DATAERR


def _chosen(letters: Sequence[DeadLetter], names: Sequence[str]) -> list[DeadLetter]:
    """The oldest first, as they came; all that lie there without names."""
    if not names:
        return [letter for letter in reversed(letters) if letter.place == "there"]
    found = chosen_by(letters, names)
    for letter in found:
        if letter.what == "member":
            raise RefusedRequest(
                f"{printable(letter.name)} lies in {printable(letter.inside or 'a file')}, "
                "which is archived: drop that file again, or the one conversation alone"
            )
    return found


def _tell(done: Sequence[PutBack], daemon: str | None) -> None:
    for one in done:
        if one.obstacle:
            click.echo(f"✗ {printable(one.name)}: {one.obstacle}", err=True)
        else:
            click.echo(f"✓ {printable(one.name)} → {printable(one.kept_as)}")
    if not done:
        click.echo("Nothing is set aside.")
    elif any(one.obstacle is None for one in done):
        if daemon:
            click.echo(f"The daemon (process {printable(daemon)}) takes what is there now.")
        else:
            click.echo("No daemon works here; to take what is there: exportd run --once")


def _facts(done: Sequence[PutBack], daemon: str | None) -> dict[str, object]:
    return {
        "put_back": [
            {"name": one.name, "file": one.kept_as} for one in done if one.obstacle is None
        ],
        "left": [
            {"name": one.name, "reason": one.obstacle, "may_work_later": one.can_wait}
            for one in done
            if one.obstacle
        ],
        "daemon": daemon,
    }
