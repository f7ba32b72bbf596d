"""Files that hold exports: archives, lists of conversations, long sessions. Pure.

A container is a module with a class and an entry in ``CONTAINERS``. Each of its members
is an export of its own; its bytes stay where they are, in the archived container.
"""

from __future__ import annotations

from ..errors import UnknownFormat
from ..formats import HEAD_BYTES
from ..formats import recognise as recognise_format
from ..models import Raw
from .base import Bounds, Container, Member, Put
from .gzipped import Gzip
from .json_list import JsonList
from .jsonl_parts import JsonlParts
from .text_parts import TextParts
from .zipped import Zip

__all__ = [
    "CONTAINERS", "Bounds", "Container", "Gzip", "JsonlParts", "Member", "Put", "TextParts",
    "Zip", "named", "recognise",
]  # fmt: skip

CONTAINERS: tuple[Container, ...] = (Zip(), Gzip(), JsonList(), JsonlParts(), TextParts())


def recognise(raw: Raw, name: str, known_bytes: int = 0) -> Container | None:
    """The container that a content is, by its size and its first bytes; None: no one.

    ``known_bytes`` of it are those of one that was read in parts.

    What is a part of one already is not to be asked about: it may be long.
    """
    head = raw[:HEAD_BYTES]
    found = next((one for one in CONTAINERS if one.detect(head, len(raw))), None)
    if isinstance(found, JsonlParts) and not found.has_ids(raw, known_bytes):
        return None  # it is read at once
    if not isinstance(found, JsonList):
        return found
    try:
        recognise_format(JsonList.first(head), name)
    except UnknownFormat:
        return None  # a list of something else
    return found


def named(name: str | None) -> Container | None:
    """The container of a name that is stored as a format."""
    return next((one for one in CONTAINERS if name == one.NAME), None)
