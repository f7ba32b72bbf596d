"""How much one file may ask for (HAZARDS 16, 20, 51); beyond that it is set aside."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .anomalies import Thresholds
from .containers import Bounds
from .errors import PermanentError
from .formats import claude_code_jsonl
from .models import Raw, Transcript


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of these names; ``parse_timeout_s`` in seconds. ``bounds`` are those of
    containers.

    What goes beyond ``thresholds`` is only told.
    """

    max_line_bytes: int
    max_json_depth: int
    max_messages: int
    parse_timeout_s: float
    max_attempts: int
    thresholds: Thresholds = field(default_factory=Thresholds)
    bounds: Bounds = field(default_factory=Bounds)


_NESTED = (dict, list, tuple)

# Larger than any export; it bounds the time that hashing a file takes.
MAX_FILE_BYTES = 64 * 1024**3


def check_size(raw: Raw, limits: Limits) -> None:
    """Raise ``PermanentError`` for more than may be read at once."""
    if len(raw) > limits.bounds.max_bytes:
        raise PermanentError(
            f"the file has {len(raw):,} bytes; expected at most {limits.bounds.max_bytes:,} "
            "(setting max_export_bytes) of what is read at once"
        )


def check_content(raw: bytes, limits: Limits) -> None:
    """Raise ``PermanentError`` for a line that is too long, before anything is parsed."""
    start = 0
    while len(raw) - start > limits.max_line_bytes:
        end = raw.rfind(b"\n", start, start + limits.max_line_bytes + 1)
        if end < 0:
            number = claude_code_jsonl.lines_before(raw) + raw.count(b"\n", 0, start) + 1
            raise PermanentError(
                f"line {number} has more than {limits.max_line_bytes:,} bytes (setting "
                "max_line_bytes); if it is a conversation, raise the setting and drop it again"
            )
        start = end + 1


def check_transcript(transcript: Transcript, limits: Limits) -> None:
    """Raise ``PermanentError`` for too many messages, or values nested too deeply."""
    found = transcript.message_count
    if found > limits.max_messages:
        raise PermanentError(
            f"the file has {found:,} messages; expected at most {limits.max_messages:,} "
            "(setting max_messages)"
        )
    values = [transcript.header, *(message.extra for message in transcript.messages)]
    if _is_deeper(values, limits.max_json_depth + 1):
        raise PermanentError(
            f"a value is nested more than {limits.max_json_depth} levels deep (setting "
            "max_json_depth)"
        )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give the block up after so long; ``PermanentError`` then.

    By a signal, which Python hears in its main thread alone, where a daemon reads its files.
    Elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_signum: int, _frame: object) -> None:
        raise PermanentError(
            f"it was not read within {seconds:g} seconds (setting parse_timeout); please "
            "report such a file"
        )

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_deeper(value: Any, levels: int) -> bool:
    """Breadth first: what is to be found out is whether recursion would be too deep."""
    row = [value]
    for _ in range(levels + 1):
        row = [
            inner
            for outer in row
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, _NESTED)
        ]
        if not row:
            return False
    return True
