"""The outline at the side: what the user asked, segment by segment."""

from __future__ import annotations

from collections.abc import Iterator

from ...dumped import Outline, SegmentRecord
from .markup import Markup, element
from .visible import beginning

_LINE = 90  # characters


def outline_of(outline: Outline, segments: list[SegmentRecord]) -> Markup:
    return element(
        "nav",
        element("h2", f"Prompts ({len(outline.prompts):,})"),
        *_groups(outline, segments),
        id="outline",
        aria_label="Outline",
    )


def _groups(outline: Outline, segments: list[SegmentRecord]) -> Iterator[Markup]:
    entries = iter(outline.prompts)
    entry = next(entries, None)
    for number, segment in enumerate(segments):
        end = segment["first_index"] + segment["message_count"]
        is_last = number == len(segments) - 1
        found = []
        while entry is not None and (is_last or entry[0] < end):
            found.append(_entry(*entry))
            entry = next(entries, None)
        if len(segments) > 1:
            ordinal = segment["ordinal"] + 1
            yield element("h3", element("a", f"Segment {ordinal}", href=f"#s{ordinal}"))
        if found:
            yield element("ol", *found)


def _entry(index: int, said: str) -> Markup:
    line = beginning(said, _LINE) or "(nothing)"
    return element("li", element("a", element("span", line, dir="auto"), href=f"#m{index}"))
