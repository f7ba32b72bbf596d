"""What was set aside, and how that ends: ingested after all, put back, or given up.

The folder says what is set aside, the database says why. Rows are settled first and files
moved after, so that whatever is killed in between is seen by its lying there, and done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from .crash import reach
from .errors import DiskTrouble
from .failed import Failed
from .folders import Folders
from .formats.text import escape, printable, unescape
from .listed import DeadLetter
from .store import Store, set_aside
from .store.set_aside import Settleable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PutBack:
    """What came of the wish to have a file back; ``obstacle`` is None where it went well."""

    name: str
    kept_as: str
    obstacle: str | None = None
    can_wait: bool = False


class DeadLetters:
    """The dead letters of one memory folder."""

    def __init__(self, folders: Folders, store: Store) -> None:
        self._memory_dir = escape(str(folders.memory))
        self._exports = folders.exports.name
        self._store = store
        self._failed = Failed(folders)
        self._is_any = True

    # -- the daemon: what was ingested after all ------------------------------------

    def take_up(self) -> None:
        """Settle what was ingested since, and tidy what a kill left of that."""
        self._is_any = self._store.run(lambda tx: set_aside.has_open(tx, self._memory_dir))
        if self._is_any:
            self.settle()
        try:
            noted = [escape(name) for name in self._failed.notes()]
        except DiskTrouble as error:  # what is left there is no reason to stand still
            log.warning("dead_letter.unseen", reason=str(error))
            noted = []
        if noted:
            found = self._store.run(
                lambda tx: set_aside.settled_files(tx, self._memory_dir, noted)
            )
            for letter in found:
                self._clear(letter)

    def note(self) -> None:
        """Something was set aside just now."""
        self._is_any = True

    def settle(self, name: str | None = None, export_id: int | None = None) -> None:
        """Those of this name or export that were ingested since are settled; or all."""
        if not self._is_any:
            return
        found = self._store.run(
            lambda tx: set_aside.ingested_since(tx, self._memory_dir, name, export_id)
        )
        if done := [letter for letter in found if self._is_done(letter)]:
            letters = [(letter.dead_letter_id, None) for letter in done]
            self._store.run(
                lambda tx: set_aside.settle(
                    tx, self._memory_dir, letters, "ingested", "it was ingested after all"
                )
            )
            reach("settle.noted")
            log.info("dead_letter.settled", files=len(done), why="ingested")
        for letter in done:
            self._clear(letter)

    def _is_done(self, letter: Settleable) -> bool:
        """Not while something else lies under its name, or its sidecar was never heard."""
        if letter.failed_name is None:
            return True
        name = unescape(letter.failed_name)
        return not self._failed.is_there(name) or self._is_copy(letter)

    def _is_copy(self, letter: Settleable) -> bool:
        name, archived_as = unescape(letter.failed_name or ""), letter.archive_name
        return (
            letter.by_content
            and not self._failed.has_sidecar(name)
            and self._failed.is_copy(
                name, letter.sha256, unescape(archived_as) if archived_as else None
            )
        )

    def _clear(self, letter: Settleable) -> None:
        """The copy of what is archived goes, then the note."""
        if letter.failed_name is None:
            return
        name = unescape(letter.failed_name)
        if self._failed.is_there(name) and self._is_copy(letter):
            self._failed.remove_copy(name)
        if not self._failed.is_there(name):
            self._failed.clear(name)

    # -- the operator ----------------------------------------------------------------

    def listed(self) -> list[DeadLetter]:
        """All that is known, the newest first; what is settled but lies there is not."""
        rows = self._store.run(lambda tx: set_aside.dead_letters(tx, self._memory_dir))
        there = {escape(name): name for name in self._failed.names()}
        found = []
        for row in reversed(rows):
            if row.what == "file" and row.name in there:
                found.append(self._lying(row, there.pop(row.name)))
            elif row.what == "file":
                found.append(replace(row, place="gone"))
            else:
                found.append(row)
        unknown = [self._lying(self._failed.unknown(n), n) for n in there.values()]
        return unknown + found

    def _lying(self, row: DeadLetter, name: str) -> DeadLetter:
        """Whatever became of its row: a file that lies there is set aside."""
        return replace(
            row,
            place="there",
            size_bytes=self._failed.size_bytes(name),
            settlement=None,
            settled_at=None,
            settled_by=None,
        )

    def retry(self, letter: DeadLetter, who: str) -> PutBack:
        """Put a file back into the drop folder, as what it was dropped."""
        name, original = unescape(letter.name), unescape(letter.original_name)
        kept_as = f"{self._exports}/{letter.original_name}"
        if obstacle := self._failed.obstacle(name, original):
            return PutBack(letter.name, kept_as, *obstacle)
        reach("retry.begin")
        self._settled(letter, "retried", f"{who} put it back into {self._exports}/", who)
        reach("retry.settled")
        try:
            self._failed.put_back(name, original)
        except DiskTrouble as error:
            return PutBack(letter.name, kept_as, str(error), can_wait=True)
        self._failed.clear(name)
        reach("retry.done")
        return PutBack(letter.name, kept_as)

    def forget(self, letters: Sequence[DeadLetter], who: str) -> None:
        """Files that are gone are missed no more; who said so stays with them."""
        for letter in letters:
            self._settled(letter, "forgotten", f"{who} gave it up", who)
            if letter.what == "file":
                self._failed.clear(unescape(letter.name))
                self._failed.clear_sidecar(unescape(letter.name))

    def _settled(self, letter: DeadLetter, settlement: str, resolution: str, who: str) -> None:
        if letter.dead_letter_id is not None:
            pair = (letter.dead_letter_id, letter.export_id)
            self._store.run(
                lambda tx: set_aside.settle(
                    tx, self._memory_dir, [pair], settlement, resolution, who
                )
            )
        log.debug("dead_letter.settled", file=printable(letter.name), why=settlement, by=who)
