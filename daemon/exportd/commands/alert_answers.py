"""What people say of alerts: seen, over, tell it again, be silent; and what both need."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import click

from ..alerts.listed import Alert
from ..alerts.rules import RULES
from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..lifecycle import database
from ..render.wording import some
from ..settings import Settings
from ..store import Store, desk
from .conversations import complete_ids, named
from .parameters import duration, number
from .terminal import note

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
alert_number = number("the number of an alert, as `exportd alerts list --all` shows it")
_ids = click.argument("alert_ids", nargs=-1, required=True, type=alert_number, metavar="ID...")


@click.command("ack")
@_ids
@json_option
@click.pass_obj
def ack(settings: Settings, *, alert_ids: tuple[int, ...], as_json: bool) -> int:
    """Say that you know of alerts.

    No more reminders of them, and they go to no other channel. Exit code 64: none was firing.

    \b
    exportd alerts ack 12
    exportd alerts ack 12 13 14
    """
    with alert_store(settings) as store:
        known(store, alert_ids)
        done = store.run(lambda tx: desk.acknowledge(tx, alert_ids, _who()))
    return _say("acknowledged", done, alert_ids, "was not firing", as_json=as_json)


@click.command("resolve")
@_ids
@click.option("--why", default="", help="Told with it.")
@json_option
@click.pass_obj
def resolve(settings: Settings, *, alert_ids: tuple[int, ...], why: str, as_json: bool) -> int:
    """Say that alerts are over.

    Whoever was told of them is told that, too. Exit code 64: all were over already.

    \b
    exportd alerts resolve 12 --why "the disk was replaced"
    """
    reason = f"{_who()} says that it is over" + (f": {printable(escape(why))}" if why else "")
    with alert_store(settings) as store:
        known(store, alert_ids)
        done = store.run(lambda tx: desk.resolve(tx, alert_ids, reason))
    return _say("resolved", done, alert_ids, "was over already", as_json=as_json)


@click.command("resend")
@_ids
@json_option
@click.pass_obj
def resend(settings: Settings, *, alert_ids: tuple[int, ...], as_json: bool) -> int:
    """Tell of alerts once more.

    On every channel that told of them; the daemon sends it. Exit code 64: none ever did.

    \b
    exportd alerts resend 12
    """
    with alert_store(settings) as store:
        known(store, alert_ids)
        sent = store.run(lambda tx: desk.resend(tx, alert_ids))
    if not as_json:
        for alert_id, channel in sent:
            click.echo(f"{alert_id} goes to {channel} again")
    told = [alert_id for alert_id, _ in sent]
    return _say("sent again", told, alert_ids, "was never told", as_json=as_json)


@click.command("silence")
@click.option(
    "--kind",
    type=click.Choice(list(RULES)),
    metavar="RULE",
    help="Alerts of this rule, as docs/reference/alerts.md lists them.",
)
@click.option(
    "--conversation",
    metavar="ID",
    shell_complete=complete_ids,
    help="Alerts of this conversation.",
)
@click.option(
    "--for",
    "length",
    type=duration,
    metavar="DURATION",
    default="1d",
    show_default=True,
    help="How long: 30m, 12h, 7d.",
)
@click.option("--comment", default="", help="Why, for whoever wonders.")
@click.option("--everywhere", is_flag=True, help="In every memory folder of the database.")
@click.option(
    "--end",
    type=number("the number of a silence, as `exportd alerts list` shows it"),
    metavar="SILENCE",
    help="End this silence instead.",
)
@json_option
@click.pass_obj
def silence(  # noqa: PLR0913  # one for each option
    settings: Settings,
    *,
    kind: str | None,
    conversation: str | None,
    length: timedelta,
    comment: str,
    everywhere: bool,
    end: int | None,
    as_json: bool,
) -> int:
    """Hear nothing of a kind or a conversation for a while.

    What is silenced is still listed.

    \b
    exportd alerts silence --kind shared_name --for 7d
    exportd alerts silence --conversation garden --comment "known"
    exportd alerts silence --end 3
    """
    with alert_store(settings) as store:
        if end is not None:
            if not store.run(lambda tx: desk.end_silence(tx, end)):
                raise RefusedRequest(f"there is no silence {end}; see `exportd alerts list`")
            return _say_silence(end, None, as_json=as_json)
        if kind is None and conversation is None:
            raise click.UsageError("expected --kind, --conversation or --end")
        about = named(store, conversation) if conversation is not None else None
        said = printable(escape(comment))
        where = None if everywhere else _known_folder(store, settings)
        silence_id, until = store.run(
            lambda tx: desk.silence(tx, kind, about, length, said, _who(), where)
        )
    return _say_silence(silence_id, until, as_json=as_json)


def _say_silence(silence_id: int, until: datetime | None, *, as_json: bool) -> int:
    """``until``: None when it is over."""
    if as_json:
        print_json({"silence_id": silence_id, "until": until and until.isoformat()})
    elif until is None:
        click.echo(f"silence {silence_id} is over")
    else:
        when = until.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        click.echo(f"silence {silence_id} holds until {when}")
    return 0


ANSWERS = (ack, resolve, resend, silence)


@contextmanager
def alert_store(settings: Settings) -> Iterator[Store]:
    with (
        database(settings, Folders(settings.memory_dir.absolute())) as found,
        closing(Store(found.url)) as store,
    ):
        yield store


def here(settings: Settings) -> str:
    """The memory folder, as the database calls it."""
    return escape(str(settings.memory_dir.absolute()))


def _known_folder(store: Store, settings: Settings) -> str:
    """A silence of a folder that nobody works in would hold back nothing."""
    memory_dir = here(settings)
    if not store.run(lambda tx: desk.is_known_folder(tx, memory_dir)):
        raise RefusedRequest(
            f"the database knows no memory folder {printable(memory_dir)}; set memory_dir as "
            "the daemon has it, or use --everywhere"
        )
    return memory_dir


def known(store: Store, alert_ids: Sequence[int]) -> list[Alert]:
    found = store.run(lambda tx: desk.list_alerts(tx, len(alert_ids), None, alert_ids))
    missing = set(alert_ids) - {alert.alert_id for alert in found}
    if missing:
        raise RefusedRequest(
            f"there is no alert {', '.join(map(str, sorted(missing)))}; see "
            "`exportd alerts list --all`"
        )
    return found


def _say(
    what: str, done: Sequence[int], asked: Sequence[int], else_: str, *, as_json: bool
) -> int:
    """What was done of what was asked; the exit code, which is no 0 when that is nothing."""
    left = sorted(set(asked) - set(done))
    if as_json:
        print_json(
            {
                "done": sorted(set(done)),
                "left": left,
                "reason": else_ if left else None,
            }
        )
        return os.EX_OK if done else os.EX_USAGE
    reasons = [f"{alert_id} {else_}" for alert_id in left]
    if not done:
        raise RefusedRequest("; ".join(reasons))
    for reason in reasons:
        note(reason)
    click.echo(f"{some(len(set(done)), 'alert')} {what}")
    return os.EX_OK


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return f"user {os.getuid()}"


def print_json(facts: object) -> None:
    click.echo(json.dumps(facts, ensure_ascii=False))
