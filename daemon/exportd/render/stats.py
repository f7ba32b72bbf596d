"""Statistics for people: one conversation as a list, many as a Markdown table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import fill

from rich.cells import cell_len

from ..formats.text import printable
from ..models import RiskLevel
from ..statistics import Amounts, Statistics, total
from .wording import size, some

_COLUMNS = (
    "Conversation", "Risk", "Segments", "Gaps", "Exports", "Drops", "Seen", "Stored", "Saved",
)  # fmt: skip
_SPARE = (3, 5)  # what a narrow terminal does without: Gaps and Drops
_LEFT = 2  # so many columns are text, the others numbers
_MIN_ID_CELLS = 16
_GOOD_ID_CELLS = 24


def one(of: Statistics) -> str:
    """All facts about a conversation, one a line."""
    facts = list(_facts(of))
    width = max(len(name) for name, _ in facts)
    lines = [f"{name:<{width}}  {fact}".rstrip() for name, fact in facts]
    return "\n".join([printable(of.conversation_id), "", *lines]) + "\n"


def _facts(of: Statistics) -> Iterator[tuple[str, str]]:
    amounts = of.amounts
    yield "Risk of data loss", of.risk.level.value
    for reason in of.risk.reasons:
        yield "", f"- {printable(reason)}"
    yield "Segments", f"{amounts.segments:,}"
    gaps = ", ".join(map(_gap, of.gaps))
    yield "Missing messages", f"{gaps} by the export's own count" if gaps else "none known"
    yield "Messages stored", f"{amounts.unique_messages:,}"
    yield from _seen(amounts)
    yield from _sizes(amounts)


def _seen(of: Amounts) -> Iterator[tuple[str, str]]:
    share, dropped = _share(of.count_savings_pct), _share(of.count_savings_all_drops_pct)
    exports, drops = some(of.exports, "distinct export"), some(of.drops, "drop")
    yield "Messages seen", f"{of.messages_seen:,} in {exports}, {share} of them saved"
    yield "", f"{of.messages_dropped:,} in {drops}, {dropped} of them saved"
    yield "Duplicates", f"{of.duplicates:,} of the messages of distinct exports"


def _sizes(of: Amounts) -> Iterator[tuple[str, str]]:
    """Side by side and no share: a file is more than its texts, even with no repeat in it."""
    yield "Text stored", f"{size(of.stored_bytes)}, without glyphs, padding and headers"
    yield (
        "Bytes of the files",
        f"{size(of.unique_bytes)} in {some(of.exports, 'distinct export')}",
    )
    yield "", f"{size(of.raw_bytes)} in {some(of.drops, 'drop')}"


def _gap(gap: tuple[int, int]) -> str:
    return str(gap[0]) if gap[0] == gap[1] else f"{gap[0]} to {gap[1]}"


def table(statistics: Sequence[Statistics], width: int | None = None) -> str:
    """A Markdown table with a total line, and what the numbers mean.

    ``width``: cells of the terminal, for which columns are left out and long ids are
    shortened in the middle; None leaves all whole.
    """
    together = total(one.amounts for one in statistics)
    rows = [
        list(_COLUMNS),
        *(
            _row(o.conversation_id, o.risk.level.value, len(o.gaps), o.amounts)
            for o in statistics
        ),
        _row("**Total**", _worst(statistics), sum(len(o.gaps) for o in statistics), together),
    ]
    legend = list(_legend(statistics, together))
    widths = _widths(rows)
    if width:
        rows, widths = _narrowed(rows, widths, width)
        legend = [_filled(line, width) for line in legend]
    return "\n".join([*_aligned(rows, widths), "", *legend]) + "\n"


def _narrowed(
    rows: list[list[str]], widths: list[int], width: int
) -> tuple[list[list[str]], list[int]]:
    if _room(widths, width) < min(widths[0], _GOOD_ID_CELLS):
        rows = [[cell for n, cell in enumerate(row) if n not in _SPARE] for row in rows]
        widths = _widths(rows)
    widths[0] = min(widths[0], max(_room(widths, width), _MIN_ID_CELLS))
    names = _shortened([row[0] for row in rows], widths[0])
    return [[name, *row[1:]] for name, row in zip(names, rows, strict=True)], widths


def _room(widths: list[int], width: int) -> int:
    """Cells that the other columns leave for the ids."""
    return width - sum(widths[1:]) - 3 * len(widths) - 1


def _widths(rows: list[list[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def _filled(line: str, width: int) -> str:
    return fill(line, width, subsequent_indent="  ", break_on_hyphens=False)


def _row(name: str, risk: str, gaps: int, amounts: Amounts) -> list[str]:
    numbers = (
        amounts.segments, gaps, amounts.exports, amounts.drops, amounts.messages_seen,
        amounts.unique_messages,
    )  # fmt: skip
    shown = (f"{number:,}" for number in numbers)
    return [printable(name), risk, *shown, _share(amounts.count_savings_pct)]


def _worst(statistics: Sequence[Statistics]) -> str:
    levels = list(RiskLevel)
    worst = max((o.risk.level for o in statistics), key=levels.index, default=RiskLevel.NONE)
    return worst.value


def _shortened(names: list[str], room: int) -> list[str]:
    """Long names without their middle; what would look alike then stays whole."""
    short = [_without_middle(name, room) for name in names]
    count = Counter(short)
    return [s if count[s] == 1 else name for s, name in zip(short, names, strict=True)]


def _without_middle(name: str, room: int) -> str:
    if cell_len(name) <= room:
        return name
    head, tail = name[: len(name) // 2], name[len(name) // 2 :]
    while cell_len(head) + cell_len(tail) >= room:
        if cell_len(head) > cell_len(tail):
            head = head[:-1]
        else:
            tail = tail[1:]
    return f"{head}…{tail}"


def _aligned(rows: list[list[str]], widths: list[int]) -> Iterator[str]:
    rule = [
        "-" * width if number < _LEFT else "-" * (width - 1) + ":"
        for number, width in enumerate(widths)
    ]
    for number, row in enumerate(rows):
        if number == 1:
            yield f"| {' | '.join(rule)} |"
        cells = zip(row, widths, strict=True)
        yield f"| {' | '.join(_padded(n, *cell) for n, cell in enumerate(cells))} |"


def _padded(column: int, text: str, width: int) -> str:
    padding = " " * (width - cell_len(text))
    return text + padding if column < _LEFT else padding + text


def _legend(statistics: Sequence[Statistics], of: Amounts) -> Iterator[str]:
    levels = [one.risk.level for one in statistics]
    counts = [f"{levels.count(level):,} {level.value}" for level in reversed(RiskLevel)]
    yield f"- Conversations: {len(levels):,}. Risk of data loss: {', '.join(counts)}."
    if of.drops:
        exports, drops = some(of.exports, "distinct export"), some(of.drops, "drop")
        yield (
            f"- Saved: {_share(of.count_savings_pct)} of the {of.messages_seen:,} messages in "
            f"{exports}, {_share(of.count_savings_all_drops_pct)} of the "
            f"{of.messages_dropped:,} in {drops}."
        )
        yield (
            f"- Bytes: {size(of.stored_bytes)} of text stored, without glyphs, padding and "
            f"headers; {size(of.unique_bytes)} in {exports}, {size(of.raw_bytes)} in {drops}."
        )


def _share(savings_pct: float | None) -> str:
    return "-" if savings_pct is None else f"{savings_pct:.1f} %"
