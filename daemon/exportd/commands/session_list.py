"""The list of conversations: what ``exportd sessions`` prints without a command behind it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from ..formats import FORMATS
from ..formats.text import escape
from ..listed import Session
from ..models import RiskLevel
from ..render.sessions import table
from ..settings import Settings
from ..store import listing
from .conversations import opened
from .parameters import day
from .terminal import page

_OPTIONS = (
    click.option(
        "--format",
        "form",
        type=click.Choice(sorted(module.NAME for module in FORMATS)),
        metavar="NAME",
        help="Read in this format; 'exportd formats' has the names.",
    ),
    click.option(
        "--risk",
        type=click.Choice([level.value for level in RiskLevel]),
        help="Of this risk of data loss, or a worse one.",
    ),
    click.option("--project", metavar="DIR", help="Held in this directory: its name, or path."),
    click.option(
        "--since", type=day, metavar="DATE", help="With something from this day, UTC, on."
    ),
    click.option("--limit", type=click.IntRange(min=1), help="The newest so many."),
    click.option("--json", "as_json", is_flag=True, help="As JSON."),
)


def listing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a list, for the command and for the group without one."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def list_sessions(
    settings: Settings,
    *,
    form: str | None,
    risk: str | None,
    project: str | None,
    since: datetime | None,
    limit: int | None,
    as_json: bool,
) -> int:
    def wanted(session: Session) -> bool:
        return (
            (form is None or form in session.formats)
            and (project is None or session.is_of(escape(project)))
            and (since is None or session.newest >= since)
        )

    least = RiskLevel(risk or RiskLevel.NONE)
    with opened(settings) as store:
        found = store.run(lambda tx: listing.sessions(tx, wanted, least, limit))
    if as_json:
        facts = {"sessions": [session.as_dict() for session in found]}
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        page(iter([table(found, width)]))
    return 0
