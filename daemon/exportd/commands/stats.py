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
from .conversations import named


@click.command("stats")
@click.argument("name", required=False, metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="The same numbers as JSON, exact.")
@click.pass_obj
def command(settings: Settings, *, name: str | None, as_json: bool) -> int:
    """Print statistics of one or all conversations.

    \b
    exportd stats                    a Markdown table; ids are whole when it goes to a file
    exportd stats rollout-master     one conversation, with every reason for its risk
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
