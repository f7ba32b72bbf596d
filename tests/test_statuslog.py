"""The status log: every report whole, oldest ones given up first."""

from __future__ import annotations

from pathlib import Path

import pytest

from exportd.statuslog import StatusLog


def everything(path: Path) -> list[str]:
    """Reports from the oldest file to the newest."""
    numbered = sorted(path.parent.glob(f"{path.name}.*"), key=lambda p: -int(p.suffix[1:]))
    return [
        line for file in [*numbered, path] if file.exists()
        for line in file.read_text().splitlines() if line
    ]  # fmt: skip


def test_reports_stand_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    log = StatusLog(path, 10_000, 5)
    for n in range(3):
        log.append(f"report {n} ✓")
    assert everything(path) == [f"report {n} ✓" for n in range(3)]


def test_a_new_log_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    for n in range(2):
        StatusLog(path, 10, 1).append(f"report {n}")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    path.chmod(0o640)
    StatusLog(path, 1_000, 1).append("report 3")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_log_of_an_earlier_process_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    for n in range(3):
        StatusLog(path, 10_000, 5).append(f"report {n}")
    assert everything(path) == ["report 0", "report 1", "report 2"]


def test_a_full_log_moves_on_and_only_the_oldest_reports_go(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    log = StatusLog(path, 100, 3)
    for n in range(100):
        log.append(f"report {n:3}")
    left = everything(path)
    assert left == [f"report {n:3}" for n in range(100 - len(left), 100)]
    assert len(left) > 24  # three older files and the current one
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "status.txt", "status.txt.1", "status.txt.2", "status.txt.3",
    ]  # fmt: skip
    assert all(p.stat().st_size <= 100 for p in tmp_path.iterdir())


def test_without_backups_the_log_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    log = StatusLog(path, 50, 0)
    for n in range(100):
        log.append(f"report {n:3}")
    assert everything(path)[-1] == "report  99"
    assert [p.name for p in tmp_path.iterdir()] == ["status.txt"]


def test_a_report_that_is_larger_than_the_log_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    log = StatusLog(path, 100, 2)
    log.append("small")
    log.append("x" * 1000)
    log.append("small again")
    assert everything(path) == ["small", "x" * 1000, "small again"]


def test_an_operator_may_take_the_log_away(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    log = StatusLog(path, 1000, 2)
    log.append("one")
    path.unlink()
    log.append("two")
    assert everything(path) == ["two"]


def test_a_disk_that_refuses_is_an_error_for_the_caller(tmp_path: Path) -> None:
    (tmp_path / "status.txt").mkdir()
    with pytest.raises(OSError, match=r"status\.txt"):
        StatusLog(tmp_path / "status.txt", 10_000, 2).append("report")
