"""Every byte of an export is accounted for (DESIGN 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ..models import Span, Transcript
from .facts import ExportRow, Finding, Weight

MESSAGES = "messages"
FAULTS = "faults"


def byte_totals(transcript: Transcript) -> Counter[str]:
    """How many bytes are messages, and how many are what else; ignored ones with reason."""
    totals: Counter[str] = Counter()
    for message in transcript.messages:
        totals[MESSAGES] += message.span.end - message.span.start
    for region in transcript.regions:
        label = region.label if region.label != "ignored" else f"ignored: {region.reason}"
        totals[label] += region.span.end - region.span.start
    for fault in transcript.faults:
        totals[FAULTS] += fault.span.end - fault.span.start
    return totals


def unaccounted(transcript: Transcript, export: ExportRow) -> Iterator[Finding]:
    """Bytes that no span, or more than one, accounts for: one finding tells them all."""
    gaps = list(_gaps(transcript, export.size_bytes))
    if gaps:
        told = ", ".join(f"{start} to {end}" for start, end in gaps[:3])
        yield Finding(
            Weight.DAMAGE,
            "bytes_unaccounted",
            f"every one of {export.size_bytes} bytes in exactly one message or region",
            f"{len(gaps)} gaps or overlaps, the first at bytes {told}",
            "this is a bug of the parser: please report it; the file itself is unharmed",
            file=export.name,
        )


def _gaps(transcript: Transcript, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Where one span does not begin at the end of the one before."""
    spans = [m.span for m in transcript.messages] + [r.span for r in transcript.regions]
    spans += [fault.span for fault in transcript.faults]
    spans.sort(key=lambda span: (span.start, span.end))
    edges = [Span(0, 0), *spans, Span(size_bytes, size_bytes)]
    for before, after in pairwise(edges):
        if before.end != after.start:
            yield before.end, after.start


def misparsed(transcript: Transcript, export: ExportRow) -> Iterator[Finding]:
    """The stored number of messages, where the same parser stored it."""
    if len(transcript.messages) != export.message_count:
        yield Finding(
            Weight.DAMAGE,
            "export_count",
            f"exports.message_count {len(transcript.messages)}, as the file shows",
            f"{export.message_count}",
            "run exportd reindex",
            file=export.name,
        )


def is_parsed_alike(transcript: Transcript, export: ExportRow) -> bool:
    """Whether the parser that stored an export is the present one."""
    own = (transcript.format, transcript.parser_version)
    return own == (export.format, export.parser_version)
