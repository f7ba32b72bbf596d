"""Each protection of docs/explanation/reliability.md, taken out once: its test must fail then.

A test that passes without what it proves, proves nothing. ``protections.toml`` has, for each
protection, the lines that make it, what stands there without it, and the test. The project is
copied, changed there, and the test is run; first of all the tests run on an unchanged copy.
Exit code 1 when a test passes without its protection, or fails with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
TABLE = Path(__file__).with_name("protections.toml")
LONGEST_S = 180
FAILED = "failed"  # as it should


@dataclass(frozen=True, slots=True)
class Edit:
    """``find`` stands once in ``file``, a path below ``daemon/exportd``."""

    file: str
    find: str
    put: str


@dataclass(frozen=True, slots=True)
class Protection:
    """``without`` says what happens without it; ``test`` is what fails then, below tests/."""

    hazard: int
    without: str
    test: str
    edits: tuple[Edit, ...]
    slow: bool = False


def protections() -> list[Protection]:
    """The table, in its order."""
    with TABLE.open("rb") as file:
        entries = tomllib.load(file)["protection"]
    return [
        Protection(
            **{name: entry[name] for name in entry if name != "edits"},
            edits=tuple(Edit(**edit) for edit in entry["edits"]),
        )
        for entry in entries
    ]


def disable(protection: Protection, root: Path) -> None:
    """Take it out of the project under ``root``; ``ValueError`` where its lines are not."""
    for edit in protection.edits:
        path = root / "daemon" / "exportd" / edit.file
        text = path.read_text()
        if text.count(edit.find) != 1:
            raise ValueError(
                f"hazard {protection.hazard}: expected once in {edit.file}, found "
                f"{text.count(edit.find)} times: {edit.find!r}"
            )
        path.write_text(text.replace(edit.find, edit.put))


@click.command(help=__doc__)
@click.argument("hazards", nargs=-1, type=int)
@click.option("--jobs", default=2, show_default=True, help="How many are tried at once.")
@click.option("--baseline/--no-baseline", default=True, help="First run all with everything.")
def main(hazards: tuple[int, ...], jobs: int, *, baseline: bool) -> None:
    """Print three lines for each protection."""
    wanted = [one for one in protections() if not hazards or one.hazard in hazards]
    if baseline:
        _check_all_pass(wanted)
    unproven = 0
    with ThreadPoolExecutor(jobs) as pool:
        for protection, (verdict, said) in zip(wanted, pool.map(_tried, wanted), strict=True):
            unproven += verdict != FAILED
            click.echo(f"{protection.hazard:>2}  {verdict}  {protection.without}")
            click.echo(f"      {protection.test}\n      {said}")
    click.echo(f"{len(wanted)} protections taken out, {unproven} not proven by their tests")
    sys.exit(1 if unproven else 0)


def _check_all_pass(wanted: list[Protection]) -> None:
    tests = sorted({protection.test for protection in wanted})
    done = _pytest(ROOT, tests, slow=True, longest_s=6 * LONGEST_S)
    click.echo(f"with all of them: {done.stdout.strip().splitlines()[-1]}")
    if done.returncode:
        raise click.ClickException(done.stdout)


def _tried(protection: Protection) -> tuple[str, str]:
    """How its test ended without it, and the first thing that it said."""
    with tempfile.TemporaryDirectory(prefix="without-") as folder:
        root = Path(folder)
        for part in ("daemon", "tests", "benchmarks", "examples", "systemd", "docs"):
            shutil.copytree(
                ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in _files():
            shutil.copy(ROOT / name, root / name)
        disable(protection, root)
        started = time.monotonic()
        try:
            done = _pytest(root, [protection.test], slow=protection.slow, longest_s=LONGEST_S)
        except subprocess.TimeoutExpired:
            return FAILED, f"did not end within {LONGEST_S} s"
    verdict = {0: "PASSED", 1: FAILED}.get(done.returncode, "BROKEN")
    lines = [line[1:].strip() for line in done.stdout.splitlines() if line.startswith("E  ")]
    said = next(iter(lines), done.stdout[-1000:] + done.stderr[-1000:])[:300]
    return verdict, f"{said} ({time.monotonic() - started:.0f} s)"


def _files() -> Iterator[str]:
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            yield path.name


def _pytest(
    root: Path, tests: list[str], *, slow: bool, longest_s: float
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root / "daemon")}
    if slow:
        environment["TEST_SLOW"] = "1"
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
        + [f"--basetemp={root / 'tmp'}"] * (root != ROOT)
        + [f"tests/{test}" for test in tests],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=longest_s,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
