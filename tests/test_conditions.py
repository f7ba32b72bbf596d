"""What is wrong with the surroundings becomes an alert, once, and is resolved."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from conftest import Command, execute, rows, wait_until

from exportd.conditions import KINDS, Conditions
from exportd.spool import Spool
from exportd.store import Store

HERE = "/home/anna/MEMORY-CONTEXT"


def alerts(url: str) -> list[tuple[object, ...]]:
    return rows(url, "SELECT title, severity, state, body FROM alerts ORDER BY alert_id")


def told(url: str) -> list[tuple[object, ...]]:
    return [alert[:3] for alert in alerts(url)]


def test_a_condition_is_told_once_and_resolved_when_it_is_over(
    database_url: str, tmp_path: Path
) -> None:
    conditions = Conditions(Store(database_url), Spool(tmp_path), HERE)
    for _ in range(3):
        conditions.see("watcher_blind", "exports/ is gone")
        conditions.write()
    assert told(database_url) == [("watcher blind", "critical", "firing")]
    assert conditions.reasons == ["exports/ is gone"]
    conditions.see("watcher_blind", None)
    conditions.write()
    assert told(database_url) == [("watcher blind", "critical", "resolved")]
    assert conditions.reasons == []


def test_a_condition_that_the_database_cannot_take_waits_in_the_spool_with_its_end(
    database_url: str, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    conditions = Conditions(Store("postgresql://nobody@127.0.0.1:1/nowhere"), spool, HERE)
    conditions.see("database_unreachable", "PostgreSQL does not answer")
    assert not conditions.write()
    assert not conditions.write()
    (entry,) = spool.entries()
    assert entry.body.startswith("PostgreSQL does not answer (since 20")
    assert entry.over_at is None
    conditions.see("database_unreachable", None)
    conditions._store = Store(database_url)
    assert conditions.write()
    (entry,) = spool.entries()
    assert entry.over_at is not None
    assert alerts(database_url) == []  # the relay takes it in


def test_what_a_killed_process_left_firing_is_resolved_unless_it_is_still_so(
    database_url: str, tmp_path: Path
) -> None:
    before = Conditions(Store(database_url), Spool(tmp_path), HERE)
    for kind in KINDS:
        before.see(kind, "it was so")
    before.write()
    elsewhere = Conditions(Store(database_url), Spool(tmp_path), "/home/ben/MEMORY-CONTEXT")
    elsewhere.see("disk_low", "it is so there")
    elsewhere.write()
    after = Conditions(Store(database_url), Spool(tmp_path), HERE)
    after.see("disk_low", "it is still so")
    after.write()
    firing = rows(database_url, "SELECT body FROM alerts WHERE state = 'firing' ORDER BY 1")
    assert [str(body).split(" (")[0] for (body,) in firing] == [
        "it is so there",
        "it is still so",
    ]


def test_a_condition_that_comes_back_is_told_again(database_url: str, tmp_path: Path) -> None:
    conditions = Conditions(Store(database_url), Spool(tmp_path), HERE)
    for trouble in ("first", None, "second"):
        conditions.see("disk_low", trouble)
        conditions.write()
    assert [state for _, _, state in told(database_url)] == ["resolved", "firing"]


def test_what_is_wrong_can_be_read_while_it_changes(tmp_path: Path) -> None:
    """The health page and the service manager's thread read it, the worker changes it."""
    conditions = Conditions(
        Store("postgresql://nobody@127.0.0.1:1/nowhere"), Spool(tmp_path), HERE
    )
    done = threading.Event()
    worker = threading.Thread(target=_change, args=(conditions, done))
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    worker.start()
    try:
        for _ in range(50_000):
            assert len(conditions.reasons) <= len(KINDS)
    finally:
        sys.setswitchinterval(usual)
        done.set()
        worker.join()


def _change(conditions: Conditions, done: threading.Event) -> None:
    while not done.is_set():
        for kind in KINDS:
            conditions.see(kind, "it is so")
        conditions._found.clear()  # as when all is written


def test_a_start_does_not_tell_anew_that_nothing_was_exported_for_days(
    exportd: Command, database_url: str
) -> None:
    exports = exportd.memory_dir / "exports"
    (exports / "a.txt").write_text("> one\n\n⏺ two\n")
    assert exportd("run", "--once").returncode == 0
    execute(database_url, "UPDATE drops SET created_at = created_at - interval '30 days'")
    asked = "SELECT state, occurrences FROM alerts WHERE kind = 'no_export'"
    with exportd.running():
        wait_until(lambda: rows(database_url, asked) == [("firing", 1)], 30)
    with exportd.running():
        wait_until(lambda: rows(database_url, asked) == [("firing", 2)], 30)
