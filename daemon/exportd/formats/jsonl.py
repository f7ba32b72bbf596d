"""What formats of one JSON object a line share: lines with their places, one line read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ..errors import MalformedExport
from ..models import Fault, Region, Span
from .records import decode, may_be_deep, refuse_deep
from .text import ESCAPE

BOM = b"\xef\xbb\xbf"
_ESCAPE = ESCAPE.encode()
_UNICODE_ESCAPE = re.compile(rb"\\u")  # it is found faster than by ``in``
_DETECTED_LINES = 200  # a session may begin with dozens of lines that are no talk


class Line(NamedTuple):
    """A line that holds an object, and its number from 1.

    ``is_plain``: no string in it has anything that is stored escaped.
    """

    number: int
    span: Span
    record: dict[str, Any]
    is_plain: bool = False


def lines(raw: bytes) -> Iterator[Line | Region | Fault]:
    """Every line in turn: an object, a separator, or what is wrong with it."""
    start = number = 0
    if raw.startswith(BOM):
        start = len(BOM)
        yield Region(Span(0, start), "header", "byte order mark")
    while start < len(raw):
        end = raw.find(b"\n", start) + 1 or len(raw)
        number += 1
        span, content = Span(start, end), raw[start:end]
        start = end
        if content.isspace():
            yield Region(span, "separator", "blank line")
            continue
        try:
            found = record(content)
        except MalformedExport as error:
            yield Fault(span, str(error), number)
            continue
        yield Line(number, span, found, _is_plain(content))


def _is_plain(content: bytes) -> bool:
    """Whether JSON can have no NUL, lone surrogate and ESCAPE."""
    return (
        not _UNICODE_ESCAPE.search(content)
        and b"\0" not in content
        and (content.isascii() or _ESCAPE not in content)
    )


def record(content: bytes) -> dict[str, Any]:
    """The object in a line; ``MalformedExport`` says in a few words what is there instead."""
    try:
        text = content.decode()
        value = decode(text)
        if may_be_deep(text):
            refuse_deep([value])
    except UnicodeDecodeError as error:
        raise MalformedExport("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise MalformedExport("not JSON (cut off or damaged)") from error
    except RecursionError as error:
        raise MalformedExport("JSON nested too deeply") from error
    if not isinstance(value, dict):
        raise MalformedExport("no JSON object")
    return value


def first_records(head: bytes) -> Iterator[dict[str, Any]]:
    """The objects in the first lines, for detection; damaged lines are passed over."""
    found = filter(bytes.strip, head.removeprefix(BOM).split(b"\n"))
    for content in islice(found, _DETECTED_LINES):
        if content.lstrip(b" \t\r")[:1] != b"{":
            continue  # every text is asked whether it is JSON, and to find out is dear
        try:
            yield record(content)
        except MalformedExport:
            continue


def is_cut(faults: Sequence[Fault], raw: bytes) -> bool:
    """Whether the last line was written only in part: it is damaged, and has no end."""
    return bool(faults) and faults[-1].span.end == len(raw) and not raw.endswith(b"\n")


def unread(parts: list[Any], raw: bytes, what: str) -> MalformedExport | None:
    """What is wrong with a file of which no line could be used; None where one could."""
    faults = [part for part in parts if isinstance(part, Fault)]
    if not faults or len(faults) < sum(not isinstance(part, Region) for part in parts):
        return None
    first = faults[0]
    return MalformedExport(
        f"no line of {what} in {len(raw):,} bytes: line {first.line} is {first.reason}; export "
        "it again"
    )
