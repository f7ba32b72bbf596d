"""What each kind of alert means, how bad it is, and what helps (DESIGN 6).

Pure. The kinds are those of ``anomalies``, of dead letters, and of the conditions of the
surroundings. docs/reference/alerts.md has this table with an example of each message; a
test compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..models import Severity

_EXPORT_AGAIN = "Export the conversation again from its beginning, and drop the file."
_LOOK = "Look at the two files in exports-archive/; nothing that is stored was changed."


@dataclass(frozen=True, slots=True)
class Rule:
    """``lasts``: it goes on until it is resolved, and is repeated; else it is told once.

    ``after`` names kinds that explain it: while one of these fires, it is not told.
    ``everywhere``: every channel tells it, whatever its threshold.
    """

    kind: str
    severity: Severity
    title: str
    todo: str
    lasts: bool = False
    after: tuple[str, ...] = ()
    everywhere: bool = False


_SURROUNDINGS = ("database_unreachable", "archive_absent", "disk_low", "watcher_blind")

RULES: dict[str, Rule] = {
    rule.kind: rule
    for rule in (
        # -- the surroundings ---------------------------------------------------------
        Rule(
            "database_unreachable",
            Severity.CRITICAL,
            "The database does not answer",
            "Start PostgreSQL, or see its log. Files wait in exports/ and nothing is lost; "
            "exportd goes on by itself.",
            lasts=True,
        ),
        Rule(
            "damage",
            Severity.CRITICAL,
            "Stored data is damaged",
            "Run `exportd verify`: it names every damaged file and message, and what to do.",
            lasts=True,
        ),
        Rule(
            "disk_low",
            Severity.CRITICAL,
            "The disk is full",
            "Free some space. Files wait in exports/ while there is too little.",
            lasts=True,
        ),
        Rule(
            "disk_filling",
            Severity.CRITICAL,
            "The disk is filling up",
            "Free some space, or set disk_free_percent in [alerts] lower.",
            lasts=True,
            after=("disk_low",),
        ),
        Rule(
            "archive_absent",
            Severity.CRITICAL,
            "The archive is not there",
            "Mount the disk of exports-archive/. Files wait until it is back.",
            lasts=True,
        ),
        Rule(
            "watcher_blind",
            Severity.CRITICAL,
            "The drop folder cannot be watched",
            "See what happened to exports/, and `exportd doctor`.",
            lasts=True,
        ),
        Rule(
            "files_waiting",
            Severity.WARNING,
            "Files wait and are not taken",
            "`exportd status` says of the oldest why they wait.",
            lasts=True,
            after=_SURROUNDINGS,
        ),
        Rule(
            "no_export",
            Severity.WARNING,
            "Nothing was exported for days",
            "Claude Code deletes sessions after 30 days: export what is of worth.",
            lasts=True,
        ),
        Rule(
            "channel_refuses",
            Severity.WARNING,
            "A channel takes no alerts",
            "Mend its settings and try `exportd alerts test`; exportd tries again every hour.",
            lasts=True,
        ),
        # -- what may be missing ------------------------------------------------------
        Rule(
            "index_gap",
            Severity.WARNING,
            "Messages are missing",
            _EXPORT_AGAIN,
            lasts=True,
        ),
        Rule(
            "dangling_parent",
            Severity.WARNING,
            "Messages are missing before one",
            _EXPORT_AGAIN,
            lasts=True,
        ),
        Rule(
            "damaged_records",
            Severity.WARNING,
            "Parts of a file could not be read",
            "Export the conversation again; the file is in exports-archive/ as it was.",
        ),
        Rule(
            "compaction_without_overlap",
            Severity.WARNING,
            "Messages may be missing before a compaction",
            "If an older export of this session exists, drop it. Export before you compact.",
        ),
        Rule(
            "shrunk_export",
            Severity.WARNING,
            "An export shows less than an earlier one",
            "Was the session rewound? If not, export it again: the file may be cut.",
        ),
        Rule(
            "truncated_tail",
            Severity.WARNING,
            "An export was cut off",
            "Export the conversation again; its last message may be incomplete.",
        ),
        Rule(
            "dead_letter",
            Severity.WARNING,
            "A file could not be ingested",
            "See `exportd dead-letters`, mend the cause, then `exportd retry --all`. Of what "
            "is no conversation, delete the file in exports-failed/, then "
            "`exportd dead-letters --forget NAME`.",
        ),
        # -- what is odd --------------------------------------------------------------
        Rule(
            "low_deduplication",
            Severity.WARNING,
            "An export was hardly recognised",
            _LOOK,
        ),
        Rule(
            "divergence",
            Severity.WARNING,
            "A session took another turn",
            "Was it rewound or edited? Both are kept; `exportd sessions` joins or splits them.",
        ),
        Rule(
            "shared_name",
            Severity.WARNING,
            "Two sessions have one name",
            "Are they one? If not: `exportd sessions split`.",
        ),
        Rule(
            "index_conflict",
            Severity.WARNING,
            "Two exports contradict each other",
            _LOOK,
        ),
        Rule(
            "slow_ingest",
            Severity.WARNING,
            "Reading an export took long",
            "Is the machine busy, or the file very large? See `exportd doctor`.",
        ),
        # -- for information ----------------------------------------------------------
        Rule("new_conversation", Severity.INFO, "A new conversation", ""),
        Rule("large_export", Severity.INFO, "A large export", ""),
        Rule("time_gap", Severity.INFO, "A long time between exports", "Export every week."),
        Rule(
            "daily_summary", Severity.INFO, "What happened since yesterday", "", everywhere=True
        ),
    )
}
