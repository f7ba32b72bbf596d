"""Where a conversation comes from: the project and the developer, as names.

They are told by a directory or the URL of a repository, which may come from anywhere and
hold anything: what is given back is a name, and no path that leads somewhere.
"""

from __future__ import annotations

import re

from .formats.text import printable

_MOST_CHARS = 200
# ~/work, /home/ana/work, /Users/ana/work, C:\Users\ana\work
_HOME = re.compile(r"(?:[A-Za-z]:)?[/\\](?:home|[Uu]sers)[/\\](?P<developer>[^/\\]+)")
_SCP = re.compile(r"[^/\s]+@[^/:\s]+:(?P<path>.+)")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/]*/(?P<path>.+)", re.IGNORECASE)


def project(cwd: str | None, repository: str | None = None) -> str | None:
    """``owner/name`` of a repository's URL, else the last folder of a directory.

    The home directory alone is no project.
    """
    if repository and (found := _SCP.fullmatch(repository) or _URL.fullmatch(repository)):
        names = _names(found["path"].removesuffix("/").removesuffix(".git"))
        if names:
            return "/".join(names[-2:])
    names = _names(cwd or "")
    home = _HOME.fullmatch((cwd or "").rstrip("/\\"))
    return names[-1] if names and not home else None


def developer(cwd: str | None) -> str | None:
    """Whose home directory it lies in."""
    found = _HOME.match(cwd or "")
    names = _names(found["developer"]) if found else []
    return names[0] if names else None


def _names(path: str) -> list[str]:
    """The folders of a path that are names, and safe to show."""
    found = (printable(name).strip()[:_MOST_CHARS] for name in re.split(r"[/\\]", path))
    return [name for name in found if name.strip(".…~") and not re.fullmatch("[A-Za-z]:", name)]
