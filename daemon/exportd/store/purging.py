"""Take a conversation out for good: the exception to append-only that people ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2

from ..purge_plan import (
    Content,
    Counts,
    Inside,
    Plan,
    closure,
    decisions_about,
    digest,
    names_of,
    struck_split,
)
from ..render.redaction import struck
from .border import translated
from .line import reachable
from .queries import query
from .transaction import Transaction


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file written anew: ``locators`` are the new places of what is in it, by drop.

    ``archive_name`` is None for one that lies in another file alone; not ``is_talk``: no
    conversation is left in it, and it lies among the dead letters as ``failed_name``.
    """

    export_id: int
    sha256: str
    size_bytes: int
    locators: Mapping[int, str]
    archive_name: str | None = None
    failed_name: str | None = None
    claim_id: UUID | None = None

    @property
    def is_talk(self) -> bool:
        return self.failed_name is None


@dataclass(frozen=True, slots=True)
class Todo:
    """A purge that is committed, and is not finished in a memory folder.

    ``names`` are those to be struck; None when that is done.
    """

    purge_id: int
    uuid: UUID
    digest: str
    reason: str | None
    made_by: str
    made_at: datetime
    counts: Mapping[str, int]
    memory_dir: str
    names: Mapping[str, Any] | None


def plan_purge(tx: Transaction, conversation_id: str) -> Plan:
    """All that is known of a conversation, and of the files that it came in."""
    export_ids = [row[0] for row in tx.rows("purge_exports", conversation_id=conversation_id)]
    holder_ids = [row[0] for row in tx.rows("purge_holders", export_ids=export_ids)]
    holders = _contents(tx, holder_ids)
    inside = [Inside(*row) for row in tx.rows("purge_members", export_ids=holder_ids)]
    gone = closure(export_ids, holders, inside)
    contents = _contents(tx, sorted(gone))
    ids = sorted(gone)
    counted = tx.rows("purge_counts", conversation_id=conversation_id, export_ids=ids)[0]
    names = sorted(set(names_of(contents)))
    shared = {name for (name,) in tx.rows("names_that_stay", names=names, export_ids=ids)}
    names = [name for name in names if name not in shared]
    aliases = [row[0] for row in tx.rows("purge_aliases", conversation_id=conversation_id)]
    own, reworded = decisions_about(conversation_id, _overrides(tx))
    return Plan(
        conversation_id,
        Counts(*(int(count) for count in (*counted, len(export_ids)))),
        tuple(contents),
        tuple(holder for holder in holders if holder.export_id not in gone),
        tuple(inside),
        (conversation_id, *aliases),
        tuple(names),
        tuple(row[0] for row in tx.rows("purge_memory_dirs", export_ids=ids)),
        tuple(row[0] for row in tx.rows("namesakes", names=names, export_ids=ids)),
        tuple(sorted(own)),
        tuple(sorted(reworded)),
    )


def shared_exports(tx: Transaction, conversation_id: str) -> list[tuple[str, str]]:
    """Exports that show another conversation as well, and which."""
    export_ids = [row[0] for row in tx.rows("purge_exports", conversation_id=conversation_id)]
    rows = tx.rows("purge_shared", export_ids=export_ids, conversation_id=conversation_id)
    return [(name, other) for name, other in rows]


def purge(
    tx: Transaction,
    plan: Plan,
    rewritten: Sequence[Rewritten],
    uuid: UUID,
    made_by: str,
    reason: str | None,
) -> int:
    """Remove all of it, and note that; the id of the purge.

    From here on it is done: what is left to do with files is written down as well.
    """
    tx.as_owner()
    here: dict[str, Any] = {
        "conversation_id": plan.conversation_id, "export_ids": plan.gone_ids,
    }  # fmt: skip
    decisions = _strike_decisions(tx, plan, uuid)
    _remove_alerts(tx, here)
    for statement in _STEPS:
        tx.execute(statement, **here)
    _strike_names(tx, [*plan.ids, *plan.names])
    for holder in rewritten:
        _rewrite(tx, holder)
    for statement in ("purge_drops", "purge_export_rows"):
        tx.execute(statement, **here)
    return _note(tx, plan, uuid, made_by, reason, decisions)


_STEPS = (
    "purge_resume_points", "purge_silences", "purge_dead_letters", "purge_anomalies",
    "purge_renderings", "purge_foreign_renderings", "purge_messages", "purge_log",
    "purge_links", "purge_segments", "delete_conversation",
)  # fmt: skip


def unfinished(tx: Transaction, memory_dir: str | None) -> list[Todo]:
    """Purges whose files are still to go, from one memory folder or from all."""
    return [Todo(*row) for row in tx.rows("unfinished_purges", memory_dir=memory_dir)]


def contents_of(tx: Transaction, purge_id: int) -> dict[str, tuple[int, bool]]:
    """What went, by SHA-256: its size, and whether it was dropped again since."""
    rows = tx.rows("contents_of_purge", purge_id=purge_id)
    return {sha256: (size_bytes, is_back) for sha256, size_bytes, is_back in rows}


def purged_contents(tx: Transaction) -> set[str]:
    """The SHA-256 of all that was purged and not dropped again since."""
    return {sha256 for (sha256,) in tx.rows("purged_contents")}


