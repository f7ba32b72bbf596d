"""Who makes progress, for the service manager's watchdog and for /livez.

A part that works beats; a part that has not beaten for longer than its limit hangs. Nobody
beats for another, and no timer beats for anybody.
"""

from __future__ import annotations

import threading
import time


class Progress:
    """The last beat of each part, and how long it may take until the next, in seconds."""

    def __init__(self, **limits_s: float) -> None:
        self._limits_s = limits_s
        self._lock = threading.Lock()
        self._beats = dict.fromkeys(limits_s, time.monotonic())

    def beat(self, part: str) -> None:
        """A part says that it works."""
        self.beat_at(part, time.monotonic())

    def beat_at(self, part: str, moment: float) -> None:
        """A part worked at a moment, in monotonic seconds."""
        with self._lock:
            self._beats[part] = moment

    def hanging(self) -> list[str]:
        """A sentence for every part that is late."""
        now = time.monotonic()
        with self._lock:
            beats = dict(self._beats)
        return [
            f"the {part} has not moved for {now - at:.0f} s (limit {self._limits_s[part]:g} s)"
            for part, at in beats.items()
            if now - at > self._limits_s[part]
        ]
