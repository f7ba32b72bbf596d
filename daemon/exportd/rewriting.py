"""A file that holds several exports, written anew without some of them.

Every other member stays byte for byte; the new file is read back, and must hold exactly
these, before anything relies on it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from . import containers
from .containers import Bounds, Container, Member
from .errors import DiskTrouble, MalformedExport, RefusedRequest
from .file_bytes import FileBytes, sha256
from .formats.text import printable
from .models import Raw


@dataclass(frozen=True, slots=True)
class Anew:
    """The new content: where it lies, and each member with its new place, in order.

    ``places`` are pairs of SHA-256 and locator; a member that was written anew itself has
    the SHA-256 that it had.
    """

    path: Path
    sha256: str
    size_bytes: int
    places: tuple[tuple[str, str], ...]


class Rewriting:
    """Writes files anew in ``folder``, under hidden names that a start tidies away.

    ``gone`` and ``touched`` are SHA-256: of what goes, and of what has something of it inside.
    ``done`` has every file that was written, by what it was before.
    """

    def __init__(
        self, folder: Path, gone: Collection[str], touched: Collection[str], bounds: Bounds
    ) -> None:
        self._folder = folder
        self._gone = gone
        self._touched = touched
        self._bounds = bounds
        self.done: dict[str, Anew] = {}

    def write(self, raw: Raw, name: str, before: str) -> Anew:
        """Raises ``RefusedRequest`` where that would lose something."""
        if before in self.done:
            return self.done[before]
        container = containers.recognise(raw, name)
        if container is None:
            raise RefusedRequest(f"{printable(name)} is no container any more")
        kept: list[tuple[str, str]] = []  # as it was, and as it is now

        def put(member: Member) -> Raw | None:
            found = sha256(member.raw)
            if found in self._gone:
                return None
            if found not in self._touched:
                kept.append((found, found))
                return member.raw
            anew = self.write(member.raw, member.name, found)
            kept.append((found, anew.sha256))
            return FileBytes(anew.path, anew.size_bytes)

        path = self._folder / f".{uuid.uuid4().hex}.tmp"
        try:
            with path.open("xb") as out:
                container.rewrite(raw, name, self._bounds, put, out)
                out.flush()
                os.fsync(out.fileno())
            self.done[before] = self._read_back(path, name, container, kept)
        except MalformedExport as error:
            raise RefusedRequest(
                f"{printable(name)} also holds what is to stay, and cannot be written anew: "
                f"{error}"
            ) from error
        except OSError as error:
            raise DiskTrouble(
                f"{printable(name)} also holds what is to stay, and cannot be written anew in "
                f"{printable(str(self._folder))} ({error.strerror}); nothing was purged"
            ) from error
        finally:
            if before not in self.done:
                path.unlink(missing_ok=True)
        return self.done[before]

    def clear(self) -> None:
        """Remove what was not put anywhere."""
        for anew in self.done.values():
            anew.path.unlink(missing_ok=True)

    def _read_back(
        self, path: Path, name: str, container: Container, kept: list[tuple[str, str]]
    ) -> Anew:
        raw = FileBytes(path, path.stat().st_size)
        members = (m for m in container.members(raw, name, self._bounds) if not m.fault)
        found = [(sha256(member.raw), member.locator) for member in members]
        if [one for one, _ in found] != [now for _, now in kept]:
            raise MalformedExport("its other members would not be the same")
        places = tuple(
            (was, locator) for (was, _), (_, locator) in zip(kept, found, strict=True)
        )
        return Anew(path, sha256(raw), len(raw), places)
