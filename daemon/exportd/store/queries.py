"""The named queries of ``sql/*.sql``, so that SQL stands in SQL files alone."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_FILES = ("queries.sql", "alerts.sql", "search.sql", "backup.sql", "purge.sql")
_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def query(name: str) -> str:
    """The statement under the line ``-- name --``; ``KeyError`` when there is none."""
    return _all()[name]


@cache
def _all() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _FILES:
        text = (files(__package__) / "sql" / name).read_text(encoding="utf-8")
        parts = _NAME.split(text)[1:]
        for key, body in zip(parts[::2], parts[1::2], strict=True):
            found[key] = body.strip().removesuffix(";")
    return found
