"""Dead letters: listed, put back, given up, and settled by what is ingested later."""

from __future__ import annotations

import gzip
import io
import os
import shlex
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SAMPLES, Command, execute, rows
from schemas import conforming
from test_pipeline import Road

from exportd import dead_letters, failed
from exportd.crash import POINTS
from exportd.dead_letters import DeadLetters
from exportd.failed import Failed
from exportd.folders import Folders
from exportd.limits import Limits
from exportd.listed import DeadLetter
from exportd.render.dead_letters import listing
from exportd.store import Store
from exportd.verify import verify

TALK = "> one\n\n⏺ two\n\n> three\n\n⏺ four\n"
ALERTS = "SELECT state, resolution FROM alerts WHERE kind = 'dead_letter' ORDER BY alert_id"
LETTERS = "SELECT settlement, settled_by FROM dead_letters ORDER BY dead_letter_id"


@pytest.fixture
def road(memory_dir: Path, database_url: str) -> Iterator[Road]:
    made = Road(memory_dir, database_url)
    yield made
    made.store.close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def findings(road: Road) -> list[str]:
    return [finding.kind for finding in verify(road.store, road.store, road.folders).findings]


def refusing(road: Road, name: str) -> None:
    """Set a good file aside, as a limit does that is raised later."""
    storing = road.pipeline._storing
    limits, storing._limits = storing._limits, Limits(10**6, 100, 1, 60, max_attempts=3)
    road.drop(name, TALK)
    storing._limits = limits
    assert name in names(road.folders.failed)


def test_one_that_a_person_mended_and_moved_back_is_settled_with_its_alert_and_note(
    road: Road,
) -> None:
    road.drop("a.txt", "make: nothing to be done\n")
    road.drop("b.txt", "no talk either\n")
    (road.folders.failed / "a.txt").unlink()
    road.drop("a.txt", TALK)
    assert names(road.folders.failed) == {"b.txt", "b.txt.reason.txt"}
    assert rows(road.url, LETTERS) == [("ingested", None), (None, None)]
    assert rows(road.url, ALERTS) == [
        ("resolved", "it was ingested after all"),
        ("firing", None),
    ]
    assert findings(road) == []


def test_a_file_of_the_same_name_settles_nothing_while_the_dead_letter_lies_there(
    road: Road,
) -> None:
    road.drop("a.txt", "make: nothing to be done\n")
    road.drop("a.txt", TALK)
    assert names(road.folders.failed) == {"a.txt", "a.txt.reason.txt"}
    assert rows(road.url, LETTERS) == [(None, None)]


def test_when_its_bytes_were_ingested_the_copy_of_what_is_archived_goes(road: Road) -> None:
    refusing(road, "a.txt")
    refusing(road, "b.txt")
    (road.folders.failed / "b.txt").write_text("changed by hand since")
    road.drop("other-name.txt", TALK)
    assert names(road.folders.failed) == {"b.txt", "b.txt.reason.txt"}
    assert rows(road.url, LETTERS) == [("ingested", None), (None, None)]
    assert rows(road.url, ALERTS) == [("firing", None)]  # one content, one alert
    assert (road.folders.archive / "other-name.txt").read_text() == TALK


def test_what_a_kill_left_of_settling_is_tidied_at_the_next_start(road: Road) -> None:
    refusing(road, "a.txt")

    road.pipeline.dead_letters.settle = lambda *_: None  # type: ignore[method-assign]
    road.drop("again.txt", TALK)
    assert "a.txt" in names(road.folders.failed)
    box = DeadLetters(road.folders, road.store)
    killed_at("settle.noted", lambda store: DeadLetters(road.folders, store).settle(), road.url)
    assert rows(road.url, LETTERS) == [("ingested", None)]
    assert names(road.folders.failed) == {"a.txt", "a.txt.reason.txt"}
    box.take_up()
    assert names(road.folders.failed) == set()


def killed_at(point: str, work: Callable[[Store], object], url: str) -> None:
    """Do ``work`` in a process that is killed with SIGKILL when the point is reached."""
    pid = os.fork()
    if not pid:

        def reach(here: str) -> None:
            if here == point:
                os.kill(os.getpid(), signal.SIGKILL)

        dead_letters.reach = failed.reach = reach  # type: ignore[attr-defined]
        work(Store(url))
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"{point} was not reached"


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith("retry.")])
def test_a_kill_while_one_is_put_back_loses_nothing_and_it_can_be_done_again(
    road: Road, point: str
) -> None:
    (road.folders.exports / "a.txt.session").write_text("mine\n")
    refusing(road, "a.txt")

    def retry(store: Store) -> None:
        box = DeadLetters(road.folders, store)
        for letter in box.listed():
            if letter.place == "there":
                box.retry(letter, "anna")

    killed_at(point, retry, road.url)
    lies = [f for f in (road.folders.failed, road.folders.exports) if (f / "a.txt").exists()]
    assert len(lies) == 1
    retry(road.store)
    assert (road.folders.exports / "a.txt").read_text() == TALK
    assert (road.folders.exports / "a.txt.session").read_text() == "mine\n"
    report = road.pipeline.ingest(road.folders.exports / "a.txt")
    assert report is not None
    assert report.conversation_id == "mine"
    DeadLetters(road.folders, road.store).take_up()
    assert names(road.folders.failed) == set()
    assert rows(road.url, LETTERS) == [("retried", "anna")]
    assert rows(road.url, ALERTS) == [("resolved", "anna put it back into exports/")]


