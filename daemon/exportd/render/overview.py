"""``exportd status`` for a terminal: how it stands, the last files, what to do next. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from textwrap import shorten, wrap

from .. import cures
from ..alerts.rules import RULES
from ..formats.text import printable
from ..overview import Overview, RecentDrop, Stored
from .alerts import SIGNS
from .wording import size, some

_MOST = 5  # of anything that is named; the rest is counted
_MOST_CHARS = 80  # of what an alert says
_WIDTH = 14  # of the names at the left
_CELLS = 80 - _WIDTH - 2  # that are left of a line beside them
_SIGNS = {"dead_letter": "✗", None: "…"}
_MARKS = {True: "✓", False: "✗", None: "·"}

# Whether it is well, None where it is neither; its name, what was found.
_Fact = tuple[bool | None, str, str]


def overview(of: Overview, now: datetime) -> str:
    """The whole page."""
    lines = [printable(of.memory_dir), ""]
    for is_well, name, found in _facts(of, now):
        first, *others = found.split("\n")
        lines.append(f"{_MARKS[is_well]} {name:<{_WIDTH}}{first}")
        lines += [f"  {'':<{_WIDTH}}{line}" for line in others]
    if of.stored and of.stored.recent:
        lines += ["", "Last files:", *map(_drop, of.stored.recent)]
    todo = list(next_steps(of))
    lines += ["", "What to do next:" if todo else "Nothing to do: drop files into exports/."]
    lines += [f"  - {step}" for step in todo]
    return "\n".join(lines) + "\n"


def next_steps(of: Overview) -> Iterator[str]:
    """A sentence each, the most urgent first; none when all is well."""
    if not of.is_folder:
        yield "make the folder and start in it: exportd run; or say where it is: --memory-dir"
    elif of.daemon is None:
        yield "start the daemon, for nothing is ingested until then: exportd run"
    if of.database_trouble:
        yield "see `exportd doctor`; files wait in exports/ and nothing is lost meanwhile"
    if of.troubles:
        yield "make the room, or mount the disk, that is missing above"
    if of.stored:
        yield from _channel_steps(of, of.stored)
        if any(alert.state == "firing" for alert in of.stored.alerts):
            yield "read and answer the alerts: exportd alerts list"
        if of.stored.at_risk:
            worst = of.stored.at_risk[0].conversation_id
            yield f"drop an export that has what is missing: exportd stats {printable(worst)}"
    if of.dead_letters:
        first, *others = of.dead_letters
        yield (
            f"read why files were set aside: exports-failed/{printable(first)}.reason.txt; "
            f"mend the cause, then: {cures.RETRY_ALL if others else cures.retry(first)}"
        )


def _channel_steps(of: Overview, stored: Stored) -> Iterator[str]:
    if of.unknown_channels:
        yield "restart the daemon: it reads the settings when it starts"
    for channel in stored.parked:
        yield f"mend what {channel} refuses, then: exportd alerts test"


def _facts(of: Overview, now: datetime) -> Iterator[_Fact]:
    if not of.is_folder:
        yield False, "Memory folder", "there is none of this name"
        yield from _database(of)
        return
    yield _daemon(of, now)
    yield _drop_folder(of, now)
    yield from _database(of)
    yield _disk(of)
    if of.stored:
        yield _alerts(of.stored)
    yield _channels(of)
    if of.stored:
        yield _risk(of.stored)
    count = len(of.dead_letters)
    names = _named(list(of.dead_letters))
    yield not count, "Dead letters", f"{some(count, 'file')}: {names}" if count else "none"


def _daemon(of: Overview, now: datetime) -> _Fact:
    if of.daemon is None:
        return False, "Daemon", "none works in this folder"
    age = f", for {_age(now - of.process.since)}" if of.process else ""
    watched = "".join(
        f"\nwatches {printable(root)} and what is below it" for root in of.watch_roots
    )
    return True, "Daemon", f"process {printable(of.daemon)}{age}{watched}"


def _drop_folder(of: Overview, now: datetime) -> _Fact:
    waiting = of.waiting
    found = []
    if waiting.files:
        since = f", the oldest for {_age(now - waiting.since)}" if waiting.since else ""
        found.append(f"{some(waiting.files, 'file')} waiting{since}")
    if waiting.in_flight:
        found.append(f"{some(waiting.in_flight, 'file')} being ingested")
    if waiting.sidecars:
        found.append(some(waiting.sidecars, ".session file"))
    lines = [printable(of.exports_dir), ", ".join(found) or "no file waits"]
    for file in waiting.oldest:
        lines.append(f"… {printable(file.name)}, for {_age(now - file.since)}:")
        lines += wrap(
            printable(file.reason), _CELLS, initial_indent="    ", subsequent_indent="    "
        )
    rest = waiting.files + waiting.sidecars - len(waiting.oldest)
    if waiting.oldest and rest > 0:
        lines.append(f"and {rest:,} more")
    return True, "Drop folder", "\n".join(lines)


def _database(of: Overview) -> Iterator[_Fact]:
    if of.stored is None:
        yield False, "Database", printable(of.database_trouble or "does not answer")
    else:
        conversations = some(of.stored.conversations, "conversation")
        waiting = of.stored.unsearchable
        behind = f", {waiting:,} not searchable yet" if waiting else ""
        yield (
            True,
            "Database",
            f"{some(of.stored.messages, 'message')} in {conversations}{behind}",
        )


def _disk(of: Overview) -> _Fact:
    several = len(of.disks) > 1
    free = [
        f"{size(disk.free_bytes)} free of {size(disk.size_bytes)}"
        + (f" for {disk.folder}/" if several else "")
        for disk in of.disks
    ]
    return not of.troubles, "Disk", "\n".join([*free, *of.troubles])


def _alerts(stored: Stored) -> _Fact:
    if not stored.alerts:
        return True, "Alerts", "none is firing"
    firing = sum(alert.state == "firing" for alert in stored.alerts)
    lines = [f"{firing:,} firing, {len(stored.alerts) - firing:,} acknowledged"]
    for alert in stored.alerts[:_MOST]:
        rule = RULES.get(alert.kind)
        title = rule.title if rule else alert.kind.replace("_", " ")
        what = shorten(printable(alert.body), _MOST_CHARS, placeholder=" …")
        about = printable(alert.conversation_id) if alert.conversation_id else what
        lines.append(f"{SIGNS[alert.severity]} {title} · {about} (alert {alert.alert_id})")
    if len(stored.alerts) > _MOST:
        lines.append(f"and {len(stored.alerts) - _MOST:,} more")
    return not firing, "Alerts", "\n".join(lines)


def _channels(of: Overview) -> _Fact:
    if not of.channels:
        return None, "Channels", "none is set: alerts stand in `exportd alerts list` alone"
    parked = of.stored.parked if of.stored else {}
    lines = [
        f"{name} takes no messages: {printable(parked[name])}" if name in parked else name
        for name in of.channels
        if name not in of.unknown_channels
    ]
    lines += [f"{name}: the daemon was started without it" for name in of.unknown_channels]
    return not (parked or of.unknown_channels), "Channels", "\n".join(lines)


def _risk(stored: Stored) -> _Fact:
    if not stored.at_risk:
        return True, "At risk", "no conversation"
    named = [f"{one.conversation_id} ({one.level})" for one in stored.at_risk]
    count = some(len(stored.at_risk), "conversation")
    return False, "At risk", f"{count}: {_named(named)}"


def _drop(of: RecentDrop) -> str:
    line = f"  {of.dropped_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC  "
    line += f"{_SIGNS.get(of.outcome, '✓')} {of.outcome or 'on its way'}: {printable(of.name)}"
    if of.conversation_ids:
        line += f" → {_named(list(of.conversation_ids))}"
    if of.messages:
        line += f", {of.new:,} new of {some(of.messages, 'message')}"
    return line


def _named(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_MOST])
    rest = len(names) - _MOST
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def _age(age: timedelta) -> str:
    """As coarse as people say it."""
    seconds = max(int(age.total_seconds()), 0)
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= length:
            return some(seconds // length, unit)
    return some(seconds, "second")
