"""Numbers in words: what is one is told in the singular."""

from __future__ import annotations

import pytest

from exportd.checks.facts import Finding, Weight
from exportd.render.verification import verification_report
from exportd.render.wording import size, some


def test_one_is_singular_and_all_others_are_not() -> None:
    assert [some(n, "file") for n in (0, 1, 2, 1234)] == [
        "0 files", "1 file", "2 files", "1,234 files",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size_bytes", "told"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 KB"),
        (2_500_000, "2.5 MB"),
    ],
)
def test_sizes_are_told_in_the_unit_that_fits(size_bytes: int, told: str) -> None:
    assert size(size_bytes) == told


def _verdict(damages: int, notes: int) -> str:
    weights = [Weight.DAMAGE] * damages + [Weight.NOTE] * notes
    findings = [Finding(weight, "hash", "a", "b", "c") for weight in weights]
    return verification_report(findings, {}, {}, {}, 0.1).splitlines()[0]


def test_the_verdict_counts_places_and_notes() -> None:
    assert _verdict(1, 0) == "✗ damage found in 1 place"
    assert _verdict(2, 1) == "✗ damage found in 2 places (1 note)"
    assert _verdict(0, 2) == "✓ healthy (2 notes)"
