"""One record as several messages: the first has its place in the file and its id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count

from ..models import Kind, Message, Span
from .values import unique


def linked(
    span: Span, source_id: str, parent_id: str | None, ids: dict[str, int] | None = None
) -> Iterator[tuple[Span, str, str | None]]:
    """Span, id and parent of each message of one record in turn, without end.

    Further messages have an empty span at the end, ``ID/1`` … and follow one another.
    ``ids`` are those given out before: a record may itself be called ``ID/1``.
    """
    yield span, source_id, parent_id
    end, last = Span(span.end, span.end), source_id
    for number in count(1):
        own = f"{source_id}/{number}"
        if ids is not None:
            own = unique(own, ids)
        yield end, own, last
        last = own


def spread(
    messages: Iterable[Message],
    span: Span,
    source_id: str,
    parent_id: str | None,
    ids: dict[str, int] | None = None,
) -> Iterator[Message]:
    """Messages of one record with their places and ids, as :func:`linked` tells them."""
    links = linked(span, source_id, parent_id, ids)
    for message, (own_span, own, parent) in zip(messages, links, strict=False):
        yield replace(message, span=own_span, source_id=own, parent_id=parent)


def with_open_end(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A tool call with nothing after it was still running when the export was taken."""
    if not messages or messages[-1].kind is not Kind.TOOL_CALL:
        return tuple(messages)
    return (*messages[:-1], replace(messages[-1], in_flight=True))
