"""The page ``docs/explanation/dedup-results.md``: numbers in, Markdown out.

The words stand in ``dedup_results.template.md``; here are the numbers and tables in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exportd.formats.text import printable

from .measured import TELLING_SHARE, UNEXPLAINED, Measured
from .stored import Export, Segment
from .wording import counted, listed, pct, reflowed, table

_TEMPLATE = Path(__file__).with_name("dedup_results.template.md")

_Label = Callable[[Export], str]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured, in general terms, and how long the one run took."""

    system: str
    processors: int
    python: str
    postgresql: str
    run_s: float


def page(of: Measured, machine: Machine, *, names: bool) -> str:
    """The whole page; ``names``: files by their names instead of their numbers."""

    def label(export: Export) -> str:
        name = printable(export.path.name).replace("|", r"\|")
        return f"`{name}`" if names else f"export {export.number}"

    facts = {
        **_result(of),
        "run_s": f"{machine.run_s:.0f}",
        "system": machine.system,
        "processors": str(machine.processors),
        "python": machine.python,
        "postgresql": machine.postgresql,
        "fates": listed(of.fates),
        "dropped": _dropped(of),
        "what_is_stored": _stored(of),
        "risk": _risk(of.risks),
        "series": _series(of.series, label if names else None),
        "rules": _rules(of),
        "unplaced": f"{of.unplaced:,}",
        "merges": _merges(of, label),
        "apart": _apart(of, label),
    }
    return reflowed(_TEMPLATE.read_text(encoding="utf-8").format_map(facts))


def _result(of: Measured) -> Mapping[str, str]:
    seen, stored = _amounts(of.series)
    rule, *_, pool = of.losses
    unexplained = sum(pair.why == UNEXPLAINED for pair in of.apart)
    return {
        "distinct_files": counted(of.distinct.files, "export"),
        "seen": f"{of.distinct.messages:,}",
        "stored": f"{of.stored_messages:,}",
        "repeated": f"{of.distinct.messages - of.stored_messages:,}",
        "series_count": counted(len(of.series), "segment"),
        "series_seen": f"{seen:,}",
        "series_filtered": pct(seen - stored, seen),
        "repeats": f"{of.repeats[0]:,}",
        "rule_lost": f"{rule.lost:,}",
        "rule_gone": f"{rule.gone:,}",
        "rule_worst": f"{rule.worst[0]:,} of {rule.worst[1]:,}",
        "pool_lost": f"{pool.lost:,}",
        "false_merges": f"{len(of.false_merges):,}",
        "apart_count": f"{len(of.apart):,}",
        "unexplained": f"{unexplained:,}" if unexplained else "none",
    }


def _amounts(series: Sequence[Segment]) -> tuple[int, int]:
    """Messages seen in the files of these segments, and stored of them."""
    return sum(s.seen for s in series), sum(len(s.messages) for s in series)


def _dropped(of: Measured) -> str:
    both = of.dropped, of.distinct
    duplicates = [amount.messages - of.stored_messages for amount in both]
    bytes_saved = [amount.text_bytes - of.stored_text_bytes for amount in both]
    rows = {
        "files": [f"{amount.files:,}" for amount in both],
        "their bytes": [f"{amount.file_bytes:,}" for amount in both],
        "messages in them": [f"{amount.messages:,}" for amount in both],
        "bytes of their texts": [f"{amount.text_bytes:,}" for amount in both],
        "duplicate messages": [f"{count:,}" for count in duplicates],
        "… share of the messages": [
            pct(count, amount.messages) for count, amount in zip(duplicates, both, strict=True)
        ],
        "bytes of their duplicate texts": [f"{size:,}" for size in bytes_saved],
        "… share of the texts": [
            pct(size, amount.text_bytes) for size, amount in zip(bytes_saved, both, strict=True)
        ],
    }
    head = ("", "all drops", "distinct contents")
    return table(head, [(what, *cells) for what, cells in rows.items()])


