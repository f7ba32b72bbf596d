from pathlib import Path

from conftest import Command, rows


def test_a_dropped_file_is_stored(exportd: Command, database_url: str) -> None:
    (exportd.memory_dir / "exports" / "2025-01-02-EXPORT-DEMO.txt").write_text(
        "> hello there\n\n⏺ Hi!\n"
    )
    done = exportd("run", "--once")
    assert done.returncode == 0, done.stderr
    assert rows(database_url, "SELECT role, content FROM messages ORDER BY message_index") == [
        ("user", "hello there"),
        ("assistant", "Hi!"),
    ]
