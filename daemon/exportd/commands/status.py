"""``exportd status``: how it stands, and what to do next."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from ..channels import connected
from ..errors import TransientError
from ..folders import Folders, disk_bytes, filling, is_sidecar, low_space
from ..formats.text import escape, printable
from ..lifecycle import channels_of, database, holder, process
from ..models import RiskLevel, Severity
from ..overview import AtRisk, Disk, Overview, Stored, Waiting
from ..render.overview import next_steps, overview
from ..settings import Settings
from ..store import Outbox, Store, desk, searching
from ..waiting import Patience, survey

_LAST = 10
_OLDEST = 5  # of the files that wait
_MOST = 1000  # alerts that are counted
_LEVELS = (RiskLevel.HIGH, RiskLevel.MEDIUM)  # the worst first


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def command(settings: Settings, *, as_json: bool) -> int:
    """Say how it stands: daemon, queue, database, alerts, what to do next.

    75 when the database does not answer.

    \b
    exportd status
    exportd status --json | jq .stored.alerts
    """
    found = _look(settings)
    if as_json:
        facts = {**found.as_dict(), "next_steps": list(next_steps(found))}
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        click.echo(overview(found, datetime.now(UTC)), nl=False)
    return 0 if found.stored else os.EX_TEMPFAIL


def _look(settings: Settings) -> Overview:
    folders = Folders(settings.memory_dir.absolute())
    daemon = holder(folders)
    stored, trouble = None, None
    try:
        with database(settings, folders) as found, closing(Store(found.url)) as store:
            stored = _stored(settings, folders, store)
    except TransientError as error:
        trouble = str(error)
    troubles = tuple(_troubles(settings, folders))
    exports = escape(str(folders.exports))
    return Overview(
        escape(str(folders.memory)),
        exports,
        daemon,
        _waiting(settings, folders, _why(daemon, trouble, troubles)),
        tuple(_dead_letters(folders)),
        tuple(_disks(folders)),
        troubles,
        tuple(connected(settings)),
        stored,
        trouble,
        process(daemon),
        (exports,) if daemon else (),
        folders.memory.is_dir(),
        channels_of(folders) if daemon else None,
    )


def _troubles(settings: Settings, folders: Folders) -> Iterator[str]:
    if not folders.memory.is_dir():
        return  # which is told apart
    if not folders.exports.is_dir():
        yield f"{printable(str(folders.exports))} is no folder"
    if low := (
        low_space(folders, settings.disk_reserve_bytes)
        or filling(folders, settings.alerts.disk_free_percent)
    ):
        yield low


def _why(daemon: str | None, trouble: str | None, troubles: tuple[str, ...]) -> str:
    """Why a file waits about which nothing is wrong."""
    if daemon is None:
        return "no daemon works in this folder"
    if trouble:
        return "the database does not answer"
    return troubles[0] if troubles else "its turn has not come yet"


def _stored(settings: Settings, folders: Folders, store: Store) -> Stored:
    store.ping()
    memory_dir = escape(str(folders.memory))
    statistics = store.statistics()
    alerts = store.run(
        lambda tx: desk.list_alerts(tx, _MOST, ["firing", "acknowledged"], no_info=True)
    )
    parked = store.run(lambda tx: Outbox(tx, memory_dir).parked())
    channels, severities = connected(settings), [str(one) for one in Severity]
    return Stored(
        len(statistics),
        sum(one.amounts.unique_messages for one in statistics),
        tuple(store.recent_drops(memory_dir, _LAST)),
        tuple(
            AtRisk(one.conversation_id, level.value, one.risk.reasons)
            for level in _LEVELS
            for one in statistics
            if one.risk.level is level
        ),
        tuple(sorted(alerts, key=lambda alert: -severities.index(alert.severity))),
        {name: said for name, (_, said) in parked.items() if name in channels},
        store.run(searching.lag),
    )


def _waiting(settings: Settings, folders: Folders, otherwise: str) -> Waiting:
    patience = Patience(settings.settle_time, settings.empty_timeout)
    in_flight = sum(not is_sidecar(path.name) for path in folders.inflight.glob("*/*"))
    return survey(folders.exports, patience, in_flight, otherwise, _OLDEST)


def _dead_letters(folders: Folders) -> list[str]:
    """By their reasons; the newest first."""
    reasons = sorted(folders.failed.glob("*.reason.txt"), key=_changed_at, reverse=True)
    return [escape(path.name.removesuffix(".reason.txt")) for path in reasons]


def _changed_at(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:  # gone meanwhile
        return 0


def _disks(folders: Folders) -> Iterator[Disk]:
    """Once where both folders are on one disk."""
    seen = set()
    for folder in (folders.state, folders.archive):
        with suppress(OSError):  # what is missing is told elsewhere
            device = folder.stat().st_dev
            if device not in seen:
                yield Disk(folders.relative(folder), *disk_bytes(folder))
            seen.add(device)
