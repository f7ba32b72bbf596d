"""docs/reference/settings.md: every setting, by settings.py and config.example.toml."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from exportd.secret_files import variable
from exportd.settings import Settings

from . import DOCS, ROOT, code, page, prose


def all_settings() -> dict[str, FieldInfo]:
    """Every setting as it stands in the file, sections with a dot."""
    found: dict[str, FieldInfo] = {}
    for name, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            inner = info.annotation.model_fields
            found |= {f"{name}.{key}": one for key, one in inner.items()}
        else:
            found[name] = info
    return found


def settings_page() -> str:
    known = all_settings()
    parts = []
    for section, paragraph, names in _paragraphs():
        told = [f"\n## `[{section}]`\n"] if section and not names else []
        if names:
            keys = ", ".join(code(name.rpartition(".")[2]) for name in names)
            told += [f"\n### {keys}\n"]
        told += [f"\n{paragraph}\n"] if paragraph else []
        told += ["\n", *(_setting(name, known[name]) for name in names)] if names else []
        parts += told
    return page(
        "Settings",
        "Every setting, as [config.example.toml](../../config.example.toml) has it. A "
        "setting comes from the environment, else from the file, else it is the default. "
        "The file is the one of `--config`, else of `EXPORTD_CONFIG`, else `exportd.toml` "
        "in the folder you start exportd from. `exportd check-config` prints what is in "
        "force and where it comes from. What exportd does not know is refused (exit code "
        "78).\n\n"
        "A secret may stand in the file itself, in a file of its own (`…_file`), or be a "
        "systemd credential. The first that is there counts: the variable, the variable "
        "with `_FILE` behind it, the credential, the settings.\n\n"
        "Besides, exportd reads `NO_COLOR` and `TERM` (no colours), `PAGER`, and "
        "`EXPORTD_CRASH_AT` (for tests: where to die; `exportd doctor --crash-points`).",
        "\n## In no section\n",
        *parts,
    )


def _paragraphs() -> Iterator[tuple[str, str, list[str]]]:
    """Section, comment, and the settings below that comment, in the order of the example."""
    section, comment, names = "", [], []  # type: str, list[str], list[str]
    for line in [*(ROOT / "config.example.toml").read_text().splitlines(), ""]:
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
            yield section, _joined(comment), []
            comment, names = [], []
        elif given := re.match(r"(?:# )?(\w+) = ", line):
            names.append(f"{section}.{given[1]}" if section else given[1])
        elif line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        elif names:
            yield section, _joined(comment), names
            comment, names = [], []
        elif section == "" and not line and comment and comment[0].startswith("Settings of"):
            comment = []  # the head of the file, which the page says in its own words


def _joined(comment: list[str]) -> str:
    return _linked(prose(" ".join(comment)))


def _linked(text: str) -> str:
    """Names of pages as links from docs/reference."""
    escaped = text.replace("\\_", "_")
    for name in re.findall(r"docs/[\w/-]+\.md", escaped):
        page = DOCS.parent / name
        target = os.path.relpath(page, DOCS / "reference")
        if page.exists():
            text = text.replace(name, f"[{page.stem}]({target})")
    return text


def _setting(name: str, info: FieldInfo) -> str:
    short = name.rpartition(".")[2]
    return (
        f"* `{short}` ({code(variable(name))}): {_type(info)}; default {_default(name, info)}\n"
    )


def _type(info: FieldInfo) -> str:
    kind, bounds = _unwrapped(info.annotation)
    said = _kinds(kind)
    return said + _range([*info.metadata, *bounds])


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """Without None and ``Annotated``, whose bounds come along."""
    bounds: list[Any] = []
    while True:
        if get_origin(annotation) in (Union, UnionType):
            annotation = next(one for one in get_args(annotation) if one is not type(None))
        elif hasattr(annotation, "__metadata__"):
            bounds += annotation.__metadata__
            annotation = annotation.__origin__
        else:
            return annotation, bounds


def _kinds(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(map(code, get_args(kind)))
    names = {bool: "true or false", int: "integer", float: "number", str: "text"}
    names |= {Path: "path", SecretStr: "secret"}
    return names.get(kind) or str(getattr(kind, "__name__", kind))


def _range(metadata: Iterable[Any]) -> str:
    low = high = ""
    for one in _flat(metadata):
        if isinstance(one, Ge):
            low = f"{one.ge:,}"
        elif isinstance(one, Gt):
            low = f"above {one.gt:,}"
        elif isinstance(one, Le):
            high = f"{one.le:,}"
        elif isinstance(one, Lt):
            high = f"below {one.lt:,}"
    if low and high:
        return f", {low}, at most {high}" if "above" in low else f", {low} to {high}"
    if low:
        return f", {low}" if low.startswith("above") else f", {low} or more"
    return f", at most {high}" if high else ""


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for one in metadata:
        if isinstance(one, FieldInfo):
            yield from one.metadata
        else:
            yield one


def _default(name: str, info: FieldInfo) -> str:
    value = info.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, int) and "bytes" in name and value % 1024**2 == 0:
        return f"{code(str(value))} ({value // 1024**2} MiB)"
    return code(json.dumps(str(value)) if isinstance(value, (str, Path)) else str(value))
