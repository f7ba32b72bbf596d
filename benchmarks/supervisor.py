"""The daemon under a supervisor that starts it again whenever it ends, as systemd does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

RESTART_S = 0.2
STOP_S = 30


class Daemon:
    """``exportd run`` on one memory folder; its log goes to one file."""

    def __init__(self, memory: Path, url: str, log: Path) -> None:
        self.starts = 0
        self.codes: Counter[int] = Counter()
        self.rss_mb: list[float] = []
        self.most_descriptors = 0
        self.most_threads = 0
        self._log = log.open("ab")
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("EXPORTD_")},
            "EXPORTD_MEMORY_DIR": str(memory),
            "EXPORTD_DATABASE_URL": url,
            "EXPORTD_HTTP_ADDRESS": "off",
            "EXPORTD_LOG_FORMAT": "json",
            "EXPORTD_SETTLE_TIME": "0.5",
            "EXPORTD_RESCAN_INTERVAL": "10",
            # On a disk of 200 MB the usual reserve would be a third of all.
            "EXPORTD_DISK_RESERVE_BYTES": str(8 * 1024 * 1024),
            "EXPORTD_DATABASE_TIMEOUT": "20",
            # Kills come every few seconds here, whichever file is in hand.
            "EXPORTD_MAX_ATTEMPTS": "100",
        }
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="supervisor")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._log.close()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "exportd", "run"],
                env=self._environment,
                stderr=self._log,
            )
            self.starts += 1
            self.codes[self._process.wait()] += 1
            self._stopping.wait(RESTART_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process of the moment, if there is one."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """End it for good; killed when it does not end by itself."""
        self._stopping.set()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._thread.join(timeout=STOP_S)
        self.signal(signal.SIGKILL)
        self._thread.join()

    def sample(self) -> None:
        """Note memory, descriptors and threads of the process of the moment."""
        process = self._process
        if process is None:
            return
        place = Path(f"/proc/{process.pid}")
        try:
            status = dict(
                line.split(":", 1) for line in (place / "status").read_text().splitlines()
            )
            self.rss_mb.append(int(status["VmRSS"].split()[0]) / 1024)
            self.most_threads = max(self.most_threads, int(status["Threads"]))
            descriptors = len(list((place / "fd").iterdir()))
            self.most_descriptors = max(self.most_descriptors, descriptors)
        except (OSError, KeyError):
            return  # it ended meanwhile
