"""The report of ``exportd verify``, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..checks.facts import Finding, Weight
from ..formats.text import printable
from .wording import some

# So many findings of a kind are told in full; --json tells all.
_SHOWN = 10
_SIGNS = {Weight.DAMAGE: "✗ damage", Weight.NOTE: "• note"}


def verification_report(
    findings: Sequence[Finding],
    checked: Mapping[str, int],
    bytes_by_class: Mapping[str, int],
    not_checked: Mapping[str, int],
    duration_s: float,
) -> str:
    """Counts first, then ``findings`` in the order given."""
    lines = [
        _verdict(findings, sum(not_checked.values())),
        "",
        *_summary(checked, duration_s),
        *_bytes(bytes_by_class),
        *(
            f"  not checked: {some(count, 'export')} {printable(why)}"
            for why, count in sorted(not_checked.items())
        ),
        *_told(findings),
    ]
    return "\n".join(lines) + "\n"


def _verdict(findings: Sequence[Finding], not_checked: int) -> str:
    damages = sum(finding.severity is Weight.DAMAGE for finding in findings)
    notes = len(findings) - damages
    told = f" ({some(notes, 'note')})" if notes else ""
    if damages:
        return f"✗ damage found in {some(damages, 'place')}{told}"
    if not_checked:
        return f"✓ no damage found, but {some(not_checked, 'export')} not checked{told}"
    return f"✓ healthy{told}"


def _summary(checked: Mapping[str, int], duration_s: float) -> Iterator[str]:
    size_bytes = checked.get("bytes", 0)
    small = size_bytes < 100_000
    size = f"{size_bytes / 1e3:.1f} KB" if small else f"{size_bytes / 1e6:.1f} MB"
    # What is small takes as long as the server's start: no speed.
    speed = "" if small or not duration_s else f", {size_bytes / 1e6 / duration_s:.1f} MB/s"
    containers = checked.get("containers", 0)
    exports = some(checked.get("exports", 0) - containers, "export")
    if containers:
        exports += f" and {some(containers, 'container')}"
    yield f"  {exports}, {size}, in {duration_s:.1f} s{speed}"
    yield (
        f"  {some(checked.get('messages', 0), 'message')} and "
        f"{some(checked.get('renderings', 0), 'other rendering')} in "
        f"{some(checked.get('segments', 0), 'segment')} of "
        f"{some(checked.get('conversations', 0), 'conversation')}"
    )


def _bytes(by_class: Mapping[str, int]) -> Iterator[str]:
    """Every byte of the archived files, by what it is."""
    total = sum(by_class.values())
    if total:
        parts = sorted(by_class.items(), key=lambda item: (-item[1], item[0]))
        yield "  every byte: " + ", ".join(
            f"{printable(name)} {100 * size / total:.2f} %" for name, size in parts
        )


def _told(findings: Sequence[Finding]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for finding in findings:
        seen[finding.kind] = seen.get(finding.kind, 0) + 1
        if seen[finding.kind] <= _SHOWN:
            yield ""
            yield from _finding(finding)
    for kind, count in seen.items():
        if count > _SHOWN:
            yield f"\n… and {count - _SHOWN} more of {kind}; --json lists all"


def _finding(finding: Finding) -> Iterator[str]:
    index = finding.message_index
    where = [
        finding.conversation_id,
        f"index {index}" if index is not None else None,
        finding.file,
    ]
    place = ", ".join(printable(part) for part in where if part)
    yield f"{_SIGNS[finding.severity]}: {finding.kind}" + (f" · {place}" if place else "")
    yield f"    expected: {printable(finding.expected)}"
    yield f"    found:    {printable(finding.found)}"
    yield f"    do:       {printable(finding.what_to_do)}"
