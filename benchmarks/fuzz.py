"""Fuzz detection and reading of every format: ``python -m benchmarks.fuzz [FORMAT…]``.

Coverage-guided, by Atheris (``pip install atheris``), beginning with the samples of the
format. A content is read, or refused with a reason; all else ends the run and leaves the
content as ``crash-…`` in the folder that is named at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "tests" / "samples"


def main() -> int:
    """One process after the other, each for so many seconds; 1 when one found something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("formats", nargs="*")
    parser.add_argument("--seconds", type=int, default=600, help="for each format [600]")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.target:
        _fuzz(options.target, rest)
    from exportd.containers import CONTAINERS  # noqa: PLC0415
    from exportd.formats import FORMATS  # noqa: PLC0415

    known = [*(module.NAME for module in FORMATS), *(one.NAME for one in CONTAINERS)]
    found = 0
    for name in options.formats or known:
        place = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
        for sample in SAMPLES.glob("*"):
            if not sample.name.endswith(".golden.json"):
                (place / sample.name).write_bytes(sample.read_bytes())
        done = subprocess.run(  # noqa: S603  # ourselves
            [
                sys.executable, "-m", "benchmarks.fuzz", "--target", name, str(place),
                f"-max_total_time={options.seconds}", f"-artifact_prefix={place}/",
                "-rss_limit_mb=4096", "-timeout=30", "-max_len=65536", "-print_final_stats=1",
            ],
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        runs = [line for line in done.stderr.splitlines() if "executed_units" in line]
        count = runs[0].rpartition(":")[2].strip() if runs else "?"
        result = f"FOUND, see {place}" if done.returncode else "ok"
        sys.stdout.write(f"{name}: {count} contents, {result}\n")
        if done.returncode:
            sys.stdout.write(done.stderr[-3000:])
            found = 1
    return found


def _fuzz(target: str, arguments: list[str]) -> None:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415

    with atheris.instrument_imports(include=["exportd"]):
        from exportd import containers, formats  # noqa: PLC0415
        from exportd.containers import Bounds, jsonl_parts  # noqa: PLC0415
        from exportd.errors import PermanentError  # noqa: PLC0415

    module = next((one for one in formats.FORMATS if target == one.NAME), None)
    container = containers.named(target)
    jsonl_parts.LONG_BYTES = jsonl_parts.PART_BYTES = 400  # of what Atheris makes up, many

    def read(raw: bytes) -> None:
        head = raw[: formats.HEAD_BYTES]
        try:
            if module is not None:
                module.detect(head, "any.txt")
                module.parse(raw, "any.txt")
            elif container is not None:
                container.detect(head, len(raw))
                for member in container.members(raw, "any.txt", Bounds(max_bytes=10_000_000)):
                    if (
                        not member.fault
                        and container.extract(raw, member.locator) != member.raw[:]
                    ):
                        raise AssertionError(member.locator)
        except PermanentError:
            return

    atheris.Setup([sys.argv[0], *arguments], read)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
