"""Many small files at once: the same is stored as when each comes alone."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import execute, rows
from test_pipeline import Road, another, assert_sound, garden, road, stored, talk

from exportd import formats
from exportd.errors import DatabaseUnavailable
from exportd.group import MOST_BYTES, MOST_FILES, grouped
from exportd.models import Fate, Report

__all__ = ["another", "road"]


def dropped(road: Road, files: dict[str, str]) -> list[Path]:
    paths = [road.folders.exports / name for name in files]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[str(path.relative_to(road.folders.exports))])
        os.utime(path, (1_740_000_000 + number, 1_740_000_000 + number))
    return paths


def at_once(road: Road, files: dict[str, str]) -> dict[str, Report]:
    found = {
        path.name: report for path, report in road.pipeline.ingest_all(dropped(road, files))
    }
    told = {name: report for name, report in found.items() if report}
    assert_sound(road.url)
    return told


def one_by_one(road: Road, files: dict[str, str]) -> None:
    for path in dropped(road, files):
        assert road.pipeline.ingest(path)


def dump(road: Road) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    road.store.dump(None, records.append)
    return [
        {k: v for k, v in one.items() if not k.endswith(("_at", "_updated"))} for one in records
    ]


def audit(road: Road) -> list[tuple[object, ...]]:
    return rows(
        road.url,
        "SELECT e.name, e.state, e.format, e.message_count, e.archive_name IS NOT NULL, "
        "l.messages_processed, l.duplicates_filtered, l.storage_savings_pct, l.metadata::text, "
        "(SELECT string_agg(a.kind || a.message, ',' ORDER BY 1) FROM anomalies a "
        " WHERE a.export_id = e.export_id), "
        "(SELECT string_agg(d.outcome, ',' ORDER BY 1) FROM drops d "
        " WHERE d.export_id = e.export_id) "
        "FROM exports e LEFT JOIN deduplication_log l USING (export_id) ORDER BY e.sha256",
    )


def test_new_sessions_are_stored_by_a_few_statements_for_all(road: Road) -> None:
    files = {f"2025-01-02-EXPORT-S{n}.txt": talk(f"begin {n}", "so be it") for n in range(30)}
    before = execute_count(road)
    reports = at_once(road, files)
    assert {report.fate for report in reports.values()} == {Fate.INGESTED}
    assert {report.new for report in reports.values()} == {2}
    assert len(stored(road.url)) == 60
    assert len(road.archived()) == 30
    assert list(road.folders.inflight.iterdir()) == []
    assert rows(road.url, "SELECT count(*), sum(attempts) FROM exports") == [(30, 30)]
    assert rows(road.url, "SELECT count(*) FROM drops WHERE outcome = 'ingested'") == [(30,)]
    assert execute_count(road) - before < 10  # transactions


def execute_count(road: Road) -> int:
    """Transactions that wrote something."""
    ((number,),) = rows(road.url, "SELECT pg_current_xact_id()::text::bigint")
    return int(number)


@pytest.mark.parametrize("seed", range(6))
def test_any_backlog_is_stored_as_if_its_files_came_one_by_one(
    another: Callable[[], Road], seed: int
) -> None:
    """Grown exports, equal bytes, equal names, lines that name another export, junk."""
    chance, files = random.Random(seed), {}  # noqa: S311
    for n in range(12):
        stem = chance.choice(["EXPORT-A", "EXPORT-B", "a-talk", f"x{n}"])
        folder = chance.choice(["", "", "sub/"])
        text = chance.choice(
            [
                garden(chance.randint(2, 9)),
                talk(f"topic {n % 5}", "well", f"more {n}"),
                talk("go on", "yes", f"{n}")
                + f"  ⎿  Conversation exported to: 2025-01-{n:02}-x{n - 1}.txt\n",
                talk(*(f"turn {m} of bread" for m in range(chance.randint(1, 4)))),
                "make: nothing to be done\n",
                "> hello\n",
            ]
        )
        files[f"{folder}2025-01-{n + 1:02}-{stem}.txt"] = text
    together, apart = another(), another()
    at_once(together, files)
    one_by_one(apart, files)
    assert dump(together) == dump(apart)
    assert audit(together) == audit(apart)
    assert sorted(together.archived().values()) == sorted(apart.archived().values())
    assert sorted(p.name for p in together.folders.failed.iterdir()) == sorted(
        p.name for p in apart.folders.failed.iterdir()
    )
    assert list(together.folders.inflight.iterdir()) == []


def test_what_is_stored_already_takes_the_way_of_every_export(road: Road) -> None:
    road.drop("2025-01-01-EXPORT-G.txt", garden(4))
    road.drop("same.txt", talk("only this", "and that"))
    reports = at_once(
        road,
        {
            "2025-01-02-EXPORT-G.txt": garden(7),
            "again.txt": talk("only this", "and that"),
            "new.txt": talk("something", "else"),
        },
    )
    assert {name: (one.fate, one.new) for name, one in reports.items()} == {
        "2025-01-02-EXPORT-G.txt": (Fate.INGESTED, 3),
        "again.txt": (Fate.DUPLICATE_FILE, 0),
        "new.txt": (Fate.INGESTED, 2),
    }


def test_a_bug_that_one_file_brings_out_costs_that_file_alone(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = formats.parse

    def fail(raw: bytes, name: str) -> object:
        if b"fatal" in raw:
            raise ZeroDivisionError
        return parse(raw, name)

    monkeypatch.setattr(formats, "parse", fail)
    reports = at_once(
        road, {"a.txt": garden(4), "b.txt": talk("fatal", "x"), "c.txt": talk("good", "x")}
    )
    assert [reports[name].fate for name in ("a.txt", "b.txt", "c.txt")] == [
        Fate.INGESTED, Fate.DEAD_LETTER, Fate.INGESTED,
    ]  # fmt: skip
    assert rows(road.url, "SELECT attempts FROM exports WHERE state = 'ingested'") == [
        (1,),
        (1,),
    ]


def test_a_database_lost_in_the_middle_defers_all_and_spends_no_attempt(road: Road) -> None:
    execute(
        road.url,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END'",
    )
    execute(
        road.url,
        "CREATE TRIGGER die BEFORE INSERT ON messages FOR EACH STATEMENT "
        "EXECUTE FUNCTION die()",
    )
    files = {f"{n}.txt": talk(f"begin {n}", "so be it") for n in range(4)}
    assert {report.fate for report in at_once(road, files).values()} == {Fate.DEFERRED}
    assert rows(road.url, "SELECT count(*) FROM conversations") == [(0,)]
    execute(road.url, "DROP TRIGGER die ON messages")
    fates = {road.pipeline.resume(claim).fate for claim in road.intake.sweep()}
    assert fates == {Fate.INGESTED}
    assert rows(road.url, "SELECT DISTINCT attempts FROM exports") == [(1,)]
    assert len(stored(road.url)) == 8


def test_a_file_that_grows_in_flight_is_ingested_again_and_nothing_of_it_is_lost(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = road.pipeline._group
    has_changed = group._has_changed
    grew: list[Path] = []

    def append(member: object) -> bool:
        if not grew:
            grew.append(path := next(road.folders.inflight.glob("*/0.txt")))
            with path.open("a") as file:
                file.write("> and more\n")
        return has_changed(member)  # type: ignore[arg-type]

    monkeypatch.setattr(group, "_has_changed", append)
    reports = at_once(road, {f"{n}.txt": talk(f"begin {n}", "so be it") for n in range(3)})
    assert {report.fate for report in reports.values()} == {Fate.INGESTED}
    assert "and more" in road.archived()["0.txt"]
    assert len(stored(road.url)) == 7
    assert rows(road.url, "SELECT count(*) FROM exports WHERE metadata ? 'grown_into'") == [
        (1,)
    ]


def test_groups_keep_the_order_and_leave_out_what_is_large_or_not_alone(tmp_path: Path) -> None:
    def make(name: str, size: int) -> Path:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
        return tmp_path / name

    small = [make(f"{n:03}", 10) for n in range(MOST_FILES + 1)]
    large = make("large", MOST_BYTES)
    named = make("named", 10)
    sidecar = make("named.session", 10)
    same = make("sub/000", 10)
    assert list(grouped([*small, large, named, sidecar])) == [
        small[:MOST_FILES], small[MOST_FILES:], [large], [named], [sidecar],
    ]  # fmt: skip
    assert list(grouped([small[0], same])) == [[small[0]], [same]]
    assert list(grouped([tmp_path / "gone", make("empty", 0)])) == [
        [tmp_path / "gone"], [tmp_path / "empty"],
    ]  # fmt: skip


def test_a_folder_that_refuses_defers_its_files_alone(road: Road) -> None:
    """A link in the way stands for a folder that nothing may be taken from."""
    files = dropped(road, {"a.txt": talk("a", "b"), "sub/b.txt": talk("c", "d")})
    inside = road.folders.exports / "sub"
    inside.rename(road.folders.memory / "elsewhere")
    inside.symlink_to(road.folders.memory / "elsewhere")
    found = dict(road.pipeline.ingest_all(files))
    fates = {path.name: report.fate for path, report in found.items() if report}
    assert fates["a.txt"] is Fate.INGESTED
    assert (road.folders.memory / "elsewhere" / "b.txt").exists()


def test_who_stops_in_the_middle_spends_no_attempt_of_what_was_claimed_ahead(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exportd.group.MOST_FILES", 2)
    files = {f"{n}.txt": talk(f"begin {n}", "so be it") for n in range(6)}
    taken = road.pipeline.ingest_all(dropped(road, files))
    _, report = next(taken)
    assert report
    assert report.fate is Fate.INGESTED
    taken.close()  # type: ignore[attr-defined]
    counted = rows(road.url, "SELECT attempts, state FROM exports ORDER BY export_id")
    assert counted == [(1, "ingested"), (1, "ingested"), (0, "claimed"), (0, "claimed")]
    assert {road.pipeline.resume(claim).fate for claim in road.intake.sweep()} == {
        Fate.INGESTED
    }
    assert {p.name for p in road.folders.exports.iterdir()} == {"4.txt", "5.txt"}


def test_a_sidecar_that_comes_while_a_group_is_claimed_names_the_conversation(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = road.intake.take

    def late(path: Path, place: Path) -> object:
        if path.name == "a.txt":
            path.with_name("a.txt.session").write_text("mine\n")
        return take(path, place)

    monkeypatch.setattr(road.intake, "take", late)
    at_once(road, {"a.txt": talk("a", "b"), "b.txt": talk("c", "d")})
    found = rows(road.url, "SELECT conversation_id FROM conversations ORDER BY 1")
    assert found == [("b",), ("mine",)]


def test_a_file_that_cannot_be_claimed_leaves_the_others_their_place(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refuse(source: str, place: Path, **more: int) -> None:
        if source == "a.txt":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, place, **more)

    monkeypatch.setattr(os, "rename", refuse)
    reports = at_once(road, {"a.txt": talk("a", "b"), "b.txt": talk("c", "d")})
    assert [reports[name].fate for name in ("a.txt", "b.txt")] == [Fate.DEFERRED, Fate.INGESTED]


def test_what_cannot_be_noted_now_is_noted_before_the_next_file(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That files are archived, and that attempts were no fault of theirs."""
    mark = road.store.mark_all_archived
    failed: list[object] = []

    def once(names: Mapping[int, str]) -> None:
        if not failed:
            failed.append(names)
            raise DatabaseUnavailable("gone for a moment")
        mark(names)

    monkeypatch.setattr(road.store, "mark_all_archived", once)
    reports = at_once(road, {"a.txt": talk("a", "b"), "b.txt": talk("c", "d")})
    assert {report.fate for report in reports.values()} == {Fate.INGESTED}
    road.drop("c.txt", talk("e", "f"))
    missing = rows(road.url, "SELECT count(*) FROM exports WHERE archive_name IS NULL")
    assert missing == [(0,)]


def test_a_server_that_hangs_lets_a_group_wait_once(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []

    def away(*_given: object) -> None:
        begun.append(_given)
        raise DatabaseUnavailable("no answer within 30 s")

    paths = dropped(road, {f"{n}.txt": talk(f"begin {n}", "so be it") for n in range(5)})
    monkeypatch.setattr(road.store, "begin_all", away)
    monkeypatch.setattr(road.store, "begin", away)
    ping, pings = road.store.ping, iter([None])

    def hang() -> None:
        if next(pings, False) is False:
            raise DatabaseUnavailable("no answer within 30 s")
        ping()

    monkeypatch.setattr(road.store, "ping", hang)
    fates = {report.fate for _, report in road.pipeline.ingest_all(paths) if report}
    assert fates == {Fate.DEFERRED}
    assert len(begun) == 2


def test_a_name_that_is_taken_in_the_archive_is_told_as_any_other_file(road: Road) -> None:
    road.drop("a.txt", talk("something", "else"))
    reports = at_once(road, {"a.txt": talk("a", "b"), "b.txt": talk("c", "d")})
    assert reports["a.txt"].reason == ""
    assert reports["a.txt"].new == 2
    assert len(road.archived()) == 3
