#!/usr/bin/env python3
"""A checkpoint script of a project: both ways of having exportd in it.

    create_checkpoint.py "Sprint complete"
    create_checkpoint.py "Sprint complete" --export ~/session.txt --commit

Copy it, and keep what you need. Run it in the project, by the Python that has exportd.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from exportd import SessionExportManager
from exportd.errors import ExportdError


class CheckpointCreator:
    """The class of the earlier create-checkpoint.py; step 3.5 is all that is new in it."""

    def __init__(self, base_dir: Path) -> None:
        self.base_dir = base_dir
        self.session_manager = SessionExportManager(base_dir)

    def run(
        self, sprint_description: str, export_path: Path | None, *, auto_commit: bool
    ) -> int:
        # The API: one export, and what was new in it.
        if export_path is not None and export_path.exists():
            print("Step 3.5: Deduplicating conversation export...")
            result = self.session_manager.import_export(export_path)
            print(f"  Session: {result['session_id']}, {result['session_file']}")
            print(f"  New messages: {result['new_messages']}")
            print(f"  Duplicates filtered: {result['duplicates_filtered']}")
            print(f"  Storage savings: {result['storage_savings_pct']:.1f}%")

        # The command: everything that waits, the document, README.md and the commit.
        command = [sys.executable, "-m", "exportd", "checkpoint", sprint_description]
        command += ["--project-root", str(self.base_dir)]
        return subprocess.run(command + ["--commit"] * auto_commit, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a checkpoint of this project.")
    parser.add_argument("description", help="what was reached, in a few words")
    parser.add_argument("--export", type=Path, help="an export to be imported first")
    parser.add_argument("--commit", action="store_true", help="commit the checkpoint")
    chosen = parser.parse_args()
    try:
        creator = CheckpointCreator(Path.cwd())
        return creator.run(chosen.description, chosen.export, auto_commit=chosen.commit)
    except ExportdError as error:  # a dead letter, or something has to wait: the text says why
        print(f"The export was not imported: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
