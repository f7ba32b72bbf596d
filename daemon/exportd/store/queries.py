"""The named queries of ``sql/queries.sql``, so that SQL stands in SQL files alone."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def query(name: str) -> str:
    """The statement under the line ``-- name --``; ``KeyError`` when there is none."""
    return _all()[name]


@cache
def _all() -> dict[str, str]:
    text = (files(__package__) / "sql" / "queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {
        name: body.strip().removesuffix(";")
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
