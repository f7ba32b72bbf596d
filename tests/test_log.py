"""The log of the real command: what waits is warned of once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from exportd.log import configure


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def _levels(capsys: pytest.CaptureFixture[str], level: str) -> list[tuple[str, str]]:
    """Two files that wait, are tried three times, and then met their fate."""
    configure(level, "json")
    log = structlog.get_logger()
    for reason in ("not here", "not here", "disk full"):
        for file in ("a", "b"):
            log.warning("ingest.finished", file=file, fate="deferred", reason=reason)
    log.info("ingest.finished", file="a", fate="ingested")
    log.warning("ingest.finished", file="a", fate="deferred", reason="disk full")
    lines = map(json.loads, capsys.readouterr().err.splitlines())
    return [(line["file"], line["level"]) for line in lines]


def test_a_file_that_waits_is_warned_of_once_for_every_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _levels(capsys, "info") == [
        ("a", "warning"), ("b", "warning"), ("a", "warning"), ("b", "warning"), ("a", "info"),
        ("a", "warning"),
    ]  # fmt: skip


def test_every_try_is_in_the_log_of_level_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert _levels(capsys, "debug")[2:4] == [("a", "debug"), ("b", "debug")]
