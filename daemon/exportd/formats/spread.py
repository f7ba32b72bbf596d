"""One record as several messages: the first has its place in the file and its id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..models import Message, Span


def spread(
    messages: Iterable[Message], span: Span, source_id: str, parent_id: str | None
) -> Iterator[Message]:
    """Further messages have an empty span at the end, ``ID/1`` … and follow one another."""
    end = Span(span.end, span.end)
    for number, message in enumerate(messages):
        own = f"{source_id}/{number}" if number else source_id
        yield replace(message, span=end if number else span, source_id=own, parent_id=parent_id)
        parent_id = own
