"""One record as several messages: the first has its place in the file and its id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..models import Kind, Message, Span
from .values import unique


def spread(
    messages: Iterable[Message],
    span: Span,
    source_id: str,
    parent_id: str | None,
    ids: dict[str, int] | None = None,
) -> Iterator[Message]:
    """Further messages have an empty span at the end, ``ID/1`` … and follow one another.

    ``ids`` are those given out before: a record may itself be called ``ID/1``.
    """
    end = Span(span.end, span.end)
    for number, message in enumerate(messages):
        own = f"{source_id}/{number}" if number else source_id
        if number and ids is not None:
            own = unique(own, ids)
        yield replace(message, span=end if number else span, source_id=own, parent_id=parent_id)
        parent_id = own


def with_open_end(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A tool call with nothing after it was still running when the export was taken."""
    if not messages or messages[-1].kind is not Kind.TOOL_CALL:
        return tuple(messages)
    return (*messages[:-1], replace(messages[-1], in_flight=True))
