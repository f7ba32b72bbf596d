"""How fast exportd is: ``python -m benchmarks [--rows NAME…] [--quick] [--no-peers] [--long]``.

Every row is measured with the real command on a fresh memory folder with an embedded server,
beside what the machine itself needs for the same: a bare COPY of the same finished rows, or
``sha256sum`` of the same file. The table is printed, and written with date and machine to
docs/performance.md when no row was left out. A row that fails says so, and the
others go on; status 1 then. Whether a goal is met is no part of the status.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from .long_rows import large_files, ten_million
from .measuring import Row, fresh, machine
from .peers import beside_best, peers
from .performance_page import page, printed
from .speed import QUICK, ROWS, Sizes

_PAGE = Path("docs/performance.md")
_LONG = {"large-files": large_files, "ten-million": ten_million}
_ALL = ROWS | {"peers": peers} | _LONG


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=_ALL, metavar="NAME", help=", ".join(_ALL))
    parser.add_argument("--no-peers", action="store_true", help="leave other programs out")
    parser.add_argument("--long", action="store_true", help=f"also {', '.join(_LONG)}")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    parser.add_argument("--folder", type=Path, help="where all files lie meanwhile")
    parser.add_argument("--output", type=Path, help=f"the page [{_PAGE}]")
    options = parser.parse_args()
    sizes = QUICK if options.quick else Sizes()
    left_out = (set() if options.long else set(_LONG)) | (
        {"peers"} if options.no_peers else set()
    )
    names = options.rows or [name for name in _ALL if name not in left_out]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="exportd-speed-") as folder:
        for name in names:
            rows += (found := _measured(_ALL[name], Path(folder), sizes))
            sys.stdout.write("\n".join(printed([row]) for row in found) + "\n")
            sys.stdout.flush()
        rows += beside_best(rows)
        where = _machine(Path(folder))
    sys.stdout.write(f"\n{where}\n{printed(rows)}\n")
    whole = set(names) >= set(ROWS) and not options.quick
    if output := options.output or (_PAGE if whole else None):
        output.write_text(page(rows, where, f"{datetime.now(UTC):%Y-%m-%d}"), encoding="utf-8")
    return int(any(row.told.startswith("FAILED") for row in rows))


def _measured(row: Callable[[Path, Sizes], list[Row]], folder: Path, sizes: Sizes) -> list[Row]:
    try:
        return row(folder, sizes)
    except Exception as error:  # noqa: BLE001, RUF100 - the other rows are measured all the same
        traceback.print_exc()
        return [Row(row.__name__.replace("_", " "), told=f"FAILED: {error}", met=False)]


def _machine(folder: Path) -> str:
    with fresh(folder) as (_, database), database.cursor() as cursor:
        cursor.execute("SHOW server_version")
        found = cursor.fetchone()
    return machine(folder, str(found[0]).split()[0] if found else "")


if __name__ == "__main__":
    raise SystemExit(main())
