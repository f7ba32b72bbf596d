"""Drop files from several writers while everything around exportd breaks, and count.

    python -m benchmarks.soak [--minutes 10] [--files 5000] [--fault-every 10] [--seed N]

The real daemon, restarted whenever it ends, on a memory folder in a small tmpfs (an ordinary
folder without the right to mount), with a PostgreSQL of its own. Every few seconds a fault:
the daemon is killed or stopped, the server is killed, stopped or frozen, the disk is full,
the drop folder is gone. At the end there are no more faults, and every message must be stored
once and in its place, every content archived once, and nothing be left over. Exit code 1
when that is not so; ``--seed`` repeats the choice of files and faults, not their timing.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from exportd.embedded import embedded_server

from .faults import FAULTS, Surroundings, small_disk
from .soaked import differences
from .supervisor import Daemon
from .writers import Truth, Writers

# So long may the backlog take when the faults are over.
DRAIN_S = 600
SAMPLE_S = 1.0


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long files arrive.")
@click.option("--files", default=5000, show_default=True, help="How many arrive in all.")
@click.option("--fault-every", default=10.0, show_default=True, help="Seconds between faults.")
@click.option("--writers", default=4, show_default=True, help="Writers at the same time.")
@click.option(
    "--fault", "only", multiple=True, type=click.Choice(list(FAULTS)), help="Only these."
)
@click.option("--seed", type=int, help="Repeat the files and faults of an earlier run.")
def main(
    minutes: float,
    files: int,
    fault_every: float,
    writers: int,
    only: tuple[str, ...],
    seed: int | None,
) -> None:
    """Soak exportd in faults; nothing may be lost, doubled or left over."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    click.echo(f"seed {seed}")
    work = Path(tempfile.mkdtemp(prefix="exportd-soak-"))
    work.chmod(0o755)  # the embedded server runs as another user when root starts it
    with (
        small_disk(work / "disk") as disk,
        embedded_server(_made(work / "server")) as server,
    ):
        memory = work / "disk" / "MEMORY-CONTEXT"
        exports = memory / "exports"
        exports.mkdir(parents=True)
        truth = Truth()
        running = Writers(exports, truth, files, 60 * minutes, writers, seed)
        with Daemon(memory, server.url, work / "daemon.log") as daemon:
            around = Surroundings(daemon, running, server, work / "server", disk, exports)
            names = only or tuple(FAULTS)
            faults = _soak(around, minutes, fault_every, names, seed)
            drained_s = _drain(memory, daemon)
        wrong = differences(memory, server.url, truth)
        if bugs := daemon.codes[os.EX_SOFTWARE]:
            wrong.append(f"the daemon ended by a bug {bugs} times")
        _tell(daemon, truth, faults, drained_s)
    for line in wrong:
        click.echo(f"WRONG  {line}")
    if wrong:
        click.echo(f"the daemon's log is kept: {work / 'daemon.log'}")
    else:
        shutil.rmtree(work)
        click.echo("clean: nothing lost, nothing doubled, nothing left over")
    sys.exit(1 if wrong else 0)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _soak(
    around: Surroundings,
    minutes: float,
    fault_every: float,
    names: Sequence[str],
    seed: int,
) -> Counter[str]:
    chance, done = random.Random(seed), Counter[str]()  # noqa: S311
    end = time.monotonic() + 60 * minutes
    with around.writers:
        next_fault = time.monotonic() + fault_every
        while time.monotonic() < end or around.writers.are_busy:
            time.sleep(SAMPLE_S)
            around.daemon.sample()
            if time.monotonic() >= next_fault:
                next_fault += fault_every
                name = chance.choice(names)
                FAULTS[name](around)
                done[name] += 1
    return done


def _drain(memory: Path, daemon: Daemon) -> float:
    """Seconds until nothing waits and nothing is in flight any more."""
    started = time.monotonic()
    while time.monotonic() < started + DRAIN_S:
        daemon.sample()
        waiting = [path for path in (memory / "exports").rglob("*") if _waits(path)]
        if not waiting and not any((memory / ".exportd" / "inflight").iterdir()):
            break
        time.sleep(SAMPLE_S)
    return time.monotonic() - started


def _waits(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _tell(daemon: Daemon, truth: Truth, faults: Counter[str], drained_s: float) -> None:
    click.echo(
        f"{truth.drops} drops of {len(truth.contents)} contents in {len(truth.sessions)} "
        f"sessions, {truth.message_count} messages"
    )
    click.echo(f"{faults.total()} faults:")
    for name, count in sorted(faults.items()):
        click.echo(f"  {count:4}  {name}")
    click.echo(f"{daemon.starts} starts of the daemon, exit codes {dict(daemon.codes)}")
    click.echo(f"backlog after the last fault: drained in {drained_s:.0f} s")
    click.echo(
        f"resident memory: {daemon.rss_mb[0]:.0f} MB at first, {max(daemon.rss_mb):.0f} MB at "
        f"most, {daemon.rss_mb[-1]:.0f} MB at last; "
        f"open files at most {daemon.most_descriptors}, threads {daemon.most_threads}"
    )


if __name__ == "__main__":
    main()
