"""Commands that messages tell people to run, as a shell takes them. Pure."""

from __future__ import annotations

from shlex import quote

from .formats.text import printable

RETRY_ALL = "exportd retry --all"


def retry(name: str) -> str:
    """Put this dead letter back."""
    return f"exportd retry {'-- ' if name.startswith('-') else ''}{quote(printable(name))}"


def forget(name: str) -> str:
    """Give this dead letter up; its file is deleted first."""
    return f"exportd dead-letters --forget {quote(printable(name))}"
