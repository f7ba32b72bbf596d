"""``exportd alerts``: what people are told, and their answers."""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import click

from ..alerts.listed import Alert
from ..alerts.notice import Notice, NotSent, Told
from ..alerts.rules import RULES
from ..channels import connected
from ..errors import RefusedRequest
from ..folders import Folders
from ..formats.text import escape, printable
from ..lifecycle import database
from ..models import Severity
from ..render import alerts as render
from ..render.wording import some
from ..settings import Settings
from ..store import Store, desk
from .conversations import named

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_id = click.IntRange(1, 2**63 - 1)  # as PostgreSQL counts
_ids = click.argument("alert_ids", nargs=-1, required=True, type=_id, metavar="ID…")


@click.group("alerts")
def command() -> None:
    """List alerts, answer them, and try the channels.

    \b
    exportd alerts test                    a real message through every channel
    exportd alerts list                    what is wrong now
    exportd alerts ack 12                  seen: no more reminders
    exportd alerts silence --kind shared_name --for 7d
    """


@command.command("list")
@click.option(
    "--all", "everything", is_flag=True, help="Also what is over, and mere information."
)
@click.option("--limit", default=100, show_default=True, type=_id, help="So many at most.")
@_json_option
@click.pass_obj
def list_(settings: Settings, *, everything: bool, limit: int, as_json: bool) -> int:
    """What is wrong now; the newest first."""
    states = None if everything else ["firing", "acknowledged"]
    with _store(settings) as store:
        alerts = store.run(
            lambda tx: desk.list_alerts(tx, limit, states, no_info=not everything)
        )
        silences = store.run(desk.silences)
    if as_json:
        _print(
            {
                "alerts": [a.as_dict() for a in alerts],
                "silences": [s.as_dict() for s in silences],
            }
        )
    else:
        click.echo(render.table(alerts, silences, _here(settings)), nl=False)
    return 0


@command.command("show")
@click.argument("alert_id", type=_id, metavar="ID")
@_json_option
@click.pass_obj
def show(settings: Settings, *, alert_id: int, as_json: bool) -> int:
    """One alert, and who was told what of it when."""
    with _store(settings) as store:
        alert = _known(store, [alert_id])[0]
        told = store.run(lambda tx: desk.history(tx, alert_id))
    if as_json:
        _print({**alert.as_dict(), "deliveries": [one.as_dict() for one in told]})
    else:
        click.echo(render.one(alert, told, _here(settings)), nl=False)
    return 0


@command.command("ack")
@_ids
@click.pass_obj
def ack(settings: Settings, *, alert_ids: tuple[int, ...]) -> int:
    """Say that you know: no more reminders, and it goes to no other channel."""
    with _store(settings) as store:
        _known(store, alert_ids)
        done = store.run(lambda tx: desk.acknowledge(tx, alert_ids, _who()))
    return _say("acknowledged", done, alert_ids, "was not firing")


@command.command("resolve")
@_ids
@click.option("--why", default="", help="Told with it.")
@click.pass_obj
def resolve(settings: Settings, *, alert_ids: tuple[int, ...], why: str) -> int:
    """Say that it is over; who was told of it is told that, too."""
    reason = f"{_who()} says that it is over" + (f": {printable(escape(why))}" if why else "")
    with _store(settings) as store:
        _known(store, alert_ids)
        done = store.run(lambda tx: desk.resolve(tx, alert_ids, reason))
    return _say("resolved", done, alert_ids, "was over already")


@command.command("resend")
@_ids
@click.pass_obj
def resend(settings: Settings, *, alert_ids: tuple[int, ...]) -> int:
    """Tell it once more, on every channel that told it; the daemon sends it."""
    with _store(settings) as store:
        _known(store, alert_ids)
        sent = store.run(lambda tx: desk.resend(tx, alert_ids))
    for alert_id, channel in sent:
        click.echo(f"{alert_id} goes to {channel} again")
    return _say("sent again", [alert_id for alert_id, _ in sent], alert_ids, "was never told")


