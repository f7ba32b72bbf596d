"""Rows that take long: what ``benchmarks.memory`` and ``benchmarks.scale`` print."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .measuring import Row
from .running import own_settings_alone
from .speed import QUICK, Sizes

_FILE = re.compile(
    r"^(\S+): (\S+) MB; .* ([\d,]+) s, [\d.,]+ MB/s; at most ([\d,]+) MB resident: (.*)$"
)
_EXPORTS = re.compile(r"^\| (.+?) \| ([\d.]+) ms \| ([\d.]+) ms \| ([\d.]+) \|$")


def large_files(place: Path, sizes: Sizes) -> list[Row]:
    """Files of a gigabyte: the memory that they take."""
    size = "1" if sizes is QUICK else "1024"
    rows = []
    for line in _printed("memory", "--megabytes", size, "--folder", str(place)):
        if found := _FILE.match(line):
            name, size_mb, took_s, peak_mb, verdict = found.groups()
            size_bytes = int(size_mb.replace(",", "")) * 1024**2
            took, peak = (float(text.replace(",", "")) for text in (took_s, peak_mb))
            rows.append(
                Row(
                    f"{name} of {size_mb} MB", [took] if took else (), size_bytes=size_bytes,
                    peak_mb=peak, told=verdict, goal="≤ 200 MB resident",
                    met=verdict == "as expected",
                )
            )  # fmt: skip
    return _some(rows)


def ten_million(place: Path, sizes: Sizes) -> list[Row]:
    """Exports into ten million stored messages, beside an empty database."""
    many = "10000" if sizes is QUICK else "10000000"
    rows = []
    for line in _printed("scale", "--messages", many, "--folder", str(place)):
        if found := _EXPORTS.match(line):
            what, full, empty = found[1], float(found[2]) / 1000, float(found[3]) / 1000
            rows.append(
                Row(
                    f"into {int(many):,} messages: {what}", [full], [empty],
                    "an empty database", told="medians, file by file in turns",
                    goal="≤ 1.2× an empty one", met=full <= 1.2 * empty,
                )
            )  # fmt: skip
    return _some(rows)


def _some(rows: list[Row]) -> list[Row]:
    if not rows:
        raise ValueError("what it printed has no line that is known here")
    return rows


def _printed(module: str, *arguments: str) -> Sequence[str]:
    """Its lines; it says by its status whether goals are met, which the rows say here."""
    name = f"benchmarks.{module}"
    if importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(f"{name} is not there: not measured")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", name, *arguments], env=own_settings_alone(), check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise subprocess.CalledProcessError(done.returncode, name, stderr=done.stderr[-500:])
    return done.stdout.splitlines()
