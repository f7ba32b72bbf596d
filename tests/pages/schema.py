"""docs/reference/schema.md: every table and column, from a migrated database."""

from __future__ import annotations

import re
from typing import Any

from conftest import rows

from . import code, page, prose, table

_TABLES = """
SELECT c.oid::int, c.relname, coalesce(obj_description(c.oid), '')
FROM pg_class c
WHERE c.relkind IN ('r', 'v', 'm', 'p') AND c.relnamespace = 'public'::regnamespace
  AND c.relname !~ '^_?yoyo' AND NOT c.relispartition
ORDER BY c.relname
"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       coalesce(col_description(a.attrelid, a.attnum), '')
FROM pg_attribute a
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_KEYS = """
SELECT contype::text, pg_get_constraintdef(oid),
       coalesce((SELECT relname FROM pg_class WHERE oid = confrelid), ''),
       ARRAY(SELECT a.attname::text FROM unnest(conkey) WITH ORDINALITY k (n, place)
             JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.n ORDER BY place)
FROM pg_constraint
WHERE conrelid = %s AND contype IN ('p', 'u', 'f')
ORDER BY contype, conname
"""
_INDEXES = """
SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '')
FROM pg_index i
WHERE i.indrelid = %s
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid
                  AND contype IN ('p', 'u'))
ORDER BY 1
"""


def undescribed(url: str) -> list[str]:
    """Tables and columns without a COMMENT."""
    missing = []
    for oid, name, what in rows(url, _TABLES):
        missing += [] if what else [name]
        missing += [
            f"{name}.{column}" for column, _, _, said in rows(url, _COLUMNS, oid) if not said
        ]
    return missing


def schema_page(url: str) -> str:
    tables = rows(url, _TABLES)
    return page(
        "Schema",
        "The tables of the database, for queries of your own (`exportd db psql`). All "
        "times have a zone. `conversations`, `messages`, `watermarks` and "
        "`deduplication_log` have the columns that the specification gives them; queries "
        "may rely on these. Only exportd writes: what you change, `exportd verify` "
        "reports as damage.\n",
        "\n## How they hang together\n\n",
        _diagram(url, tables),
        *(_table(url, *one) for one in tables),
    )


def _diagram(url: str, tables: list[tuple[Any, ...]]) -> str:
    """Tables with their keys; all columns of all tables would be too small to read."""
    arrows, boxes = [], []
    for oid, name, _ in tables:
        keys = rows(url, _KEYS, oid)
        primary = [columns for kind, _, _, columns in keys if kind == "p"]
        for kind, _, target, columns in keys:
            if kind == "f":
                many = "o|" if columns in primary else "o{"
                arrows.append(f'    {target} ||--{many} {name} : "{", ".join(columns)}"')
        boxes.append(f"    {name} {{")
        for column, kind, _, _ in rows(url, _COLUMNS, oid):
            marks = [mark for mark in ("PK", "FK") if _has(keys, mark[0].lower(), column)]
            if marks:
                boxes.append(f"        {_word(kind)} {column} {', '.join(marks)}")
        boxes.append("    }")
    return "\n".join(["```mermaid", "erDiagram", *arrows, *boxes, "```", ""])


def _word(kind: str) -> str:
    """A type as one word, which is all that the diagram's language knows."""
    return re.sub(r"\W.*", "", _sql_type(kind))


def _has(keys: list[tuple[Any, ...]], kind: str, column: str) -> bool:
    return any(found == kind and column in columns for found, _, _, columns in keys)


def _table(url: str, oid: int, name: str, what: str) -> str:
    body = [
        (code(column), _sql_type(kind), "" if required else "may be NULL", prose(said))
        for column, kind, required, said in rows(url, _COLUMNS, oid)
    ]
    keys = [_key(*one) for one in rows(url, _KEYS, oid)]
    keys += [f"index {code(text)}" for (text,) in rows(url, _INDEXES, oid)]
    told = "".join(f"* {key}\n" for key in keys)
    return (
        f"\n## `{name}`\n\n{prose(what)}.\n\n"
        f"{table(('column', 'type', '', 'what'), body)}" + (f"\n{told}" if told else "")
    )


def _sql_type(kind: str) -> str:
    kind = kind.replace("timestamp with time zone", "timestamptz")
    return kind.replace("character varying", "varchar")


def _key(kind: str, definition: str, target: str, columns: list[str]) -> str:
    names = ", ".join(columns)
    if kind == "f":
        return f"{code(names)} is one of [`{target}`](#{target})"
    return f"{'primary key' if kind == 'p' else 'unique'} {code(names)}"
