"""The public Python API: ``from exportd import SessionExportManager``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NotRequired, TypedDict

from .config import DEFAULT_FILE, ENV_FILE, load
from .errors import ConfigurationError, RefusedRequest
from .folders import Folders
from .formats.text import printable
from .log import quietly
from .outcome import outcome
from .settings import Settings


class ImportedSession(TypedDict):
    """One of the sessions of a file that holds several."""

    session_id: str
    session_file: str


class ImportResult(TypedDict):
    """What ``import_export`` returns.

    * ``session_id``: the session (conversation) that the export belongs to; None when there
      is no message in it;
    * ``total_messages``: messages in the export;
    * ``new_messages``: of these, those that were not stored before; 0 for known content;
    * ``duplicates_filtered``: the others, ``total_messages - new_messages``;
    * ``storage_savings_pct``: the share of the export's text, in percent (0.0 to 100.0), that
      was stored before;
    * ``session_file``: the readable session, as a path from the project root where it lies in
      there, else absolute; None without a session;
    * ``sessions``: only where the file holds several sessions (an account's export, a zip
      archive). Then the counts are of all together, and ``session_id`` is the first of them.
    """

    session_id: str | None
    total_messages: int
    new_messages: int
    duplicates_filtered: int
    storage_savings_pct: float
    session_file: str | None
    sessions: NotRequired[list[ImportedSession]]


class SessionExportManager:
    """Imports exports of AI sessions into the memory folder of one project.

    The folder is ``MEMORY-CONTEXT`` in ``project_root``, and the settings are those of the
    command: the environment, ``$EXPORTD_CONFIG`` or ``exportd.toml`` in ``project_root``. A
    relative ``memory_dir`` there begins at ``project_root``.

    >>> manager = SessionExportManager("/home/ana/garden")  # doctest: +SKIP
    >>> manager.import_export("MEMORY-CONTEXT/exports/2026-01-12-EXPORT-GARDEN.txt")
    ... # doctest: +SKIP
    {'session_id': 'garden', 'total_messages': 13, 'new_messages': 13, ...}
    """

    def __init__(self, project_root: str | os.PathLike[str], *, timeout_s: float = 120) -> None:
        """``timeout_s``: how long a daemon in the folder may take for one export.

        Raises ``ConfigurationError`` where a setting is wrong or there is no such folder.
        """
        self.project_root = Path(project_root).absolute()
        if not self.project_root.is_dir():
            raise ConfigurationError(
                f"{printable(str(self.project_root))}: expected the folder of a project, and "
                "found none"
            )
        self.settings = project_settings(self.project_root)
        self._timeout_s = timeout_s

    def import_export(
        self, export_file: str | os.PathLike[str], session_id: str | None = None
    ) -> ImportResult:
        """Ingest one export and say what was new in it; the same as ``exportd ingest``.

        ``export_file``: absolute, or from ``project_root``, or else from the current folder.
        It stays where it is, unless it lies in the drop folder: then it is taken from there
        into the archive. ``session_id`` is the session that it belongs to, whatever it is
        called; without, it is recognised.

        While a daemon works in the folder the daemon takes the file, and this waits for it.

        Raises errors of ``exportd.errors``: ``PermanentError`` when the file became a dead
        letter (the message is the reason), ``TransientError`` when it has to wait (it is kept
        and taken up later), ``RefusedRequest`` when there is no such file or its name or
        ``session_id`` cannot be, ``ConfigurationError`` and ``NotPermitted`` as the command.
        """
        file = self._found(export_file)
        with quietly():
            arrival = outcome(self.settings, file, session_id, self._timeout_s)
        ids = arrival.conversation_ids
        result = ImportResult(
            session_id=ids[0] if ids else None,
            total_messages=arrival.total,
            new_messages=arrival.new,
            duplicates_filtered=arrival.duplicates,
            storage_savings_pct=arrival.savings_pct,
            session_file=self._session_file(ids[0]) if ids else None,
        )
        if len(ids) > 1:
            result["sessions"] = [
                ImportedSession(session_id=one, session_file=self._session_file(one))
                for one in ids
            ]
        return result

    def _found(self, export_file: str | os.PathLike[str]) -> Path:
        given = Path(export_file)
        here = self.project_root / given
        file = here if here.exists() or not given.exists() else given.absolute()
        exports = Folders(self.settings.memory_dir).exports
        if not file.exists() and file.parent.resolve() != exports.resolve():
            raise RefusedRequest(f"{printable(str(file))}: there is no such file")
        return file

    def _session_file(self, session_id: str) -> str:
        path = Folders(self.settings.memory_dir).sessions / f"{session_id}.md"
        if path.is_relative_to(self.project_root):
            return str(path.relative_to(self.project_root))
        return str(path)


def project_settings(project_root: Path) -> Settings:
    """The settings of a project; its memory folder is absolute."""
    file = project_root / DEFAULT_FILE
    chosen = None if os.environ.get(ENV_FILE) or not file.exists() else file
    settings = load(chosen)
    return settings.model_copy(update={"memory_dir": project_root / settings.memory_dir})
