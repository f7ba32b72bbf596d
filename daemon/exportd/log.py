"""structlog, set up once: JSON lines off a terminal, columns on one, to stderr."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, TextIO, cast

import structlog

from .errors import ConfigurationError
from .formats.text import printable
from .models import Fate, Report

# A warning that is like another one in all of these is told again only after so long.
_SAME = ("event", "level", "file", "kind", "reason", "kept_as")
REPEAT_S = 60.0
_MAX_TOLD = 10_000

_files: list[_LogFile] = []  # the one that is written now

_LOCK = threading.Lock()
_quiet: list[None] = []  # one for each that is within ``quietly``


def configure(
    level: str,
    style: Literal["auto", "console", "json"],
    file: Path | None = None,
    *,
    for_good: bool = True,
) -> None:
    """One line per event: ``ts`` (UTC), ``level``, ``event``, then its facts.

    To stderr, or to ``file``; ``ConfigurationError`` where that cannot be written.
    """
    at_least = logging.getLevelNamesMapping()[level.upper()]
    on_terminal = style == "console" or (
        style == "auto" and file is None and sys.stderr.isatty()
    )
    renderer: structlog.types.Processor
    if on_terminal:
        renderer = structlog.dev.ConsoleRenderer(
            sort_keys=False, colors=file is None and shows_colours(sys.stderr)
        )
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([suppressed] if at_least > logging.DEBUG else []),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.ExceptionRenderer(_traceback),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(at_least),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _output(file))),
        cache_logger_on_first_use=for_good,
    )
    logging.getLogger().addHandler(logging.NullHandler())  # libraries do not speak for us


def shows_colours(stream: TextIO) -> bool:
    """Whether it is a terminal with colours, and nobody set NO_COLOR (no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


@contextmanager
def quietly() -> Iterator[None]:
    """Errors alone, in a program that has set up no log of its own; then it is as before.

    Several threads may be in here: the last one to leave puts it back.
    """
    with _LOCK:
        is_ours = bool(_quiet) or not structlog.is_configured()
        if is_ours and not _quiet:
            configure("error", "auto", for_good=False)
        if is_ours:
            _quiet.append(None)
    try:
        yield
    finally:
        with _LOCK:
            if is_ours:
                _quiet.pop()
            if is_ours and not _quiet:
                structlog.reset_defaults()


def reopen(*_: object) -> None:
    """Open the log file anew, if there is one: logrotate has moved it."""
    if _files:
        _files[-1].reopen()


def _output(file: Path | None) -> _Stderr | _LogFile:
    if file is None:
        return _Stderr()
    found = _LogFile(file)
    try:
        found.open()
    except OSError as error:
        raise ConfigurationError(
            f"log_file: {file}: cannot be written ({error.strerror})"
        ) from error
    _files[:] = [found]
    return found


class Suppressed:
    """The same warning about the same thing is told once a minute, and counted besides.

    A million equal errors must not fill a disk (HAZARDS 43). The next line that is told has
    the number of those left out, as ``suppressed``.
    """

    def __init__(self) -> None:
        self.total = 0
        self._told: dict[tuple[object, ...], tuple[float, int]] = {}

    def __call__(
        self, _logger: object, method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        if method not in ("warning", "error", "exception"):
            return event
        key = tuple(event.get(name) for name in _SAME)
        now = time.monotonic()
        told_at, left_out = self._told.get(key, (-math.inf, 0))
        if now - told_at < REPEAT_S:
            self.total += 1
            self._told[key] = told_at, left_out + 1
            raise structlog.DropEvent
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told[key] = now, 0
        return {**event, "suppressed": left_out} if left_out else event


suppressed = Suppressed()


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


class _LogFile:
    """A file of lines for its owner's eyes; opened anew after ``reopen``, for logrotate."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._is_stale = False

    def reopen(self, *_: object) -> None:
        """May be called by a signal: the next line opens the file."""
        self._is_stale = True

    def open(self) -> int:
        """Raises ``OSError`` where the file cannot be written."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def write(self, text: str) -> None:
        """On stderr when the file cannot be written."""
        try:
            os.write(self._opened(), text.encode(errors="backslashreplace"))
        except OSError:
            _Stderr().write(text)

    def flush(self) -> None:
        """Every line is written at once."""

    def _opened(self) -> int:
        if self._is_stale and self._descriptor is not None:
            os.close(self._descriptor)
            self._is_stale, self._descriptor = False, None
        return self.open() if self._descriptor is None else self._descriptor


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


def logged(report: Report) -> Report:
    """The one canonical line per ingest."""
    log = structlog.get_logger()
    tell = log.warning if report.fate in (Fate.DEAD_LETTER, Fate.DEFERRED) else log.info
    facts = {
        "conversation_id": report.conversation_id,
        "total": report.total,
        "new": report.new,
        "duplicates": report.duplicates,
        "rerendered": report.rerendered,
        "completed": report.completed,
        "reason": printable(report.reason),
        "anomalies": sorted({anomaly.kind for anomaly in report.anomalies}),
        "kept_as": printable(report.kept_as),
        "size_bytes": report.size_bytes,
    }
    tell(
        "ingest.finished",
        file=printable(report.name),
        fate=report.fate.value,
        **{name: fact for name, fact in facts.items() if fact or name in ("new", "total")},
        duration_s=round(report.duration_s, 4),
    )
    return report