def _stored(of: Measured) -> str:
    everywhere, in_conversation, in_segment = of.repeats
    compacted = [segment for segment in of.segments if segment.starts_compacted]
    rows = {
        "messages": of.stored_messages,
        "bytes of their texts": of.stored_text_bytes,
        "other renderings of them that are kept": of.renderings,
        "bytes of these renderings": of.rendering_bytes,
        "messages re-rendered, as the files came": of.outcomes["rerendered"],
        "messages completed, as the files came": of.outcomes["completed"],
        "repeats kept": everywhere,
        "… of a message of the same conversation": in_conversation,
        "… of a message of the same segment": in_segment,
        "segments": len(of.segments),
        "conversations": len({segment.conversation_id for segment in of.segments}),
        "compactions inside a conversation, without overlap": sum(
            segment.ordinal > 0 for segment in compacted
        ),
        "conversations that begin after a compaction": sum(
            segment.ordinal == 0 for segment in compacted
        ),
    }
    return table(("", "number"), [(what, f"{count:,}") for what, count in rows.items()])


def _risk(risks: Mapping[str, int]) -> str:
    told = ", ".join(
        f"{risks.get(level, 0):,} {level}" for level in ("none", "low", "medium", "high")
    )
    return f"Conversations by their risk of data loss, as `exportd stats` tells it: {told}."


def _series(series: Sequence[Segment], label: _Label | None) -> str:
    seen, stored = _amounts(series)
    exports = sum(len(segment.exports) for segment in series)
    total = ("together", f"{exports:,}", "", f"{stored:,}", pct(seen - stored, seen))
    rows = [_series_row(number, segment, label) for number, segment in enumerate(series, 1)]
    head = ("segment", "exports", "messages of each", "stored", "filtered")
    return table(head, [*rows, total], words=(0, 2))


def _series_row(number: int, segment: Segment, label: _Label | None) -> tuple[str, ...]:
    counts = sorted(len(export.transcript.messages) for export in segment.exports)
    return (
        "<br>".join(map(label, segment.exports)) if label else f"series {number}",
        str(len(counts)),
        " < ".join(f"{count:,}" for count in counts),
        f"{len(segment.messages):,}",
        pct(segment.seen - len(segment.messages), segment.seen),
    )


def _rules(of: Measured) -> str:
    counts = ("kept", "filtered", "lost", "text gone", "kept twice", "worst")
    rows = []
    for loss in of.losses:
        numbers = (loss.kept, loss.filtered, loss.lost, loss.gone, loss.doubled)
        worst = f"{loss.worst[0]:,} of {loss.worst[1]:,} lost"
        rows.append((loss.rule.title, *(f"{n:,}" for n in numbers), worst))
    return table(("a message is a duplicate when", *counts), rows)


def _merges(of: Measured, label: _Label) -> str:
    least = TELLING_SHARE
    told = (
        f"{counted(len(of.false_merges), 'pair')} of files stand in one segment and share less "
        f"than {least:.0%} of the smaller one's text."
    )
    if of.least_within is not None:
        told += f" The two that share least have {of.least_within:.0%} of it in common."
    rows = [(label(p.a), label(p.b), pct(p.share)) for p in of.false_merges]
    return f"{told}\n\n{table(('file', 'and', 'share'), rows, words=(0, 1))}" if rows else told


def _apart(of: Measured, label: _Label) -> str:
    told = (
        f"{counted(len(of.apart), 'pair')} of files share at least {TELLING_SHARE:.0%} of the "
        "smaller one's runs of words and are in different segments"
    )
    if not of.apart:
        return f"{told}."
    rows = [(label(p.a), label(p.b), pct(p.share), p.why) for p in of.apart]
    head = ("file", "and", "share", "why they are apart")
    return f"{told}:\n\n{table(head, rows, words=(0, 1, 3))}"
