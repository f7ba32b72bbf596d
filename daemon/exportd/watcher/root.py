"""Whether the drop folder is still the one that is watched (HAZARDS 9, 11).

A folder may be deleted, renamed, unmounted or mounted over, and inotify says nothing of it.
What tells is its device and inode, and those of ``.exportd`` beside it, which is the
marker: a folder without it, or with another one, is not ours, however empty it looks.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

STATE = ".exportd"

# Where changes by others, or below a lower layer, are told by no event (mountinfo names).
_UNTOLD = re.compile(
    r"nfs\d*|cifs|smb\w*|9p|afs|ceph|fuse(\..*)?|overlay|virtiofs|vboxsf|prl_fs"
)


class Root:
    """A drop folder, by what it was at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder.parent / STATE
        self._home = _identity(self._state)
        self.identity = _identity(folder)
        self._held = _hold(folder)

    def close(self) -> None:
        """Let go of the folder."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def trouble(self) -> str | None:
        """Why nothing can be taken from the folder now; None when all is well.

        A folder that was removed is made anew, in a memory folder that is still ours.
        ``identity`` is another one afterwards when the folder is another one.
        """
        if self._home is not None and _identity(self._state) != self._home:
            return (
                f"{self._folder.parent} is not the folder that exportd started in: it was "
                "moved, replaced or unmounted; put it back, or start exportd anew"
            )
        found = _identity(self._folder)
        if found is None:
            return self._made_anew()
        if self._home is not None and found[0] != self._home[0]:
            return f"another file system is mounted over {self._folder}; unmount it"
        if found != self.identity and is_mount_point(self._folder):
            return f"another folder is mounted over {self._folder}; unmount it"
        self._take(found)
        return None

    def _made_anew(self) -> str | None:
        if os.path.lexists(self._folder):
            return f"{self._folder} is no folder; move it away"
        if self._home is None:
            return f"{self._folder} is not there"
        try:
            self._folder.mkdir(mode=0o700)
        except OSError as error:
            return f"{self._folder} is gone and cannot be made anew ({error.strerror})"
        self._take(_identity(self._folder))
        return None

    def _take(self, found: tuple[int, int] | None) -> None:
        if found != self.identity or self._held is None:
            self.close()
            self.identity, self._held = found, _hold(self._folder)


def is_mount_point(folder: Path) -> bool:
    """Whether something is mounted exactly there, bind mounts of the same disk included.

    The kernel names the place as it is, whatever links the way to ``folder`` has.
    """
    path = os.path.realpath(folder)
    return any(place == path for place, _ in _mounts())


def untold_file_system(folder: Path) -> str | None:
    """The type of the folder's file system when events do not tell of all changes in it."""
    path = os.path.realpath(folder)
    around = [
        (len(place), kind)
        for place, kind in _mounts()
        if path == place or path.startswith(place.rstrip("/") + "/")
    ]
    kind = max(around, default=(0, ""))[1]
    return kind if _UNTOLD.fullmatch(kind) else None


def _mounts() -> list[tuple[str, str]]:
    """Mount points and the types of their file systems (proc_pid_mountinfo(5)), in order."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields, _, rest = line.partition(b" - ")
        place = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), fields.split()[4])
        found.append((os.fsdecode(place), rest.split()[0].decode()))
    return found


def _hold(folder: Path) -> int | None:
    """An open folder keeps its inode's number from being given to the next one."""
    try:
        return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
