"""``exportd export``: conversations, out again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import click

from ..dumped import Dumped, MessageRecord
from ..folders import Folders, written
from ..lifecycle import database
from ..outlet import new_file, new_files
from ..render.html import page
from ..render.markdown import markdown
from ..render.records import json_document, json_lines
from ..settings import Settings
from ..store import Store
from .conversations import complete_ids, named
from .terminal import Show, bar

# Of several conversations one document each, or one for all.
_EACH = ("md", "html")

# How each format becomes one document; Markdown has a road of its own.
_FORMS: dict[str, Callable[[Iterable[Dumped]], Iterator[str]]] = {
    "html": page,
    "json": json_document,
    "jsonl": json_lines,
}


@click.command("export")
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=complete_ids)
@click.option("--all", "everything", is_flag=True, help="Every conversation.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html", "json", "jsonl"]),
    default="md",
    show_default=True,
    help="md: for people. html: a page for a browser. json: one document, jsonl: a line for "
    "each record, for programs.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A file; a folder gets a file for each conversation [default: standard output].",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    ids: tuple[str, ...],
    everything: bool,
    form: str,
    output: Path | None,
    force: bool,
) -> int:
    """Write conversations to standard output, or to files.

    \b
    exportd export garden                             the session file
    exportd export garden --format html -o garden.html
    exportd export --all --format html -o pages       a folder of pages
    exportd export --all --format json -o all.json    all in one document
    exportd export --all --format jsonl > all.jsonl   the canonical dump

    JSON and JSONL have everything that is stored, and are canonical: the same files give the
    same bytes, in whatever order they were dropped. Names and times of the files count, too:
    copy them with cp -p. A file is written whole or not at all. docs/how-to/export.md tells
    more.
    """
    if everything == bool(ids):
        raise click.UsageError("expected either conversation ids or --all")
    if output is not None and str(output) == "-":
        output = None
    with database(settings, Folders(settings.memory_dir.absolute())) as found:
        store = Store(found.url)
        chosen = store.conversation_ids() if everything else _distinct(store, ids)
        is_one = len(chosen) == 1 and not everything
        if output is None and form == "html" and not is_one:
            raise click.UsageError("html is a page for each conversation: say -o FOLDER")
        if output is None:
            _write(store, chosen, form, sys.stdout, _unseen)
        # Path.is_dir raises where a name is too long; what takes the file then says so.
        elif form in _EACH and not (is_one and not os.path.isdir(output)):  # noqa: PTH112
            _write_each(store, chosen, form, output, force=force)
        else:
            with new_file(output, replace=force) as file, bar("Exporting") as show:
                _write(store, chosen, form, file, show)
        store.close()
    return os.EX_OK


def _distinct(store: Store, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(named(store, name) for name in names))


def _write(store: Store, chosen: list[str], form: str, file: TextIO, show: Show) -> None:
    """All in one document."""
    if form == "md":
        for conversation_id in chosen:
            if conversation := store.conversation(conversation_id):
                file.writelines(markdown(conversation))
    else:
        store.dumped(chosen, lambda all_: file.writelines(_FORMS[form](_counted(all_, show))))


def _write_each(
    store: Store, chosen: list[str], form: str, folder: Path, *, force: bool
) -> None:
    """A file for each; what has gone meanwhile gets none."""
    names = [f"{conversation_id}.{form}" for conversation_id in chosen]
    with new_files(folder, names, replace=force) as staging, bar("Exporting") as show:
        for number, (conversation_id, name) in enumerate(zip(chosen, names, strict=True)):
            show(number, len(chosen))
            with written(staging / name) as file:
                _write(store, [conversation_id], form, file, _unseen)
                is_gone = not file.tell()
            if is_gone:
                (staging / name).unlink()


def _counted(conversations: Iterable[Dumped], show: Show) -> Iterator[Dumped]:
    for dumped in conversations:
        total = dumped.conversation["total_messages"]
        yield replace(dumped, messages=_shown(dumped.messages, show, total))


def _shown(
    messages: Iterable[MessageRecord], show: Show, total: int
) -> Iterator[MessageRecord]:
    for done, message in enumerate(messages):
        if not done % 50:
            show(done, total)
        yield message


def _unseen(_done: int, _all: int | None) -> None:
    """No progress: of what is shown as a whole, or goes to standard output."""
