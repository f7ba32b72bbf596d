"""``exportd dead-letters``: what was set aside, why, and what became of it."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Sequence

import click

from .. import cures
from ..dead_letters import DeadLetters
from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..listed import DeadLetter
from ..render.dead_letters import listing
from ..settings import Settings
from .conversations import opened, who


@click.command("dead-letters")
@click.option("--all", "everything", is_flag=True, help="Settled ones, and records, too.")
@click.option(
    "--forget",
    "given_up",
    multiple=True,
    metavar="NAME",
    help="Its file was deleted, and that is right; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def command(
    settings: Settings, *, everything: bool, given_up: tuple[str, ...], as_json: bool
) -> int:
    """List what could not be ingested and was set aside.

    \b
    exportd dead-letters
    exportd dead-letters --all                 what became of earlier ones, too
    exportd dead-letters --forget build.log    a file that you deleted

    A file is mended and put back with 'exportd retry'. A record is a part of a good file
    that could not be read; the file is archived as it came.
    """
    with opened(settings) as store:
        letters = DeadLetters(Folders(settings.memory_dir.absolute()), store)
        if given_up:
            chosen = chosen_by(letters.listed(), given_up)
            _refuse_present(chosen)
            letters.forget(chosen, who())
        found = [one for one in letters.listed() if everything or _is_open(one)]
    if as_json:
        facts = {
            "dead_letters": [one.as_dict() for one in found],
            "forgotten": [escape(name) for name in given_up],
        }
        click.echo(json.dumps(facts, ensure_ascii=False))
        return 0
    for name in given_up:
        click.echo(f"Given up: {printable(name)}")
    if found or not given_up:
        click.echo(listing(found, shutil.get_terminal_size().columns), nl=False)
    return 0


def _is_open(letter: DeadLetter) -> bool:
    return letter.settlement is None and letter.what != "record"


def chosen_by(letters: Sequence[DeadLetter], names: Sequence[str]) -> list[DeadLetter]:
    """The open ones of these names; ``RefusedRequest`` says which name is near."""
    known = [letter for letter in letters if _is_open(letter)]
    found = []
    for name in dict.fromkeys(map(escape, names)):
        ours = [letter for letter in known if letter.name == name]
        # Or as it is shown, where it cannot be typed.
        ours = ours or [letter for letter in known if printable(letter.name) == name]
        if not ours:
            close = difflib.get_close_matches(name, {one.name for one in known}, n=3)
            near = " or ".join(map(printable, close))
            hint = f"did you mean {near}?" if close else "'exportd dead-letters' lists them"
            raise RefusedRequest(f"nothing called {printable(name)} is set aside; {hint}")
        found += ours
    return found


def _refuse_present(letters: Sequence[DeadLetter]) -> None:
    for letter in letters:
        if letter.place == "there":
            raise RefusedRequest(
                f"{printable(letter.name)} lies in exports-failed/; exportd deletes nothing "
                "that it could not read: delete the file first, or put it back: "
                f"{cures.retry(letter.name)}"
            )
