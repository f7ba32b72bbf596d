"""What the database knows of dead letters, and how they are settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..listed import DeadLetter
from .transaction import Transaction


@dataclass(frozen=True, slots=True)
class Settleable:
    """A dead letter that was ingested after all: its very bytes, or a file of its name.

    ``failed_name`` is None for what lies in a container; ``sha256`` for what was unreadable.
    """

    dead_letter_id: int
    failed_name: str | None
    sha256: str | None
    archive_name: str | None
    by_content: bool


def has_open(tx: Transaction, memory_dir: str) -> bool:
    """Whether anything of a memory folder is set aside and not settled."""
    return bool(tx.rows("has_dead_letters", memory_dir=memory_dir)[0][0])


def ingested_since(
    tx: Transaction, memory_dir: str, name: str | None = None, export_id: int | None = None
) -> list[Settleable]:
    """Open ones that may be settled: of this export or name, or of all."""
    found = tx.rows(
        "ingested_dead_letters", memory_dir=memory_dir, name=name, export_id=export_id
    )
    return [Settleable(*row) for row in found]


def settled_files(tx: Transaction, memory_dir: str, names: Sequence[str]) -> list[Settleable]:
    """Of these names in exports-failed/, those whose last dead letter is settled."""
    found = tx.rows("settled_files", memory_dir=memory_dir, failed_names=list(names))
    return [
        Settleable(number, name, sha256, archived, by_content and why == "ingested")
        for number, name, sha256, archived, by_content, why in found
    ]


def dead_letters(tx: Transaction, memory_dir: str) -> list[DeadLetter]:
    """All of a memory folder, settled ones too; the newest last."""
    return [DeadLetter(*row) for row in tx.rows("dead_letters", memory_dir=memory_dir)]


def settle(
    tx: Transaction,
    memory_dir: str,
    letters: Sequence[tuple[int, int | None]],
    settlement: str,
    resolution: str,
    who: str | None = None,
) -> None:
    """Nothing more is to be done about these (ids, and their exports), so alerts are over.

    What lies in a container among them goes with it, unless by its own merits.
    """
    ids = [number for number, _ in letters]
    export_ids = [export_id for _, export_id in letters if export_id is not None]
    if export_ids and settlement != "ingested":
        inside = tx.rows("dead_letters_inside", export_ids=export_ids, memory_dir=memory_dir)
        ids += [number for (number,) in inside]
    claims = tx.rows(
        "settle_dead_letters", dead_letter_ids=ids, settlement=settlement, settled_by=who
    )
    tx.execute("settled_alerts", memory_dir=memory_dir, resolution=resolution)
    for (claim_id,) in claims:  # of what could not even be read, there is no export
        tx.resolve_alert("dead_letter", str(claim_id), resolution)
