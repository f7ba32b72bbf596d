"""The picture of a status report in the README: what the examples really give.

Writes docs/pictures/status-report.svg. Times and the folder are made the same everywhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "pictures" / "status-report.svg"
_EXAMPLE = "2026-01-{}-EXPORT-GARDEN-PLANNER.txt"
_WIDTH = 84


def report() -> str:
    """The report on a session's second export, after its first one was ingested."""
    with tempfile.TemporaryDirectory() as folder:
        memory = Path(folder) / "MEMORY-CONTEXT"
        for day in ("12", "13"):
            _ingest(memory, ROOT / "examples" / _EXAMPLE.format(day))
        log = (memory / "export-dedup-status.txt").read_text(encoding="utf-8")
    last = "=" * 80 + "\nEXPORT-DEDUP" + log.rpartition("\nEXPORT-DEDUP")[2]
    last = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d UTC", "2026-01-13T18:05:09 UTC", last)
    last = re.sub(r"Duration: [\d.]+ seconds", "Duration: 0.21 seconds", last)
    return last.replace(str(memory), "/home/ada/garden/MEMORY-CONTEXT")


def _ingest(memory: Path, example: Path) -> None:
    environment = {**os.environ, "EXPORTD_MEMORY_DIR": str(memory)}
    command = [sys.executable, "-m", "exportd", "ingest", str(example)]
    subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: S603


def picture(text: str) -> str:
    """A terminal that shows ``text``, as SVG without anything from elsewhere."""
    console = Console(record=True, width=_WIDTH, file=StringIO(), highlight=False)
    console.print(text.rstrip("\n"), markup=False, emoji=False)
    svg = console.export_svg(
        title="MEMORY-CONTEXT/export-dedup-status.txt", theme=DIMMED_MONOKAI, unique_id="report"
    )
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    PICTURE.write_text(picture(report()), encoding="utf-8")