def test_one_that_fails_again_is_one_dead_letter_with_one_alert(road: Road) -> None:
    road.drop("a.txt", "nothing\n")
    box = DeadLetters(road.folders, road.store)
    assert box.retry(box.listed()[0], "anna").obstacle is None
    road.drop("a.txt", "nothing\n")
    assert [letter.place for letter in box.listed() if not letter.settlement] == ["there"]
    (road.folders.failed / "a.txt").rename(road.folders.exports / "a.txt")  # by hand
    road.pipeline.ingest(road.folders.exports / "a.txt")
    assert rows(road.url, LETTERS) == [("retried", "anna"), ("replaced", None), (None, None)]
    assert [state for state, _ in rows(road.url, ALERTS)] == ["resolved", "firing"]
    assert findings(road) == []


def test_nothing_is_replaced_followed_or_put_outside_of_its_folder(road: Road) -> None:
    secret = road.folders.memory / "secret"
    secret.write_text("no business of an export")
    road.drop("a.txt", "nothing\n")
    (road.folders.failed / "a.txt").unlink()
    (road.folders.failed / "a.txt").symlink_to(secret)
    box, put = DeadLetters(road.folders, road.store), Failed(road.folders)
    refused = box.retry(box.listed()[0], "anna")
    assert refused.obstacle == "it is a symbolic link; drop a copy of the file itself"
    (road.folders.failed / "a.txt").unlink()
    (road.folders.failed / "a.txt").write_text("nothing\n")
    (road.folders.exports / "a.txt").write_text("another")
    taken = box.retry(box.listed()[0], "anna")
    assert taken.can_wait
    assert "exports/a.txt is another file" in str(taken.obstacle)
    for name, original in (("../secret", "a"), ("a.txt", "../../up"), ("a.txt", "..")):
        assert put.obstacle(name, original) == ("its name is none of a file in a folder", False)
    assert rows(road.url, LETTERS) == [(None, None)]
    assert (road.folders.exports / "a.txt").read_text() == "another"


def test_a_damaged_container_has_one_alert_and_is_settled_with_what_is_in_it(
    road: Road, exportd: Command
) -> None:
    chat = (SAMPLES / "claude-ai.json").read_bytes()
    assert road.drop("a.json.gz", gzip.compress(chat[:900])).fate.value == "dead_letter"
    assert len(rows(road.url, ALERTS)) == 1
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, raw in (
            ("good.txt", TALK.encode()),
            ("1.json", chat[:900]),
            ("2.json", chat[:800]),
        ):
            file.writestr(name, raw)
    assert road.drop("all.zip", packed.getvalue()).fate.value == "ingested"
    bodies = [
        body
        for (body,) in rows(
            road.url, "SELECT body FROM alerts WHERE kind = 'dead_letter' ORDER BY alert_id"
        )
    ]
    assert len(bodies) == 2
    assert bodies[1].startswith("all.zip: 2 conversations could not be ingested; the first: ")
    box = DeadLetters(road.folders, road.store)
    assert {one.name: one.inside for one in box.listed()} == {
        "a.json.gz": None, "a.json": "a.json.gz", "1.json": "all.zip", "2.json": "all.zip",
    }  # fmt: skip
    assert max(map(len, listing(box.listed(), 80).splitlines())) <= 80
    road.drop("1.json", chat)
    assert [state for state, _ in rows(road.url, ALERTS)] == ["firing", "firing"]
    inside = exportd("retry", "2.json")
    assert inside.returncode == os.EX_USAGE
    assert "2.json lies in all.zip, which is archived" in inside.stderr
    assert exportd("dead-letters", "--forget", "2.json").returncode == 0
    assert [state for state, _ in rows(road.url, ALERTS)] == ["firing", "resolved"]
    assert exportd("retry", "a.json.gz").returncode == 0
    assert [state for state, _ in rows(road.url, ALERTS)] == ["resolved", "resolved"]
    assert [one.name for one in box.listed() if not one.settlement] == []


def test_what_was_deleted_is_given_up_by_a_person_and_that_stays_written(
    road: Road, exportd: Command
) -> None:
    road.drop("a.txt", "nothing\n")
    refused = exportd("dead-letters", "--forget", "a.txt")
    assert refused.returncode == os.EX_USAGE
    assert "delete the file first" in refused.stderr
    (road.folders.failed / "a.txt").unlink()
    assert findings(road) == ["dead_letter_missing"]
    told = exportd("dead-letters").stdout
    assert "its file is gone from exports-failed/" in told
    assert told.endswith("If you deleted it: exportd dead-letters --forget a.txt\n")
    done = exportd("dead-letters", "--forget", "a.txt", "--json")
    assert conforming("dead-letters", done.stdout) == {
        "dead_letters": [],
        "forgotten": ["a.txt"],
    }
    assert names(road.folders.failed) == set()
    assert findings(road) == []
    ((settlement, who),) = rows(road.url, LETTERS)
    assert (settlement, bool(who)) == ("forgotten", True)
    assert rows(road.url, ALERTS) == [("resolved", f"{who} gave it up")]
    found = conforming("dead-letters", exportd("dead-letters", "--all", "--json").stdout)
    assert [one["settlement"] for one in found["dead_letters"]] == ["forgotten"]
    assert exportd("dead-letters").stdout == "Nothing is set aside.\n"


