"""What every container offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a container may unfold to: bytes in all, bytes for each packed one, members."""

    max_bytes: int = 256 * 1024 * 1024
    max_ratio: int = 1_000
    max_members: int = 100_000


@dataclass(frozen=True, slots=True)
class Member:
    """Something inside a container; ``locator`` finds it there again.

    ``fault`` says why it cannot be read, and then there are no bytes.
    """

    name: str
    locator: str
    raw: bytes = b""
    fault: str = ""


class Container(Protocol):
    """``HOLDS_ONE``: its one member is what the file is, so that a sidecar may name it."""

    NAME: str
    TITLE: str
    DETECTED_BY: str
    HOLDS_ONE: bool

    def detect(self, head: bytes) -> bool:
        """Whether a content begins like one."""
        ...

    def members(self, raw: bytes, name: str, bounds: Bounds) -> Iterator[Member]:
        """Each member in turn; ``MalformedExport`` where the container itself is broken."""
        ...

    def extract(self, raw: bytes, locator: str) -> bytes:
        """The bytes of a member; ``MalformedExport`` where it is not there."""
        ...
