"""Rows as PostgreSQL's COPY text format reads them."""

from __future__ import annotations

import io
from collections.abc import Iterable

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_text(rows: Iterable[tuple[object, ...]]) -> io.StringIO:
    """``rows`` in the order of the COPY statement's columns; None is NULL."""
    buffer = io.StringIO()
    for row in rows:
        buffer.write("\t".join(map(_field, row)))
        buffer.write("\n")
    buffer.seek(0)
    return buffer


def _field(value: object) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value).translate(_ESCAPES)
