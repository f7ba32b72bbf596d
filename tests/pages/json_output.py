"""docs/reference/json.md: what --json prints, from its schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from schemas import SCHEMAS

from . import code, page, prose, table


def all_schemas() -> dict[str, dict[str, Any]]:
    found = sorted(SCHEMAS.glob("*.schema.json"))
    return {
        path.name.removesuffix(".schema.json"): json.loads(path.read_text(encoding="utf-8"))
        for path in found
    }


def json_page() -> str:
    return page(
        "JSON output",
        "What commands print with `--json`, on standard output and nothing else there. "
        "Each schema (JSON Schema, draft 2020-12) is a file of its own; tests hold real "
        "output against it.",
        *(_schema(name, schema) for name, schema in all_schemas().items()),
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    title = schema.get("title") or name
    body = [(code(path), kind, prose(what)) for path, kind, what in _properties(schema, schema)]
    what = schema.get("description", "")
    return (
        f"\n## {prose(title)}\n\n"
        + (f"{prose(what)}\n\n" if what else "")
        + f"[{name}.schema.json](schemas/{name}.schema.json)\n\n"
        + (table(("property", "type", "what"), body) if body else "")
    )


def _properties(
    schema: dict[str, Any], root: dict[str, Any], path: str = "", seen: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, str]]:
    """Every property with its path; ``[]`` is each element of a list, ``*`` any name."""
    schema, seen = _resolved(schema, root, seen)
    inner = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        inner["*"] = schema["additionalProperties"]
    for name, one in inner.items():
        where = f"{path}.{name}" if path else name
        known, _ = _resolved(one, root, seen)
        yield (
            where,
            _json_type(known, root),
            one.get("description", known.get("description", "")),
        )
        yield from _properties(one, root, where, seen)
    if isinstance(schema.get("items"), dict):
        yield from _properties(schema["items"], root, f"{path}[]", seen)
    for kind in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(kind, []):
            yield from _properties(one, root, path, seen)


def _resolved(
    schema: dict[str, Any], root: dict[str, Any], seen: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    reference = schema.get("$ref")
    if not reference:
        return schema, seen
    if reference in seen:
        return {}, seen  # a tree: told once
    found: Any = root
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return {**found, **{k: v for k, v in schema.items() if k != "$ref"}}, (*seen, reference)


def _json_type(schema: dict[str, Any], root: dict[str, Any]) -> str:
    if "const" in schema:
        return code(json.dumps(schema["const"], ensure_ascii=False))
    if "enum" in schema and len(schema["enum"]) <= 12:
        return ", ".join(code(json.dumps(one, ensure_ascii=False)) for one in schema["enum"])
    choices = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    kinds = [_json_type(_resolved(one, root, ())[0], root) for one in choices]
    said = schema.get("type", [])
    kinds += said if isinstance(said, list) else [said]
    return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
