"""``exportd stats``: what is stored, what that saves, and what may be missing."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import closing
from typing import Any

import click

from ..folders import Folders
from ..lifecycle import database
from ..render import stats as render
from ..settings import Settings
from ..statistics import total
from ..store import Store
from .conversations import complete_ids, named


@click.command("stats")
@click.argument("name", required=False, metavar="[ID]", shell_complete=complete_ids)
@click.option("--json", "as_json", is_flag=True, help="The same numbers as JSON, exact.")
@click.pass_obj
def command(settings: Settings, *, name: str | None, as_json: bool) -> int:
    """Print statistics of one or all conversations.

    \b
    exportd stats                 a Markdown table; in a file, ids are whole
    exportd stats garden          one conversation, with the reasons for its risk
    exportd stats --json | jq .total.count_savings_pct

    An export is a distinct content with messages in it: a file, or a conversation in a
    container. Containers, empty exports and dead letters are not counted; 'exportd verify'
    counts them, and 'exportd reindex' counts archived files.
    """
    with (
        database(settings, Folders(settings.memory_dir.absolute())) as found,
        closing(Store(found.url)) as store,
    ):
        chosen = None if name is None else [named(store, name)]
        statistics = store.statistics(chosen)
    if chosen is not None:
        (of,) = statistics
        click.echo(_json(of.as_dict()) if as_json else render.one(of), nl=as_json)
    elif as_json:
        together = total(of.amounts for of in statistics)
        everything = {"conversations": [of.as_dict() for of in statistics]}
        click.echo(_json({**everything, "total": together.as_dict()}))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(render.table(statistics, width), nl=False)
    return 0


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False)
