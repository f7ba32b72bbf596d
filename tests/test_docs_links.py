"""No link of a page leads nowhere, and no comment names a page that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fences import ROOT, pages

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"(?<![\w/.-])docs/[\w/-]+\.(?:md|json)\b")
# Where pages are named in words: code, units, settings.
_SOURCES = ("daemon", "benchmarks", "tests", "systemd", "docs")


def _text(page: Path) -> str:
    """Without code, in which a bracket is a bracket."""
    return _CODE.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """Of every heading, as GitHub makes them; code in a heading counts as its text."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).lower().strip()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = next(n for n in range(1000) if (f"{slug}-{n}" if n else slug) not in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found


@pytest.mark.parametrize("page", [*pages(), "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_between_pages_leads_somewhere(page: str) -> None:
    here = ROOT / page
    for link in _LINK.findall(_text(here)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (here.parent / name).resolve() if name else here
        assert target.exists(), f"{page}: {link}"
        assert target.is_relative_to(ROOT), f"{page}: {link} leaves the repository"
        if anchor:
            assert anchor in _anchors(target), f"{page}: {link}: no such heading"


def test_every_page_that_is_named_in_words_is_there() -> None:
    files = [path for name in _SOURCES for path in (ROOT / name).rglob("*") if path.is_file()]
    files += [*ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    read, gone = 0, []
    for path in files:
        if path.suffix in (".py", ".md", ".toml", ".service", ".timer", ".sql", ".yaml"):
            for name in _NAMED.findall(path.read_text(encoding="utf-8")):
                read += 1
                if not (ROOT / name).exists():
                    gone.append(f"{path.relative_to(ROOT)} names {name}")
    assert not gone, "\n".join(gone)
    assert read > 10
