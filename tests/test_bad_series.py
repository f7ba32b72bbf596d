"""Series that try to have sessions merged, doubled or lost: what is stored of each.

Every drop goes the whole road and the database is checked after it (``Road.drop``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
from conftest import rows
from test_pipeline import Road, anomalies, contents, garden, road, stored, talk

from exportd.models import Fate

__all__ = ["road"]  # a fixture

OPENING = ("continue", "I'll go on where we stopped.")
MILL = talk(*OPENING, "grind the wheat", "The wheat is ground.")
POND = talk(*OPENING, "feed the carps", "The carps are fed.")


def segments(road: Road) -> list[tuple[str, int]]:
    return rows(
        road.url,
        "SELECT conversation_id, message_count FROM segments ORDER BY conversation_id, ordinal",
    )


def everything(road: Road) -> Counter[str]:
    return Counter(str(row[4]) for row in stored(road.url))


def files_outside(road: Road) -> list[Path]:
    """What lies beside the memory folder, or in it where nothing belongs."""
    known = {"exports", "exports-archive", "exports-failed", "sessions", ".exportd"}
    beside = [p for p in road.folders.memory.parent.iterdir() if p != road.folders.memory]
    inside = [p for p in road.folders.memory.iterdir() if p.name not in known]
    return beside + [p for p in inside if p != road.folders.status_log]


# -- sessions that look alike ------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_two_sessions_with_the_same_generic_beginning_stay_two(road: Road, first: int) -> None:
    files = [("EXPORT-mill.txt", MILL), ("EXPORT-pond.txt", POND)]
    road.drop(*files[first])
    road.drop(*files[1 - first])
    assert segments(road) == [("mill", 4), ("pond", 4)]
    assert contents(road.url, "mill")[2:] == ["grind the wheat", "The wheat is ground."]
    assert contents(road.url, "pond")[2:] == ["feed the carps", "The carps are fed."]
    assert "divergence" in anomalies(road.url)


def test_two_sessions_of_one_generic_prompt_stay_two(road: Road) -> None:
    road.drop("EXPORT-mill.txt", talk("yes", "The wheat is ground."))
    road.drop("EXPORT-pond.txt", talk("yes", "The carps are fed."))
    assert segments(road) == [("mill", 2), ("pond", 2)]


def test_two_sessions_under_one_name_are_two_segments_and_reported(road: Road) -> None:
    road.drop("EXPORT-mill.txt", MILL)
    road.drop("EXPORT-Mill.txt", POND)
    assert segments(road) == [("mill", 4), ("mill", 4)]
    assert "shared_name" in anomalies(road.url)


# -- transcripts in transcripts ----------------------------------------------------------


def test_a_pasted_transcript_is_no_part_of_the_session_it_was_copied_from(road: Road) -> None:
    road.drop("EXPORT-garden.txt", garden(6))
    pasted = talk("what went wrong here?", "Show me.", garden(6), "I see.", "mend it", "Done.")
    road.drop("EXPORT-help.txt", pasted)
    assert segments(road)[0] == ("garden", 6)
    assert len(segments(road)) == 2
    assert "pasted_transcript" in anomalies(road.url)
    for turn in range(6):
        said = f"turn {turn} about the garden, bed number {turn * 7}"
        assert sum(count for text, count in everything(road).items() if said in text) == 2


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_two_exports_in_one_file_are_kept_whole(road: Road, order: tuple[int, ...]) -> None:
    """It begins like the first one, so it is taken for a longer export of that session."""
    garden_then_pond = garden(4) + "\n" + POND
    files = [
        ("EXPORT-garden.txt", garden(4)),
        ("EXPORT-pond.txt", POND),
        ("EXPORT-both.txt", garden_then_pond),
    ]
    for number in order:
        road.drop(*files[number])
    assert segments(road) == [("garden", 8), ("pond", 4)]


# -- parts of what is stored -------------------------------------------------------------


def test_a_strict_subset_adds_nothing(road: Road) -> None:
    road.drop("EXPORT-garden.txt", garden(8))
    report = road.drop("EXPORT-garden.txt", garden(5))
    assert (report.fate, report.new) == (Fate.UNCHANGED, 0)
    assert segments(road) == [("garden", 8)]


def test_a_file_whose_head_was_cut_off_is_kept_apart_and_loses_nothing(road: Road) -> None:
    """Overlap that does not begin at the head may be a quotation (DESIGN 4.2)."""
    headless = "\n".join(garden(8).split("\n")[5:])
    road.drop("EXPORT-garden.txt", garden(8))
    road.drop("EXPORT-garden.txt", headless)
    (_, whole), (_, part) = segments(road)
    assert whole == 8
    assert contents(road.url, "garden")[whole:] == contents(road.url, "garden")[8 - part : 8]


def test_a_file_with_something_missing_inside_adds_nothing_and_removes_nothing(
    road: Road,
) -> None:
    blocks = garden(8).split("\n\n")
    road.drop("EXPORT-garden.txt", garden(8))
    road.drop("EXPORT-garden.txt", "\n\n".join(blocks[:6]) + "\n")
    assert segments(road) == [("garden", 8)]


# -- names -------------------------------------------------------------------------------


def test_one_content_under_fifty_names_is_stored_once(road: Road) -> None:
    """The earliest date names it; here it comes in the middle."""
    names = [f"2025-11-{28 - n % 28:02}-EXPORT-garden-{n}.txt" for n in range(50)]
    for name in names:
        road.drop(name, garden(4))
    assert segments(road) == [("garden-27", 4)]
    assert len(road.archived()) == 1
    assert rows(road.url, "SELECT count(DISTINCT original_name) FROM drops") == [(50,)]


STRANGE = {
    "three hundred characters": "g" * 300,
    "three hundred others": "g" * 299 + "h",
    "a way out": "../../../etc/passwd",
    "a root": "/etc/passwd",
    "a way out of Windows": "..\\..\\system32",
    "emoji": "🌻🌷",
    "other emoji": "🌷🌻",
    "a dot": ".",
    "only dots": "...",
    "more dots": "....",
    "a hidden file": ".bashrc",
    "an option": "--help",
    "a device": "CON",
    "signs": "c++ & c#?*|<>",
}


def test_strange_ids_stay_apart_and_inside_their_folder(road: Road) -> None:
    """Given by hand as they are, for a file name holds neither ``/`` nor 300 characters."""
    for number, strange in enumerate(STRANGE.values()):
        file = road.folders.exports / f"{number}.txt"
        file.with_name(f"{number}.txt.session").write_text(strange)
        road.drop(file.name, talk(f"this is number {number}", f"Number {number} it is."))
    ids = [conversation_id for conversation_id, _ in segments(road)]
    assert len(set(ids)) == len(STRANGE)
    assert all(len(one) <= 255 and not set(one) & set('/\\\n\0<>|?*"') for one in ids)
    sessions = list(road.folders.sessions.iterdir())
    assert {path.name for path in sessions} == {f"{one}.md" for one in ids}
    assert not any(one.startswith(".") for one in ids)
    assert files_outside(road) == []


@pytest.mark.parametrize("no_id", ["   ", "gar\nden", ""])
def test_what_is_no_id_is_refused_with_the_file_and_a_reason(road: Road, no_id: str) -> None:
    (road.folders.exports / "a.txt.session").write_text(no_id)
    report = road.drop("a.txt", garden(4))
    assert report.fate is Fate.DEAD_LETTER
    assert "one line of text" in report.reason
    assert (road.folders.failed / "a.txt").read_text() == garden(4)
    assert files_outside(road) == []


@pytest.mark.parametrize(
    "name",
    ["🌻🌷", "..", "...", "....txt", "EXPORT-...", "EXPORT-..", "EXPORT-.txt", "-", "a" * 240,
     "EXPORT-🌻.txt", "EXPORT-..\\..\\up.txt", "EXPORT-\x1b[2J.txt", "EXPORT- .txt"],
)  # fmt: skip
def test_a_strange_name_loses_nothing_and_nothing_leaves_its_folder(
    road: Road, name: str
) -> None:
    name = name if name.strip(".") else f"x{name}"  # a file cannot be called ".."
    report = road.drop(name, garden(4))
    assert report.fate is Fate.INGESTED
    assert [count for _, count in segments(road)] == [4]
    assert len(list(road.folders.sessions.iterdir())) == 1
    assert files_outside(road) == []


@pytest.fixture(autouse=True)
def _nothing_is_in_flight_at_the_end(road: Road) -> Iterator[None]:
    yield
    assert list(road.folders.inflight.iterdir()) == []
