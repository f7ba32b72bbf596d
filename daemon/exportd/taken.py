"""When exports were taken, as far as that is known.

The date in the file name says so; the file's own time only where no name has a date, for
copies and checkouts change it. Where nothing is known, nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from itertools import product

from .formats.text import printable
from .identity import ExportFact, parse_name

# Files that were copied or checked out together have times that are seconds apart.
_COPIED_TOGETHER = timedelta(minutes=1)

_NEVER = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def elapsed(earlier: ExportFact, later: ExportFact) -> timedelta | None:
    """The time between two exports, negative in the other order; None when unknown.

    In whole days where one of the names has a date without a time.
    """
    first, second = _dated(earlier), _dated(later)
    if first and second:
        exact = first.time() != time.min and second.time() != time.min
        return second - first if exact else second.date() - first.date()
    if first or second:
        return None
    between = later.modified_at - earlier.modified_at
    return between if abs(between) > _COPIED_TOGETHER else None


def apart(earlier: Iterable[ExportFact], later: Iterable[ExportFact]) -> timedelta | None:
    """The time in which no export was taken; None when any of it is unknown."""
    spans = [elapsed(a, b) for a, b in product(earlier, later)]
    known = [span for span in spans if span is not None]
    return min(known) if known and len(known) == len(spans) else None


def latest(exports: Iterable[ExportFact]) -> ExportFact:
    """The export that was taken last; of those without a date the youngest file."""
    return max(
        exports, key=lambda export: (_dated(export) or _NEVER, export.modified_at, export.name)
    )


def earliest(exports: Iterable[ExportFact]) -> ExportFact:
    """The export that was taken first; those without a date come behind all others."""
    return min(
        exports, key=lambda export: (_dated(export) or _LAST, export.modified_at, export.name)
    )


def interval(before: ExportFact | None, after: ExportFact) -> str:
    """When it was, by the dates in two names: "between 2025-11-17 and 2025-11-18".

    "on", "by" or "since" a day where no more is known; empty when nothing is.
    """
    first = _dated(before) if before else None
    last = _dated(after)
    if first and last and first.date() <= last.date():
        if first.date() == last.date():
            return f"on {last:%Y-%m-%d}"
        return f"between {first:%Y-%m-%d} and {last:%Y-%m-%d}"
    if last:
        return f"by {last:%Y-%m-%d}"
    return f"since {first:%Y-%m-%d}" if first else ""


def label(export: ExportFact) -> str:
    """The export's name, as a terminal may show it."""
    return printable(export.name)


def _dated(export: ExportFact) -> datetime | None:
    return parse_name(export.name).dated