def replay_purge(tx: Transaction, record: Mapping[str, Any]) -> None:
    """Note a purge that the archive's list has and the database, a new one, has not."""
    facts = {name: record[name] for name in ("uuid", "digest", "reason", "made_by", "made_at")}
    added = tx.rows("replay_purge", **facts, counts=tx.json(record["counts"]))
    if added:
        contents = record["contents"]
        _add_contents(tx, added[0][0], list(contents), list(contents.values()))


def vacuum(url: str, *, full: bool) -> None:
    """Let the server take the rows out of its files, too; ``full`` writes these anew."""
    with translated(), closing(psycopg2.connect(reachable(url))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query("rewrite_purged" if full else "vacuum_purged"))


def _contents(tx: Transaction, export_ids: Collection[int]) -> list[Content]:
    rows = tx.rows("purge_contents", export_ids=list(export_ids))
    return [Content(*row[:9], *map(tuple, row[9:])) for row in rows]


def _overrides(tx: Transaction) -> list[tuple[int, str, str, str, bool]]:
    return [
        (number, operation, source, into, undone_at is not None)
        for number, _, operation, source, into, *_, undone_at in tx.rows("overrides")
    ]


def _strike_decisions(tx: Transaction, plan: Plan, uuid: UUID) -> dict[str, Any]:
    """For the archive's list: which decisions go, and which have another name in them."""
    alias = f"purged-{uuid.hex[:8]}"
    gone, reworded = [], {}
    for number, its_uuid, _, source, _, exports, *_ in tx.rows("overrides"):
        if number in plan.overrides:
            gone.append(str(its_uuid))
            tx.execute("purge_override", override_id=number)
        elif number in plan.reworded:
            found = struck_split(source, exports or {}, plan.ids, alias)
            reworded[str(its_uuid)] = found
            tx.execute(
                "reword_override",
                override_id=number,
                from_id=found[0],
                exports=tx.json(found[1]),
            )
    return {"overrides": gone, "reworded": reworded}


def _remove_alerts(tx: Transaction, here: Mapping[str, Any]) -> None:
    """With all that was told of them, but for what a channel has already."""
    told = {row[0] for row in tx.rows("purge_deliveries", **here) if row[0]}
    for statement in ("purge_threads", "purge_alert_messages"):
        tx.execute(statement, message_ids=list(told))
    for statement in ("purge_group_keys", "purge_alerts"):
        tx.execute(statement, **here)


def _strike_names(tx: Transaction, names: Sequence[str]) -> None:
    """Other alerts and anomalies may list it among others."""
    for alert_id, body, resolution in tx.rows("alerts_naming", names=list(names)):
        tx.execute(
            "reword_alert",
            alert_id=alert_id,
            body=struck(body, names),
            resolution=struck(resolution, names) if resolution else resolution,
        )
    for anomaly_id, message in tx.rows("anomalies_naming", names=list(names)):
        tx.execute("reword_anomaly", anomaly_id=anomaly_id, message=struck(message, names))


def _rewrite(tx: Transaction, holder: Rewritten) -> None:
    """Where the same bytes came before, they arrived once more."""
    tx.execute(
        "relocate_members",
        drop_ids=list(holder.locators),
        locators=list(holder.locators.values()),
    )
    twin = tx.rows("export_of_content", sha256=holder.sha256)
    if twin and twin[0][0] != holder.export_id:
        move = {"export_id": holder.export_id, "into_id": twin[0][0]}
        for statement in ("move_arrivals", "move_members"):
            tx.execute(statement, **move)
        for statement in ("purge_anomalies", "purge_dead_letters", "purge_log"):
            tx.execute(statement, conversation_id=None, export_ids=[holder.export_id])
        tx.execute("purge_export_rows", export_ids=[holder.export_id])
        return
    tx.execute(
        "rewritten_holder",
        export_id=holder.export_id,
        sha256=holder.sha256,
        size_bytes=holder.size_bytes,
        archive_name=holder.archive_name,
        state="ingested" if holder.is_talk else "dead_letter",
        members=len(holder.locators),
    )
    if not holder.is_talk:
        tx.execute("forget_archived", export_id=holder.export_id)
        tx.execute(
            "add_dead_letter",
            export_id=holder.export_id,
            claim_id=holder.claim_id,
            original_name=holder.failed_name,
            failed_name=holder.failed_name,
            reason="what is left of a file that a purged conversation was in",
            error_class="Purged",
            memory_dir=None,  # that of its drop
        )


def _note(
    tx: Transaction,
    plan: Plan,
    uuid: UUID,
    made_by: str,
    reason: str | None,
    decisions: Mapping[str, Any],
) -> int:
    purge_id: int = tx.rows(
        "add_purge",
        uuid=uuid,
        digest=digest(uuid, plan.conversation_id),
        reason=reason,
        made_by=made_by,
        counts=tx.json(plan.counts.as_dict()),
    )[0][0]
    files = [*plan.gone, *plan.rewritten]
    _add_contents(tx, purge_id, [c.sha256 for c in files], [c.size_bytes for c in files])
    todo = {"ids": list(plan.ids), "names": list(plan.names), **decisions}
    for memory_dir in plan.memory_dirs:
        tx.execute(
            "add_purge_folder", purge_id=purge_id, memory_dir=memory_dir, todo=tx.json(todo)
        )
    return purge_id


def _add_contents(tx: Transaction, purge_id: int, sha256s: list[str], sizes: list[int]) -> None:
    tx.execute("add_purged_contents", purge_id=purge_id, sha256s=sha256s, sizes=sizes)
