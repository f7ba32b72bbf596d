"""``exportd log``: the status log, searched."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from datetime import datetime

import click

from ..folders import Folders
from ..formats.text import escape, printable
from ..reports import STATUSES, Wanted, reports
from ..settings import Settings
from ..statuslog import read_lines
from .parameters import day
from .terminal import page


@click.command("log")
@click.option(
    "--last",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="So many reports that match; 0: all.",
)
@click.option("--status", type=click.Choice(list(STATUSES.values())), help="How it ended.")
@click.option("--session", metavar="ID", help="With a file of this conversation.")
@click.option("--file", "name", metavar="NAME", help="With a file of this name; * and ? match.")
@click.option("--since", type=day, metavar="DATE", help="From this day, UTC, or moment on.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    last: int,
    status: str | None,
    session: str | None,
    name: str | None,
    since: datetime | None,
    as_json: bool,
) -> int:
    """Print reports of the status log, the newest at the end.

    \b
    exportd log --status failed
    exportd log --file '*GARDEN*' --since 2026-01-01
    exportd log --last 1

    Rotated logs are read, too. It needs no database. A report that brought hundreds of
    conversations names a few of them, and --session finds those.
    """
    folders = Folders(settings.memory_dir.absolute())
    wanted = Wanted(
        status,
        printable(escape(session)) if session else None,
        printable(escape(name)) if name else None,
        since,
    )
    matching = (one for one in reports(read_lines(folders.status_log)) if wanted.fits(one))
    found = deque(matching, last or None)
    if as_json:
        facts = {"reports": [report.as_dict() for report in found]}
        click.echo(json.dumps(facts, ensure_ascii=False))
    elif found:
        page(_pieces(report.text for report in found))
    else:
        is_there = folders.status_log.exists()
        what = "no report matches" if is_there else "nothing was reported yet"
        click.echo(f"{printable(escape(str(folders.status_log)))}: {what}", err=True)
    return 0


def _pieces(texts: Iterator[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield f"\n{text}" if number else text
