"""The log of the real command: the same warning is told once a minute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from exportd import log as exportd_log
from exportd.log import configure, quietly


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exportd_log, "suppressed", exportd_log.Suppressed())
    yield
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_file_that_waits_is_warned_of_once_for_every_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("info", "json")
    log = structlog.get_logger()
    for reason in ("not here", "not here", "disk full"):
        for file in ("a", "b"):
            log.warning("ingest.finished", file=file, fate="deferred", reason=reason)
    assert [(line["file"], line["reason"]) for line in lines(capsys)] == [
        ("a", "not here"), ("b", "not here"), ("a", "disk full"), ("b", "disk full"),
    ]  # fmt: skip


def test_a_hundred_thousand_equal_errors_are_one_line_and_the_next_one_counts_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("info", "json")
    log = structlog.get_logger()
    for number in range(100_000):
        log.error("archive.damaged", reason="the disk", attempt=number)
    assert len(lines(capsys)) == 1
    monkeypatch.setattr(exportd_log, "REPEAT_S", 0.0)
    log.error("archive.damaged", reason="the disk")
    assert [line["suppressed"] for line in lines(capsys)] == [99_999]
    assert exportd_log.suppressed.total == 99_999


def test_news_is_never_left_out_nor_two_dead_letters_of_one_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("info", "json")
    log = structlog.get_logger()
    for number in range(3):
        log.info("ingest.finished", file="a.txt", fate="duplicate_file")
        log.warning("ingest.finished", file="a.txt", reason="x", kept_as=f"a.{number}.txt")
    assert len(lines(capsys)) == 6


def test_what_is_remembered_of_warnings_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log = structlog.get_logger()
    for number in range(25_000):
        log.warning("ingest.finished", file=f"{number}.txt")
    assert len(lines(capsys)) == 25_000
    assert len(exportd_log.suppressed._told) <= 10_000


def test_every_try_is_in_the_log_of_level_debug(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "json")
    for _ in range(3):
        structlog.get_logger().warning("ingest.finished", file="a", reason="not here")
    assert len(lines(capsys)) == 3


def test_of_threads_that_are_quiet_the_last_one_puts_the_log_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    structlog.reset_defaults()
    first, second = quietly(), quietly()
    with first:
        second.__enter__()
    structlog.get_logger().info("not.for.the.program")
    second.__exit__(None, None, None)
    assert capfd.readouterr() == ("", "")
    assert not structlog.is_configured()
