"""When a seen file is safe to read. Clocks are arguments; files and writers are real."""

from __future__ import annotations

import os
from pathlib import Path

from exportd.intake.files import has_writer
from exportd.watcher.settling import MAX_REMEMBERED, RECHECK_S, Settling

SETTLE_S = 1.0
EMPTY_S = 600.0
WALL = 1_700_000_000.0


def settling() -> Settling:
    return Settling(SETTLE_S, EMPTY_S, has_writer)


def dropped(folder: Path, name: str, text: str, age_s: float = 0.0) -> Path:
    path = folder / name
    path.write_text(text)
    os.utime(path, (WALL - age_s, WALL - age_s))
    return path


def ready(s: Settling, now: float) -> list[Path]:
    return list(s.settled(now, WALL + now))


def test_an_old_file_settles_at_the_first_look(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi", age_s=60)
    s.see(path, 0)
    assert ready(s, 0) == [path]
    assert len(s) == 0


def test_a_fresh_file_settles_when_it_held_still(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi")
    s.see(path, 0)
    assert ready(s, 0) == []
    assert ready(s, SETTLE_S / 2) == []
    assert ready(s, SETTLE_S) == [path]


def test_a_closed_file_settles_after_one_more_look(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi")
    s.see(path, 0, closed=True)
    assert ready(s, 0) == []
    assert s.next_due() == RECHECK_S
    assert ready(s, RECHECK_S) == [path]


def test_a_file_that_grows_settles_only_after_its_last_change(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi")
    s.see(path, 0)
    for second in range(5):
        path.write_text("> hi" * (second + 2))
        os.utime(path, (WALL + second, WALL + second))
        assert ready(s, float(second)) == []
    assert ready(s, 4 + SETTLE_S) == [path]


def test_a_rewrite_of_equal_size_counts_as_a_change(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> aa")
    s.see(path, 0)
    assert ready(s, 0) == []
    path.write_text("> bb")
    os.utime(path, (WALL + SETTLE_S, WALL + SETTLE_S))
    assert ready(s, SETTLE_S) == []
    assert ready(s, 2 * SETTLE_S) == [path]


def test_a_file_with_a_writer_does_not_settle_however_still_it_is(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi", age_s=60)
    with path.open("a"):
        s.see(path, 0)
        for second in range(100):
            assert ready(s, float(second)) == []
    assert ready(s, 100.0) == [path]


def test_an_empty_file_waits_for_the_empty_timeout(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "")
    s.see(path, 0, closed=True)
    assert ready(s, 0) == []
    assert ready(s, EMPTY_S - 1) == []
    assert ready(s, EMPTY_S) == [path]


def test_an_empty_file_from_the_future_waits_no_longer(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "", age_s=-1_000_000)
    s.see(path, 0)
    assert ready(s, 0) == ready(s, EMPTY_S - 1) == []
    assert ready(s, EMPTY_S) == [path]


def test_an_empty_file_that_is_filled_settles_as_any_other(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "")
    s.see(path, 0)
    assert ready(s, 0) == []
    dropped(tmp_path, "a.txt", "> hi", age_s=-SETTLE_S)
    assert ready(s, SETTLE_S) == []
    assert ready(s, 2 * SETTLE_S) == [path]


def test_a_file_from_the_future_settles_by_holding_still(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi", age_s=-86_400)
    s.see(path, 0)
    assert ready(s, 0) == []
    assert ready(s, SETTLE_S) == [path]


def test_a_file_that_went_away_is_forgotten(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi")
    s.see(path, 0)
    path.unlink()
    assert ready(s, 0) == []
    assert len(s) == 0
    assert s.next_due() is None


def test_what_is_no_regular_file_is_handed_out_and_never_opened(tmp_path: Path) -> None:
    s = settling()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("pipe", "link", "dangling"):
        s.see(tmp_path / name, 0)
    assert sorted(path.name for path in ready(s, 0)) == ["dangling", "link", "pipe"]


def test_unfinished_names_are_not_even_looked_at(tmp_path: Path) -> None:
    s = settling()
    for name in (".hidden", "a.part", "a.partial", "a.TMP", ".a.swp", "a.crdownload", "a.txt~"):
        s.see(dropped(tmp_path, name, "> hi", age_s=60), 0)
    assert len(s) == 0


def test_what_is_remembered_of_paths_is_bounded(tmp_path: Path) -> None:
    s, one = settling(), dropped(tmp_path, "0.txt", "> hi", age_s=60)
    for n in range(1, MAX_REMEMBERED + 100):
        (tmp_path / f"{n}.txt").hardlink_to(one)
        s.see(tmp_path / f"{n}.txt", n)
        assert ready(s, n) == [tmp_path / f"{n}.txt"]
    assert len(s._handed_out) <= MAX_REMEMBERED


def test_seeing_a_file_again_does_not_put_it_off(tmp_path: Path) -> None:
    s, path = settling(), dropped(tmp_path, "a.txt", "> hi")
    s.see(path, 0)
    assert ready(s, 0) == []
    for n in range(9):
        s.see(path, 0.1 * n)
        assert ready(s, 0.1 * n) == []
    s.see(path, SETTLE_S)
    assert ready(s, SETTLE_S) == [path]
