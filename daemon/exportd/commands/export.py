"""``exportd export``: conversations, out again."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..folders import Folders
from ..lifecycle import database
from ..render.markdown import markdown
from ..settings import Settings
from ..store import Store
from .conversations import named


@click.command("export")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every conversation.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "jsonl"]),
    default="md",
    show_default=True,
    help="md: for people. jsonl: one JSON object a line, for programs.",
)
@click.pass_obj
def command(settings: Settings, *, ids: tuple[str, ...], everything: bool, form: str) -> int:
    """Write conversations to standard output.

    \b
    exportd export rollout-master                  the session file
    exportd export --all --format jsonl > all.jsonl

    The JSONL is canonical: the same set of exports gives the same lines, byte for byte,
    in whatever order they were dropped. A line of type "conversation" comes before the
    lines of type "message" that belong to it.
    """
    if everything == bool(ids):
        raise click.UsageError("expected either conversation ids or --all")
    with database(settings, Folders(settings.memory_dir.absolute())) as found:
        store = Store(found.url)
        chosen = None if everything else [named(store, name) for name in ids]
        if form == "jsonl":
            store.dump(chosen, _line)
        else:
            for conversation_id in store.conversation_ids() if chosen is None else chosen:
                conversation = store.conversation(conversation_id)
                if conversation:
                    sys.stdout.writelines(markdown(conversation))
        store.close()
    return 0


def _line(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
