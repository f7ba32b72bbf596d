"""Step 10: tell people. Session files and the status log, derived and rebuilt at will."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from .crash import reach
from .errors import TransientError
from .folders import Folders, write_file
from .formats.text import escape
from .models import Report, StoredConversation
from .render.markdown import markdown
from .render.status import status_report
from .statuslog import StatusLog
from .store import Store

log = structlog.get_logger()

# So many reports wait for a status log that cannot be written.
_MAX_REPORTS = 10_000

# So many conversations are read at once; long ones page by page.
_AT_ONCE = 100
_WRITERS = 8


class Teller:
    """Collects what a batch of files changed and tells it at once.

    A conversation that twenty files of a batch belong to is rendered once.
    """

    def __init__(self, folders: Folders, store: Store, status_log: StatusLog) -> None:
        self._folders = folders
        self._store = store
        self._status_log = status_log
        self._reports: list[Report] = []
        self._changed: set[str] = set()
        self._started = datetime.now(UTC)

    def add(self, report: Report) -> Report:
        """Note a report; returns it with the session file that will be written."""
        if not self._reports:
            self._started = datetime.now(UTC) - timedelta(seconds=report.duration_s)
        report = self._with_file(report)
        self._reports.append(report)
        self._changed |= {report.conversation_id or "", *report.also_changed} - {""}
        return report

    def current(self, report: Report) -> Report:
        """The report with the name that its conversation has now.

        A later file of the batch may have brought another one.
        """
        if not report.conversation_id or (self._folders.memory / report.session_file).exists():
            return report
        with suppress(TransientError):
            found = self._store.conversations_named(report.conversation_id)
            if len(found) == 1:
                return self._with_file(replace(report, conversation_id=found[0]))
        return report

    def _with_file(self, report: Report) -> Report:
        if not report.conversation_id:
            return report
        name = f"{report.conversation_id}.md"
        return replace(report, session_file=f"{self._folders.sessions.name}/{name}")

    def add_changed(self, conversation_ids: Iterable[str]) -> None:
        """Note conversations that changed without a drop: their session files follow."""
        self._changed |= set(conversation_ids)

    @property
    def is_behind(self) -> bool:
        """Whether something is still to be told, because the disk or database refused."""
        return bool(self._changed or self._reports)

    def take_up(self) -> None:
        """Conversations that a crash left untold get their session file after all."""
        self._changed |= set(self._store.untold(escape(str(self._folders.memory))))

    def tell(self) -> str | None:
        """Write session files and one report; returns the report, None without news.

        Trouble here loses nothing: it is logged, and the files are written next time.
        """
        if not self._changed and not self._reports:
            return None
        if not self._folders.state.is_dir():
            return None  # its disk is away; what is written now would lie below it
        reach("tell.begin")
        try:
            self._write_sessions()
            total = self._store.total_messages()
        except TransientError as error:
            log.warning("tell.deferred", reason=str(error))
            total = None
        return self._report(total) if self._reports else None

    def _write_sessions(self) -> None:
        changed = sorted(self._changed)
        for start in range(0, len(changed), _AT_ONCE):
            ids = changed[start : start + _AT_ONCE]
            held = self._held(ids)
            with ThreadPoolExecutor(_WRITERS) as pool:  # a disk makes many durable at once
                list(pool.map(self._try_session, held, held.values()))
            for conversation_id in ids:
                if conversation_id not in held:
                    self._try_session(conversation_id)
        if not self._changed:
            self._store.mark_told(escape(str(self._folders.memory)))
            reach("tell.marked")

    def _held(self, ids: list[str]) -> dict[str, StoredConversation]:
        """Those of a batch that are short, read at once, unless one of them forbids it."""
        if len(ids) == 1:
            return {}
        try:
            found = self._store.conversations(ids)
        except TransientError:
            raise
        except Exception as error:
            log.warning("sessions.one_by_one", error_class=type(error).__name__)
            return {}
        return {one.conversation_id: one for one in found if isinstance(one.messages, list)}

    def _try_session(
        self, conversation_id: str, held: StoredConversation | None = None
    ) -> None:
        try:
            self._write_session(conversation_id, held)
        except OSError as error:
            log.warning(
                "session.failed", conversation_id=conversation_id, reason=error.strerror
            )
        except TransientError:
            raise
        except Exception:  # a bug, or too little memory for it: the others go on
            log.exception("session.bug", conversation_id=conversation_id)
        else:
            self._changed.discard(conversation_id)

    def _write_session(self, conversation_id: str, held: StoredConversation | None) -> None:
        path = self._folders.sessions / f"{conversation_id}.md"
        conversation = held or self._store.conversation(conversation_id)
        if conversation is None:
            path.unlink(missing_ok=True)
        else:
            write_file(path, markdown(conversation))
            reach("tell.renamed")

    def _report(self, total: int | None) -> str:
        if total is not None:  # the database answers
            self._reports = list(map(self.current, self._reports))
        text = status_report(
            self._reports,
            memory_dir=str(self._folders.memory),
            started=self._started,
            completed=datetime.now(UTC),
            total_in_storage=total,
        )
        try:
            self._status_log.append(text)
        except OSError as error:
            log.warning("statuslog.failed", reason=error.strerror)
            self._reports = self._reports[-_MAX_REPORTS:]
        else:
            self._reports = []
        return text