def test_the_command_puts_back_what_it_is_told_and_says_who_takes_it(
    road: Road, exportd: Command
) -> None:
    for name in ("a b.txt", "c.txt"):
        road.drop(name, f"nothing in {name}\n")
    (road.folders.failed / "stranger.txt").write_text(TALK)  # that no row knows
    assert exportd("retry").returncode == os.EX_USAGE
    near = exportd("retry", "c.txd")
    assert near.returncode == os.EX_USAGE
    assert "did you mean c.txt" in near.stderr
    assert "exportd retry" in exportd("dead-letters").stdout
    (road.folders.exports / "c.txt").write_text("in the way")
    done = exportd("retry", "--all", "--json")
    assert done.returncode == os.EX_TEMPFAIL
    found = conforming("retry", done.stdout)
    assert {one["file"] for one in found["put_back"]} == {
        "exports/a b.txt",
        "exports/stranger.txt",
    }
    assert [(one["name"], one["may_work_later"]) for one in found["left"]] == [("c.txt", True)]
    assert found["daemon"] is None
    assert names(road.folders.failed) == {"c.txt", "c.txt.reason.txt"}
    (road.folders.exports / "c.txt").unlink()
    with exportd.running() as daemon:
        told = exportd("retry", "c.txt").stdout
    assert "✓ c.txt → exports/c.txt\n" in told
    assert f"The daemon (process {daemon.pid} on " in told


def test_the_commands_of_the_note_do_what_it_says(road: Road, exportd: Command) -> None:
    for name in ("it's $(a) b.txt", "-n\x1b.txt"):
        road.drop(name, "nothing\n")
        note = (road.folders.failed / f"{name}.reason.txt").read_text()
        retry, forget = (line for line in note.splitlines() if line.startswith("    exportd "))
        refused = exportd(*shlex.split(forget)[1:])
        assert refused.returncode == os.EX_USAGE
        assert f"put it back: {retry.strip()}" in refused.stderr
        assert exportd(*shlex.split(retry)[1:]).returncode == 0
        road.pipeline.ingest(road.folders.exports / name)  # it fails again
        told = exportd("dead-letters").stdout
        assert f"{retry.strip()}\n" in told
        assert f"No conversation? Delete it, then: {forget.strip()}\n" in told
        (road.folders.failed / name).unlink()
        done = exportd(*shlex.split(forget)[1:])
        assert done.returncode == 0, done.stderr
        assert names(road.folders.failed) == set()


def test_names_and_reasons_reach_the_terminal_escaped() -> None:
    letter = DeadLetter(
        1, 1, "\x1b[2J.log", "\x1b[2J.log", "file", None, None, "no \x1b[1m talk", "X", 5,
        None, place="there",
    )  # fmt: skip
    text = listing([letter], 80)
    assert "\x1b" not in text
    assert "\\x1b[2J.log" in text


def test_a_database_from_before_knows_the_folder_of_its_dead_letters(
    road: Road, tmp_path: Path
) -> None:
    road.drop("a.txt", "nothing\n")
    rollback = Path(dead_letters.__file__).parent / "store/sql/migrations"
    execute(road.url, (rollback / "0012.dead-letters.rollback.sql").read_text())
    execute(road.url, (rollback / "0012.dead-letters.sql").read_text())
    (letter,) = DeadLetters(road.folders, road.store).listed()
    assert (letter.name, letter.place) == ("a.txt", "there")
    elsewhere = Folders(tmp_path / "elsewhere")
    assert DeadLetters(elsewhere, road.store).listed() == []


def test_a_file_is_no_note_and_a_note_is_no_file(memory_dir: Path) -> None:
    folders = Folders(memory_dir)
    folders.create()
    for name in ("a", "a.reason.txt", "a.session", "b.session", "b.session.reason.txt",
                 "c.reason.txt", "c.reason.txt.reason.txt", "gone.reason.txt",
                 ".x.tmp"):  # fmt: skip
        (folders.failed / name).write_text("")
    assert Failed(folders).names() == ["a", "b.session", "c.reason.txt"]
    shutil.rmtree(folders.failed)
    assert Failed(folders).names() == []


def test_a_note_of_a_day_that_there_is_not_stops_nobody(memory_dir: Path) -> None:
    folders = Folders(memory_dir)
    folders.create()
    (folders.failed / "a.txt.reason.txt").write_text(
        "Why:  mine\nWhen: 2026-02-31 25:00:00 UTC\n"
    )
    found = Failed(folders).unknown("a.txt")
    assert (found.reason, found.set_aside_at) == ("mine", None)
