"""``exportd doctor``: whether what exportd needs is there, in plain words."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass

import click

from .. import crash
from ..channels import connected
from ..errors import ExportdError
from ..folders import Folders, filling, low_space
from ..formats.text import escape
from ..lifecycle import database
from ..settings import Settings
from ..store import Outbox, Store


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    is_well: bool
    found: str


@click.command("doctor")
@click.option("--crash-points", is_flag=True, help="List the points of EXPORTD_CRASH_AT.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def command(settings: Settings, *, crash_points: bool, as_json: bool) -> int:
    """Say what is well and what is not.

    \b
    exportd doctor
    exportd doctor --json | jq '.[] | select(.is_well | not)'
    exportd doctor --crash-points

    Exit code 75: something is not well. EXPORTD_CRASH_AT=POINT makes exportd die by SIGKILL
    at one of the crash points, for tests.
    """
    if crash_points:
        _print_crash_points(as_json=as_json)
        return 0
    checks = list(_checks(settings))
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], ensure_ascii=False))
    else:
        for check in checks:
            click.echo(f"{'✓' if check.is_well else '✗'} {check.name}: {check.found}")
    return os.EX_OK if all(check.is_well for check in checks) else os.EX_TEMPFAIL


def _checks(settings: Settings) -> Iterator[Check]:
    folders = Folders(settings.memory_dir.absolute())
    is_there = folders.state.is_dir()
    yield Check("memory folder", is_there, f"{folders.memory}{'' if is_there else ' is none'}")
    if is_there:
        trouble = low_space(folders, settings.disk_reserve_bytes) or filling(
            folders, settings.alerts.disk_free_percent
        )
        yield Check("disk", trouble is None, trouble or "enough is free")
    try:
        with database(settings, folders) as found, closing(Store(found.url)) as store:
            store.ping()
            yield Check("database", True, "it answers and takes what is written")
            yield _role(store)
            yield from _channels(settings, folders, store)
    except ExportdError as error:
        yield Check("database", False, str(error))


def _role(store: Store) -> Check:
    if store.is_guarded():
        return Check("role", True, "exportd may not delete messages")
    lacks = "exportd works without the role exportd_app, which may not delete messages"
    return Check("role", False, f"{lacks}; run `exportd migrate`, see docs/how-to/server.md")


def _channels(settings: Settings, folders: Folders, store: Store) -> Iterator[Check]:
    names = list(connected(settings))
    if not names:
        yield Check("alerts", True, "no channel is set: they stand in `exportd alerts list`")
    memory_dir = escape(str(folders.memory))
    parked = store.run(lambda tx: Outbox(tx, memory_dir).parked())
    for name in names:
        if name in parked:
            said = f"{parked[name][1]}; mend it and run `exportd alerts test`"
            yield Check(name, False, f"takes no messages: {said}")
        else:
            yield Check(name, True, "is set, and did not refuse")


def _print_crash_points(*, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(crash.POINTS))
        return
    width = max(map(len, crash.POINTS))
    for name, where in crash.POINTS.items():
        click.echo(f"{name:<{width}}  {where}")
