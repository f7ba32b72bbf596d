"""The examples of a page: its code fences, and what the comments before them say.

<!-- not run: REASON -->   before a fence: nothing here can run it
<!-- exits: 65 -->         before a fence: its last command ends so, rather than with 0
<!-- output -->            before a fence of text: what the fence before it prints; "…"
                           stands for anything, lines in between may be left out
<!-- setup: COMMANDS -->   run at this place, and shown to nobody
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from exportd.commands import COMMANDS

ROOT = Path(__file__).parent.parent
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_FENCE = re.compile(r"^( *)```([^\s`]*)$(.*?)^\1```$", re.MULTILINE | re.DOTALL)

# What a fence may be of; "console" or "bash" would be shown alike and not be run.
LANGUAGES = {
    "",
    "sh", "text", "toml", "sql", "json", "python", "mermaid", "ini", "yaml", "md", "html",
    "promql", "diff", "{eval-rst}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fence:
    """One example: ``line`` is that of its first line of code, from 1."""

    page: str
    line: int
    language: str
    code: str
    not_run: str | None = None
    exits: int = 0
    is_output: bool = False
    in_source: str | None = None
    setups: tuple[tuple[int, str], ...] = field(default=())

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every page that people read, from the root of the repository."""
    found = sorted(path for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", *(str(path.relative_to(ROOT)) for path in found)]


def fences(page: str) -> Iterator[Fence]:
    """In the order of the page; setups between them go with the fence that follows."""
    text = (ROOT / page).read_text(encoding="utf-8")
    end = 0
    for match in _FENCE.finditer(text):
        comments = list(_COMMENT.finditer(text, end, match.start()))
        near = [one[1] for one in comments if not text[one.end() : match.start()].strip(" \n")]
        # Two comments may stand before one fence.
        if (
            near
            and len(comments) > 1
            and not text[comments[-2].end() : comments[-1].start()].strip()
        ):
            near.append(comments[-2][1])
        yield Fence(
            page,
            text.count("\n", 0, match.start()) + 2,
            match[2],
            _dedented(match[3].strip("\n"), match[1]),
            _value(near, "not run") or _missing(near) or _elsewhere(near),
            int(_value(near, "exits") or 0),
            "output" in near,
            _value(near, "in source"),
            tuple(
                (text.count("\n", 0, one.start()) + 1, code)
                for one in comments
                if (code := _value([one[1]], "setup"))
            ),
        )
        end = match.end()


def _dedented(code: str, indent: str) -> str:
    return "\n".join(line.removeprefix(indent) for line in code.split("\n"))


def _value(comments: list[str], name: str) -> str | None:
    for comment in comments:
        key, colon, value = comment.partition(":")
        if colon and key == name:
            return value.strip()
    return None


def _missing(comments: list[str]) -> str | None:
    needed = _value(comments, "needs")
    return f"there is no exportd {needed}" if needed and needed not in COMMANDS else None


def _elsewhere(comments: list[str]) -> str | None:
    return ".ci/run runs it" if "command: test" in comments else None
