"""Messages to people, one of each kind, for the tests of the channels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exportd.alerts.notice import Event, Notice, Told
from exportd.alerts.rules import RULES

SINCE = datetime(2026, 11, 25, 21, 3, 17, tzinfo=UTC)
PLACE = "atlas, /srv/project/MEMORY-CONTEXT"
MESSAGE_ID = "6f1c1a3e-5d5e-4d0a-9f2f-0c5d6a1b2c3d"
_BODIES = {
    "database_unreachable": "PostgreSQL does not answer: connection to server at "
    '"db.internal", port 5432 failed: Connection refused (since 2026-11-25 21:03:17 UTC)',
    "damage": "exportd verify found 2 damaged places; the first: hash mismatch "
    "(2026-11-20-EXPORT-ROLLOUT-MASTER.txt)",
    "disk_low": "less than 67,108,864 bytes are free on the disk of "
    "/srv/project/MEMORY-CONTEXT/.exportd (setting disk_reserve_bytes); files wait until "
    "there is more (since 2026-11-25 21:03:17 UTC)",
    "disk_filling": "less than 10 % of the disk of /srv/project/MEMORY-CONTEXT/.exportd is "
    "free (since 2026-11-25 21:03:17 UTC)",
    "archive_absent": "/srv/project/MEMORY-CONTEXT/exports-archive is not the archive that it "
    "was: its mark .exportd-archive is missing; is its disk mounted? (since 2026-11-25 "
    "21:03:17 UTC)",
    "watcher_blind": "/srv/project/MEMORY-CONTEXT/exports is gone and cannot be made anew "
    "(Permission denied) (since 2026-11-25 21:03:17 UTC)",
    "files_waiting": "12 files wait in exports/ for more than 300 s (since 2026-11-25 "
    "21:03:17 UTC)",
    "no_export": "nothing was dropped since 2026-11-18 (since 2026-11-25 21:03:17 UTC)",
    "channel_refuses": "slack takes no messages: Slack said invalid_auth: the token is not "
    "valid: set a valid bot token (xoxb-…) of an installed app",
    "index_gap": "messages 12 to 40 of rollout-master by the export's own count were in no "
    "export so far, 2026-11-25-EXPORT-ROLLOUT-MASTER.json included",
    "dangling_parent": "4f2a9c1e.jsonl shows a message of 4f2a9c1e that followed another one, "
    "a645e066-2b1c-4d7e-9f00-1c2d3e4f5a6b, which is in no export so far: what was said before "
    "it is missing, extent unknown",
    "damaged_records": "1 record of 4f2a9c1e.jsonl could not be read, the first at line 417: "
    "not JSON (cut off or damaged); the archived file has all of it as it was",
    "compaction_without_overlap": "compaction between 2026-11-24 and 2026-11-25 with no "
    "overlap: what was said in rollout-master between 2026-11-24-EXPORT-ROLLOUT-MASTER.txt "
    "and 2026-11-25-EXPORT-ROLLOUT-MASTER.txt may be missing, extent unknown",
    "shrunk_export": "2026-11-25-EXPORT-ROLLOUT-MASTER.txt shows 61 messages of "
    "rollout-master, but 2026-11-24-EXPORT-ROLLOUT-MASTER.txt was taken earlier and shows 99: "
    "perhaps the session was rewound, or the file was cut; everything stored is kept",
    "truncated_tail": "2026-11-25-EXPORT-ROLLOUT-MASTER.txt: it does not end as an export "
    "ends, in a line break: it was probably cut, and its last message may be incomplete; "
    "export it again",
    "dead_letter": "build.log: this is no conversation export that exportd reads; 'exportd "
    "formats' lists what is recognised, and by what",
    "low_deduplication": "only 9 of 61 messages of 2026-11-25-EXPORT-ROLLOUT-MASTER.txt were "
    "recognised in a segment of rollout-master that has 99; expected at least 50% of "
    "the shorter",
    "divergence": "2026-11-25-EXPORT-ROLLOUT-MASTER.txt begins with the same 12 prompts and "
    "answers as a stored segment, then says something else: perhaps the session was rewound or "
    "edited; both are kept whole",
    "shared_name": "2026-11-25-EXPORT-ROLLOUT-MASTER.txt begins a session of its own, but "
    "belongs to rollout-master (its name): it is kept there, as a segment",
    "index_conflict": "message 12 of rollout-master, by the export's own count, says something "
    "else in 2026-11-25-EXPORT-ROLLOUT-MASTER.json than in an earlier export; both are kept",
    "slow_ingest": "reading 2026-11-25-EXPORT-ROLLOUT-MASTER.txt took 12.4 s; expected at most "
    "10",
    "new_conversation": "new conversation install-coditect, first seen in "
    "2026-11-25-EXPORT-INSTALL-CODITECT.txt",
    "large_export": "2026-11-25-EXPORT-ROLLOUT-MASTER.txt has 14.2 MB",
    "time_gap": "no export of rollout-master for 9 days, between "
    "2026-11-16-EXPORT-ROLLOUT-MASTER.txt and 2026-11-25-EXPORT-ROLLOUT-MASTER.txt; Claude "
    "Code deletes sessions after 30 days, so export every week what is of worth",
    "daily_summary": "12 files dropped, 1,204 new messages\n"
    "8,010 of 9,214 messages (87%) were stored before\n"
    "1 file could not be ingested\n3 open alerts: exportd alerts list\n"
    "1 conversation at risk of data loss: rollout-master",
}
_OF_A_CONVERSATION = (
    "index_gap", "compaction_without_overlap", "shrunk_export", "truncated_tail",
    "low_deduplication", "divergence", "shared_name", "index_conflict", "slow_ingest",
    "large_export", "time_gap",
)  # fmt: skip
_IDS = dict.fromkeys(_OF_A_CONVERSATION, "rollout-master") | {
    "new_conversation": "install-coditect"
}


def told(kind: str, alert_id: int = 12) -> Told:
    """An alert of a kind that fires."""
    rule = RULES[kind]
    return Told(
        alert_id=alert_id,
        kind=kind,
        severity=rule.severity,
        title=rule.title,
        body=_BODIES[kind],
        todo=rule.todo,
        since=SINCE,
        conversation_id=_IDS.get(kind),
        fingerprint=f"{kind}-{alert_id}",
    )


def notice(*alerts: Told | str) -> Notice:
    """A message of alerts, or of kinds of alerts."""
    return Notice(
        message_id=MESSAGE_ID,
        group_key=f"atlas/{'/'.join(dict.fromkeys(one.kind for one in _all(alerts)))}",
        place=PLACE,
        told=_all(alerts),
    )


def over(alert: Told, why: str, after: timedelta = timedelta(hours=2, minutes=7)) -> Told:
    """The same alert, resolved."""
    return replace(alert, event=Event.RESOLVED, resolution=why, resolved_at=alert.since + after)


def storm() -> Notice:
    """Ten thousand alerts in one message."""
    alerts = [told("database_unreachable", 1), *(told("index_gap", n) for n in range(2, 7))]
    return replace(
        notice(*alerts),
        left_out={"Messages are missing": 9_714, "A file could not be ingested": 280},
    )


def _all(alerts: tuple[Told | str, ...]) -> tuple[Told, ...]:
    return tuple(
        told(one, 12 + n) if isinstance(one, str) else one for n, one in enumerate(alerts)
    )