@command.command("silence")
@click.option("--kind", type=click.Choice(list(RULES)), help="Alerts of this rule.")
@click.option("--conversation", help="Alerts of this conversation.")
@click.option("--for", "duration", default="1d", show_default=True, help="30m, 12h, 7d.")
@click.option("--comment", default="", help="Why, for whoever wonders.")
@click.option("--everywhere", is_flag=True, help="In every memory folder of the database.")
@click.option("--end", type=_id, metavar="SILENCE", help="End this silence instead.")
@click.pass_obj
def silence(
    settings: Settings,
    *,
    kind: str | None,
    conversation: str | None,
    duration: str,
    comment: str,
    everywhere: bool,
    end: int | None,
) -> int:
    """Hear nothing of a kind or a conversation for a while; it is still listed."""
    with _store(settings) as store:
        if end is not None:
            if not store.run(lambda tx: desk.end_silence(tx, end)):
                raise RefusedRequest(f"there is no silence {end}; see `exportd alerts list`")
            click.echo(f"silence {end} is over")
            return 0
        if kind is None and conversation is None:
            raise click.UsageError("expected --kind, --conversation or --end")
        about = named(store, conversation) if conversation is not None else None
        length, said = _duration(duration), printable(escape(comment))
        where = None if everywhere else _known_folder(store, settings)
        silence_id, until = store.run(
            lambda tx: desk.silence(tx, kind, about, length, said, _who(), where)
        )
    click.echo(f"silence {silence_id} holds until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    return 0


@command.command("test")
@_json_option
@click.pass_obj
def test(settings: Settings, *, as_json: bool) -> int:
    """Send a real message through every channel, and say what its server said.

    75 when one did not take it.
    """
    channels = connected(settings)
    if not channels:
        raise RefusedRequest(
            "nobody can be reached: expected token or webhook_url in [slack], host in [mail], "
            "or url in [webhook]; see config.example.toml"
        )
    results = {name: _try(channel) for name, (channel, _) in channels.items()}
    if as_json:
        _print({n: {"accepted": ok, "said": said} for n, (ok, said) in results.items()})
    else:
        for name, (ok, said) in results.items():
            click.echo(f"{'✓' if ok else '✗'} {name}: {said}")
    return 0 if all(ok for ok, _ in results.values()) else os.EX_TEMPFAIL


def _try(channel: Any) -> tuple[bool, str]:
    told = Told(
        0,
        "test",
        Severity.INFO,
        "A test of this channel",
        "exportd can reach you here. Nothing is wrong.",
        "",
        datetime.now(UTC),
    )
    try:
        return True, channel.send(
            Notice(str(uuid4()), "test", os.uname().nodename, (told,))
        ).said
    except NotSent as error:
        return False, str(error)


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    with (
        database(settings, Folders(settings.memory_dir.absolute())) as found,
        closing(Store(found.url)) as store,
    ):
        yield store


def _here(settings: Settings) -> str:
    """The memory folder, as the database calls it."""
    return escape(str(settings.memory_dir.absolute()))


def _known_folder(store: Store, settings: Settings) -> str:
    """A silence of a folder that nobody works in would hold back nothing."""
    here = _here(settings)
    if not store.run(lambda tx: desk.is_known_folder(tx, here)):
        raise RefusedRequest(
            f"the database knows no memory folder {printable(here)}; set memory_dir as the "
            "daemon has it, or use --everywhere"
        )
    return here


def _known(store: Store, alert_ids: Sequence[int]) -> list[Alert]:
    found = store.run(lambda tx: desk.list_alerts(tx, len(alert_ids), None, alert_ids))
    missing = set(alert_ids) - {alert.alert_id for alert in found}
    if missing:
        raise RefusedRequest(
            f"there is no alert {', '.join(map(str, sorted(missing)))}; see "
            "`exportd alerts list --all`"
        )
    return found


def _say(what: str, done: Sequence[int], asked: Sequence[int], else_: str) -> int:
    for alert_id in asked:
        if alert_id not in done:
            click.echo(f"{alert_id} {else_}", err=True)
    if done:
        click.echo(f"{some(len(set(done)), 'alert')} {what}")
    return 0


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,4})([mhd])", text)
    if match is None or not int(match[1]):
        raise RefusedRequest(f"--for: expected a time such as 30m, 12h or 7d, found {text!r}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return f"user {os.getuid()}"


def _print(facts: object) -> None:
    click.echo(json.dumps(facts, ensure_ascii=False))
