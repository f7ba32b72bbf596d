"""Files that hold exports: archives, and lists of conversations. Pure.

A container is a module with a class and an entry in ``CONTAINERS``. Each of its members
is an export of its own; its bytes stay where they are, in the archived container.
"""

from __future__ import annotations

from ..errors import UnknownFormat
from ..formats import recognise as recognise_format
from .base import Bounds, Container, Member
from .gzipped import Gzip
from .json_list import JsonList
from .zipped import Zip

__all__ = ["CONTAINERS", "Bounds", "Container", "Member", "named", "recognise"]

CONTAINERS: tuple[Container, ...] = (Zip(), Gzip(), JsonList())


def recognise(head: bytes, name: str) -> Container | None:
    """The container that a content is, by its first ``formats.HEAD_BYTES``; None: no one."""
    found = next((one for one in CONTAINERS if one.detect(head)), None)
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
