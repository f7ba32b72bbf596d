"""What every format module offers; the registry's type, checked by mypy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..models import Transcript


@dataclass(frozen=True, slots=True)
class Confidence:
    """Whether a format claims a content, and what made it think so.

    Detection is certain or silent. ``reason`` is shown to a person when nobody, or
    more than one format, is certain.
    """

    certain: bool
    reason: str


class Format(Protocol):
    """A module of this package: three constants and two functions."""

    NAME: str
    TITLE: str
    PARSER_VERSION: int

    def detect(self, head: bytes, name: str) -> Confidence:
        """Judge by the first ``HEAD_BYTES`` of the file and its name."""
        ...

    def parse(self, raw: bytes, name: str) -> Transcript:
        """Read the whole content, or raise ``MalformedExport`` with place and reason."""
        ...
