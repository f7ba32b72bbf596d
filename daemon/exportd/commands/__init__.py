"""One module per subcommand, named after it; each returns the exit code."""

from collections.abc import Iterator

COMMANDS = (
    "run", "status", "ingest", "export", "sessions", "stats", "formats", "alerts", "verify",
    "reindex", "check-config", "doctor", "migrate", "db", "import-state", "completion", "man",
    "checkpoint", "integrate", "show", "log", "dead-letters", "retry", "backup", "restore",
    "archive", "purge", "search",
)  # fmt: skip

# How --help lists them: by what they are for. One that is named nowhere comes last.
PURPOSES = (
    ("Every day", ("run", "ingest", "status", "log", "checkpoint")),
    ("Conversations", ("sessions", "show", "search", "export", "stats", "formats")),
    (
        "Care",
        ("alerts", "dead-letters", "retry", "verify", "doctor", "backup", "restore", "archive",
         "purge", "reindex"),
    ),
    (
        "Setup",
        ("check-config", "integrate", "import-state", "migrate", "db", "completion", "man"),
    ),
)  # fmt: skip


def by_purpose() -> Iterator[tuple[str, list[str]]]:
    """Every command once, under what it is for; no purpose is without a command."""
    known = {name for _, names in PURPOSES for name in names}
    others = ("Others", tuple(name for name in COMMANDS if name not in known))
    for purpose, names in (*PURPOSES, others):
        if there := [name for name in names if name in COMMANDS]:
            yield purpose, there
