"""The page ``docs/performance.md``: rows in, Markdown out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from .measuring import MB, Row
from .wording import reflowed, table

_TEMPLATE = Path(__file__).with_name("performance.template.md")
_HEAD = (
    "what", "exportd", "beside it", "ratio", "messages/s", "MB/s", "CPU s", "peak MB", "goal",
    "met",
)  # fmt: skip


def page(rows: Sequence[Row], machine: str, date: str) -> str:
    facts = {
        "machine": machine,
        "date": date,
        "table": table(_HEAD, map(_cells, rows), words=(0, 8, 9)),
        "told": "* " + "\n* ".join(f"{row.what}: {row.told}" for row in rows if row.told),
    }
    return reflowed(_TEMPLATE.read_text(encoding="utf-8").format_map(facts))


def printed(rows: Sequence[Row]) -> str:
    """The same for a terminal."""
    cells = [_HEAD, *map(_cells, rows)] if len(rows) > 1 else list(map(_cells, rows))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([*lines, *(f"  {row.what}: {row.told}" for row in rows if row.told)])


def _cells(row: Row) -> tuple[str, ...]:
    took = statistics.median(row.ours_s) if row.ours_s else 0.0
    return (
        row.what,
        _times(row.ours_s),
        f"{row.beside} {_times(row.beside_s)}" if row.beside_s else "–",
        f"{row.ratio:.2f}" if row.ours_s and row.beside_s else "–",
        f"{row.messages / took:,.0f}" if took and row.messages else "–",
        f"{row.size_bytes / took / MB:,.1f}" if took and row.size_bytes else "–",
        f"{row.cpu_s:,.1f}" if row.cpu_s else "–",
        f"{row.peak_mb:,.0f}" if row.peak_mb else "–",
        row.goal or "–",
        {None: "–", True: "yes", False: "no"}[row.met],
    )


def _times(took: Sequence[float]) -> str:
    """The median; how many, and from which to which."""
    if not took:
        return "–"
    unit, factor = ("s", 1) if statistics.median(took) >= 1 else ("ms", 1_000)
    middle, least, most = (factor * f(took) for f in (statistics.median, min, max))
    digits = 2 if unit == "s" else 0
    spread = f" ({len(took)}: {least:,.{digits}f}–{most:,.{digits}f})" if len(took) > 1 else ""
    return f"{middle:,.{digits}f} {unit}{spread}"
