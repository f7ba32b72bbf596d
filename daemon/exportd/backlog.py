"""Many small exports in one transaction: steps 6 and 7 for what waited in the folder.

Most files of a backlog have to do with nothing that is stored, and with none of each other:
each begins a conversation of its own. These are decided without a question to the database
and written by a few statements for all of them. Whatever else there is takes the way of every
export, one after the other, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import identity
from .crash import reach
from .ingest import (
    Beginning,
    Reading,
    Surroundings,
    beginning,
    decided,
    ingest,
    report_of,
    segment_fact,
)
from .models import Report
from .placement import place
from .residence import begin
from .store import Asked, Decision, Transaction, write_beginnings


def ingest_all(tx: Transaction, reads: Sequence[Reading]) -> list[Report | None]:
    """What became of each, in their order; None as ``ingest`` has it.

    The same is stored as if they had come one by one.
    """
    begun = [beginning(read) for read in reads]
    decisions = dict(_beginnings(tx, reads, begun))
    reach("backlog.gathered")
    write_beginnings(tx, list(decisions.values()))
    reach("backlog.written")
    return [
        report_of(read.drop, decisions[n], set()) if n in decisions else ingest(tx, read)
        for n, read in enumerate(reads)
    ]


def _beginnings(
    tx: Transaction, reads: Sequence[Reading], begun: Sequence[Beginning]
) -> Iterator[tuple[int, Decision]]:
    """Those that begin a conversation of their own, by their places among ``reads``."""
    apart = set(_apart(reads, begun))
    if not apart:
        return
    apart -= tx.related(
        {
            n: Asked(
                reads[n].attempt.export_id,
                reads[n].transcript.format,
                begun[n].head,
                begun[n].named,
                "".join(begun[n].fact.name.split()),
            )
            for n in apart
        }
    )
    redirects = tx.redirects()
    planned: dict[str, tuple[int, identity.Resolution]] = {}
    seen: set[str] = set()
    for n, one in enumerate(begun):
        found = identity.resolve([one.fact], first_hash=one.head or "")
        resolution = identity.redirected(found, redirects)
        own = resolution.conversation_id
        if n in apart and own not in seen:
            planned[own] = n, resolution
        seen.add(own)
    for conversation_id in tx.begin_conversations(list(planned)):
        n, resolution = planned[conversation_id]
        placement = place((), reads[n].places)
        segment = segment_fact(placement, begun[n].fact)
        around = Surroundings(begin(segment, resolution, placement), conversation_is_new=True)
        yield n, decided(reads[n], begun[n].fact, placement, around)


def _apart(reads: Sequence[Reading], begun: Sequence[Beginning]) -> Iterator[int]:
    """Those that have to do with no earlier one of ``reads``, and say of no other export

    that they go on from it.
    """
    seen: set[tuple[str, str | None]] = set()
    for n, (read, one) in enumerate(zip(reads, begun, strict=True)):
        keys = {("head", one.head), ("named", one.named or one.head)}
        if not keys & seen and not read.transcript.lineage and not read.drop.is_part:
            yield n
        seen |= keys
