"""What every format module offers; the registry's type, checked by mypy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..models import Transcript


@dataclass(frozen=True, slots=True)
class Confidence:
    """Whether a format claims a content, and what made it think so.

    Detection is certain or silent. ``reason`` is shown to a person when nobody, or
    more than one format, is certain. ``is_near``: the content has something of this
    format, so that its reason helps when nobody is certain.
    """

    certain: bool
    reason: str
    is_near: bool = False


class Format(Protocol):
    """A module of this package: five constants and two functions.

    ``DETECTED_BY`` says in a few words what detection looks at, ``VERSIONS`` of which
    versions of the tool real exports were read.
    """

    NAME: str
    TITLE: str
    PARSER_VERSION: int
    DETECTED_BY: str
    VERSIONS: str

    def detect(self, head: bytes, name: str) -> Confidence:
        """Judge by the first ``HEAD_BYTES`` of the file and its name."""
        ...

    def parse(self, raw: bytes, name: str) -> Transcript:
        """Read the whole content, or raise ``MalformedExport`` with place and reason."""
        ...
