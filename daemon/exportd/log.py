"""structlog, set up once: JSON lines off a terminal, columns on one, to stderr."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from types import TracebackType
from typing import Literal, TextIO, cast

import structlog


def configure(level: str, style: Literal["auto", "console", "json"]) -> None:
    """One line per event: ``ts`` (UTC), ``level``, ``event``, then its facts."""
    at_least = logging.getLevelNamesMapping()[level.upper()]
    on_terminal = sys.stderr.isatty() if style == "auto" else style == "console"
    renderer: structlog.types.Processor
    if on_terminal:
        renderer = structlog.dev.ConsoleRenderer(sort_keys=False)
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _Waiting(repeats=at_least <= logging.DEBUG),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.ExceptionRenderer(_traceback),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(at_least),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    logging.getLogger().addHandler(logging.NullHandler())  # libraries do not speak for us


class _Waiting:
    """A file that waits is warned of once; every further try is of level debug.

    A sidecar may wait for its export for minutes, and is tried every few seconds.
    """

    def __init__(self, *, repeats: bool) -> None:
        self._repeats = repeats
        self._told: dict[object, object] = {}

    def __call__(
        self, _logger: object, _method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        if event["event"] != "ingest.finished":
            return event
        file, reason = event.get("file"), event.get("reason")
        if event.get("fate") != "deferred":
            self._told.pop(file, None)
        elif self._told.get(file) != reason:
            self._told[file] = reason
        elif not self._repeats:
            raise structlog.DropEvent
        else:
            event["level"] = "debug"
        return event


class _Stderr:
    """stderr that may go away: a closed terminal or a broken pipe must not end the work."""

    def write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            # What is left in the buffer would fail again at exit, with exit code 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def flush(self) -> None:
        """Every line was flushed when it was written."""


def _traceback(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None],
) -> str:
    """Where it happened and what class it is; an error's own words may quote a message."""
    kind, error, where = exc_info
    causes = [kind.__name__]
    cause = error.__cause__ or error.__context__
    while cause is not None:
        causes.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return "".join(traceback.format_tb(where)) + " from ".join(causes)
