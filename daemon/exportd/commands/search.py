"""``exportd search``: find messages by what is said in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import click

from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..indexer import catch_up, indexing
from ..lifecycle import database
from ..lookup import Request, look_up
from ..models import Kind, Role
from ..render.hits import hits
from ..render.wording import some
from ..search.hits import Filters, Found
from ..settings import Settings
from ..store import Store, searching
from .conversations import complete_ids, named
from .terminal import bar, is_colourful

_NOTHING_FOUND = 1  # as grep and rg say it

# What was stored just now is made searchable first, as far as that is done in so long.
_CATCH_UP_S = 2.0

_DAY_CHARS = len("2026-01-12")


@click.command("search")
@click.argument("words", nargs=-1, metavar="TEXT...")
@click.option(
    "-c",
    "--conversation",
    "ids",
    multiple=True,
    metavar="ID",
    help="Only in this one.",
    shell_complete=complete_ids,
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([str(role) for role in Role]),
    help="Who speaks.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([str(kind) for kind in Kind]),
    help="What it is.",
)
@click.option("--tool", "tools", multiple=True, metavar="NAME", help="Its calls and results.")
@click.option("--since", metavar="DATE", help="Not before this day or moment (UTC).")
@click.option("--until", metavar="DATE", help="Not after this day; before this moment.")
@click.option(
    "--literal", is_flag=True, help="The text as it stands, parts of words too; slow."
)
@click.option("--newest", is_flag=True, help="The newest first, not the best.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="So many hits."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--rebuild", is_flag=True, help="Make the index of all messages anew.")
@click.pass_obj
def command(
    settings: Settings,
    /,
    *,
    words: tuple[str, ...],
    limit: int,
    literal: bool,
    newest: bool,
    as_json: bool,
    rebuild: bool,
    **filters: Sequence[str] | str | None,
) -> int:
    """Find messages by what is said in them.

    \b
    exportd search stale plan           both words; "plans" and "planned" will do
    exportd search '"stale plan"'       these words in this order
    exportd search store/staging.py     a path, a name, an address: likewise
    exportd search 'migrat*' -- -yoyo   begins so; without the other word
    exportd search retry OR backoff --role user --since 2026-01-01
    exportd search --literal '.execute(' --tool Bash
    exportd search --rebuild            make the index of all messages anew

    The two words in front of a hit are its place: exportd show ID --around INDEX.
    A message is dated by when it was said, where its export tells, else by when it was stored.

    Exit codes: 0 found, 1 nothing found, 64 wrong usage, 75 the database does not answer.
    """
    if rebuild == bool(words):
        raise click.UsageError("expected either TEXT to look for or --rebuild")
    with database(settings, Folders(settings.memory_dir.absolute())) as at:
        if rebuild:
            return _rebuild(at.url)
        with closing(Store(at.url)) as store:
            asked = _filters(store, **filters)
            request = Request(
                escape(" ".join(words)), asked, limit, literal=literal, newest=newest
            )
            _catch_up(store, at.url)
            found = look_up(store, request)
    if as_json:
        click.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _show(found, request)
    return 0 if found.total else _NOTHING_FOUND


def _filters(store: Store, **given: Sequence[str] | str | None) -> Filters:
    since = _moment("--since", given["since"], days=0)
    until = _moment("--until", given["until"], days=1)
    if since and until and since >= until:
        raise RefusedRequest("expected --since before --until")
    return Filters(
        [named(store, name) for name in given["ids"] or ()] or None,
        list(given["roles"] or ()) or None,
        list(given["kinds"] or ()) or None,
        [escape(name).lower() for name in given["tools"] or ()] or None,
        since,
        until,
    )


def _moment(option: str, given: Sequence[str] | str | None, days: int) -> datetime | None:
    """A moment, or the beginning of the day so many days after one."""
    if not isinstance(given, str):
        return None
    try:
        moment = datetime.fromisoformat(given)
        if len(given) <= _DAY_CHARS:
            moment += timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise RefusedRequest(
            f"{option}: expected a date such as 2026-01-12 or 2026-01-12T10:30, found "
            f"{printable(escape(given))}"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _catch_up(store: Store, url: str) -> None:
    """By another connection: where only reading is allowed, the search goes on without."""
    if store.run(searching.lag):
        with closing(Store(url)) as other:
            catch_up(other, _CATCH_UP_S)


def _rebuild(url: str) -> int:
    with closing(Store(url)) as store, bar("Indexing") as show:
        total = store.run(searching.begin_anew)
        for remaining in indexing(store):
            show(max(total - remaining, 0), total)
        partly = store.run(searching.partly_indexed)
    click.echo(f"The index is made anew: {some(total, 'message')}.")
    if partly:
        click.echo(_partly(partly))
    return 0


def _show(found: Found, request: Request) -> None:
    def bold(text: str) -> str:
        return click.style(text, bold=True) if is_colourful() else text

    for text in hits(found, bold):
        click.echo(text, nl=False, color=is_colourful())
    if not found.total:
        click.echo("Nothing found.", err=True)
        if not request.literal:
            click.echo("--literal finds parts of words, and punctuation, too.", err=True)
    if found.not_indexed:
        waiting = some(found.not_indexed, "stored message")
        click.echo(
            f"{waiting} cannot be searched yet; the daemon, or the next search, indexes more.",
            err=True,
        )
    if found.partly_indexed and not request.literal:
        click.echo(_partly(found.partly_indexed), err=True)


def _partly(count: int) -> str:
    return (
        f"Of {some(count, 'very long message')} only the beginning is in the index; --literal "
        "looks into all of it."
    )
