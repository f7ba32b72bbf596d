"""Without a daemon: drain the drop folder once, or take some files and no others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from .indexer import catch_up
from .models import Report, is_deferred
from .relay import BUSY_S, Relay
from .watcher import scan
from .workplace import Workplace

# So long a run without a daemon tries to tell people what it found.
TELLING_S = 20.0

# And so long it makes searchable what it stored; what is left waits for the next run.
INDEXING_S = 60.0


def run_once(
    place: Workplace, done: Callable[[int], object] = lambda _count: None
) -> tuple[int, list[Report], str]:
    """Drain the folder: exit code, what became of each file, and the status report.

    75 when something had to be deferred; dead letters are a fate, and 0. ``done`` hears how
    many files met theirs.
    """
    relay = place.relay(group_wait_s=0)
    place.prepare()
    reports = []
    for report in _once(place):
        reports.append(place.teller.add(report))
        done(len(reports))
    text = place.teller.tell() or "Nothing to do: no file waits.\n"
    reports = list(map(place.teller.current, reports))
    catch_up(place.store, INDEXING_S, place.stopping)
    place.store.close()
    _tell_people(place, relay)
    return os.EX_TEMPFAIL if any(map(is_deferred, reports)) else os.EX_OK, reports, text


def take(place: Workplace, paths: Iterable[Path]) -> Iterator[Report]:
    """What was in flight, then these dropped files and no others, each to its fate.

    Ends early at a stop signal, and when the database does not answer.
    """
    relay = place.relay(group_wait_s=0)
    place.prepare()
    dropped = filter(None, map(place.pipeline.ingest, paths))
    try:
        for report in chain(map(place.pipeline.resume, place.intake.sweep()), dropped):
            yield place.teller.add(report)
            if place.stopping.is_set() or (is_deferred(report) and not place.answers()):
                break
    finally:
        place.teller.tell()
        catch_up(place.store, INDEXING_S, place.stopping)
        place.store.close()
        _tell_people(place, relay)


def _tell_people(place: Workplace, relay: Relay) -> None:
    """Alerts go out, as far as they do so at once; the next run sends the rest."""
    deadline = time.monotonic() + TELLING_S
    while (
        relay.turn(deadline) == BUSY_S
        and time.monotonic() < deadline
        and not place.stopping.is_set()
    ):
        place.stopping.wait(BUSY_S)
    relay.close()


def _once(place: Workplace) -> Iterator[Report]:
    """What was in flight, what waits and what arrives meanwhile; at last what stays."""
    why = "it did not settle in time; another run takes it"
    told: set[str] = set()
    swept = map(place.pipeline.resume, place.intake.sweep())
    for report in chain(swept, _drain(place)):
        yield report
        if is_deferred(report):
            told.add(report.name)
            why = report.reason
            if not place.answers():
                break
        if place.stopping.is_set():
            why = "exportd was stopped before its turn came"
            break
    yield from (report for report in place.left(why) if report.name not in told)


def _drain(place: Workplace) -> Iterator[Report]:
    """Settled files until none waits, or what waits does not settle in time."""
    deadline = time.monotonic() + 2 * place.settings.settle_time
    seen: set[Path] = set()
    while True:
        for path in scan(place.folders.exports):
            if path not in seen:
                place.settling.see(path, time.monotonic())
                seen.add(path)
        settled = list(place.settling.settled(time.monotonic(), time.time()))
        for path, report in place.pipeline.ingest_all(settled):
            if report:
                yield report
            if not is_deferred(report):
                seen.discard(path)  # another file may come under this name
        if not len(place.settling) or (not settled and time.monotonic() > deadline):
            return
        if not settled:
            place.stopping.wait(0.02)
