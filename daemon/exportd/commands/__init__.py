"""One module per subcommand, named after it; each returns the exit code."""

# In the order in which --help shows them.
COMMANDS = (
    "run", "status", "ingest", "search", "export", "sessions", "stats", "formats", "alerts",
    "verify", "reindex", "check-config", "doctor", "migrate", "db", "import-state",
)  # fmt: skip
