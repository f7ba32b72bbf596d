"""Decisions about conversations, in sentences. Pure."""

from __future__ import annotations

from datetime import UTC

from ..formats.text import printable
from ..listed import Override
from .wording import some


def told(override: Override, what: str | None = None) -> str:
    """A decision as a sentence in force, or as the record of one that was undone."""
    made = override.created_at.astimezone(UTC)
    by = f"(decided by {printable(override.made_by)}, {made:%Y-%m-%d %H:%M} UTC)"
    if override.undone_at is not None:
        undone = override.undone_at.astimezone(UTC)
        told = f"{named(override)} {by}, undone {undone:%Y-%m-%d %H:%M} UTC"
    else:
        told = f"{_sentence(override, what)} {by}"
    return f"{override.override_id}. {told}"


def _sentence(override: Override, what: str | None) -> str:
    """A split is kept as a list of exports, so in the end only they can be counted."""
    if override.operation == "split":
        shown = (
            what or f"what {some(len(override.exports), 'export')} of {override.from_id} shows"
        )
        are = "belong" if shown.startswith("segments") else "belongs"
        return f"{shown} {are} to {override.into_id}"
    verb = "is called" if override.operation == "rename" else "is part of"
    return f"{override.from_id} {verb} {override.into_id}"


def named(override: Override) -> str:
    words = {
        "rename": "the renaming of {0} to {1}",
        "merge": "the merge of {0} into {1}",
        "split": "the split of segments of {0} into {1}",
    }
    return words[override.operation].format(override.from_id, override.into_id)


def numbered(ordinals: tuple[int, ...]) -> str:
    *others, last = map(str, sorted(set(ordinals)))
    return f"segments {', '.join(others)} and {last}" if others else f"segment {last}"
