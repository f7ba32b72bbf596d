"""What exportd counts, for Prometheus; names begin with ``exportd_``.

A registry of its own: nothing global, and nothing of a file, such as its name, in a label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from . import version
from .folders import Folders, free_bytes
from .indexer import Indexer
from .log import suppressed
from .models import Fate, Report, is_deferred
from .relay import Relay
from .store import Store
from .watcher import Watcher, scan

_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The counters of one daemon; gauges are read when they are asked for."""

    def __init__(
        self, folders: Folders, watcher: Watcher, store: Store, relay: Relay, indexer: Indexer
    ) -> None:
        self.registry = CollectorRegistry()
        self._folders = folders
        registry = self.registry
        ProcessCollector(registry=registry)
        self._files = Counter(
            "exportd_files", "Files by what became of them", ["outcome"], registry=registry
        )
        for fate in Fate:
            if fate is not Fate.DEFERRED:
                self._files.labels(fate.value)
        self._deferrals = Counter(
            "exportd_deferrals",
            "Times that a file was put off; the same file again each time it is tried",
            registry=registry,
        )
        self._messages = Counter(
            "exportd_messages",
            "Messages in files that were read",
            ["result"],
            registry=registry,
        )
        self._duration = Histogram(
            "exportd_ingest_duration_seconds",
            "How long a file took, from claimed to archived",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._last_success = Gauge(
            "exportd_last_success_timestamp_seconds",
            "When a file last met its fate",
            registry=registry,
        )
        info = Gauge("exportd_build_info", "The version", ["version"], registry=registry)
        info.labels(version()).set(1)
        self._gauge("db_up", "Whether PostgreSQL answered last", lambda: store.server.is_up)
        self._gauge("pending_files", "Seen, and not yet taken", lambda: watcher.pending)
        self._gauge(
            "canary_age_seconds",
            "How long ago an event was last seen to arrive",
            lambda: watcher.canary_age_s,
        )
        self._gauge(
            "oldest_pending_age_seconds",
            "How long the oldest file waits; 0 when none does",
            self._oldest_s,
        )
        self._gauge("dead_letters", "Files that are set aside", self._dead_letters)
        self._gauge(
            "search_lag_messages", "Stored, and not searchable yet", lambda: indexer.lag
        )
        free = Gauge(
            "exportd_fs_free_bytes",
            "Free space where this folder lies",
            ["fs"],
            registry=registry,
        )
        for name, folder in (("exports", folders.exports), ("archive", folders.archive)):
            free.labels(name).set_function(partial(_free_bytes, folder))
        registry.register(_Others(watcher, store, relay))

    def note(self, report: Report) -> None:
        """A file met its fate, or was deferred."""
        if is_deferred(report):
            self._deferrals.inc()
            return
        self._files.labels(report.fate.value).inc()
        self._last_success.set_to_current_time()
        self._duration.observe(report.duration_s)
        self._messages.labels("new").inc(report.new)
        self._messages.labels("duplicate").inc(report.total - report.new)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        Gauge(f"exportd_{name}", what, registry=self.registry).set_function(value)

    def _oldest_s(self) -> float:
        oldest = now = time.time()
        for path in scan(self._folders.exports):
            with suppress(OSError):
                oldest = min(oldest, path.lstat().st_ctime)
        return max(now - oldest, 0)

    def _dead_letters(self) -> float:
        try:
            return len(list(self._folders.failed.glob("*.reason.txt")))
        except OSError:
            return float("nan")


class _Others(Collector):
    """Counters that others keep."""

    def __init__(self, watcher: Watcher, store: Store, relay: Relay) -> None:
        self._relay = relay
        self._watcher = watcher
        self._store = store

    def collect(self) -> Iterator[Metric]:
        found = CounterMetricFamily(
            "exportd_files_discovered", "New files by what found them", labels=["source"]
        )
        for source in ("startup", "event", "scan"):
            found.add_metric([source], self._watcher.found[source])
        yield found
        yield CounterMetricFamily(
            "exportd_scan_missed_by_events",
            "Files that a scan found and an event should have told of",
            value=self._watcher.missed,
        )
        restarts = CounterMetricFamily(
            "exportd_watcher_restarts", "How often the watcher began anew", labels=["reason"]
        )
        for reason, count in self._watcher.restarts.items():
            restarts.add_metric([reason], count)
        yield restarts
        errors = CounterMetricFamily(
            "exportd_db_errors",
            "Errors of the database by class of the SQLSTATE",
            labels=["sqlstate_class"],
        )
        for state, count in dict(self._store.server.errors).items():
            errors.add_metric([state], count)
        yield errors
        yield from self._alerts()
        yield CounterMetricFamily(
            "exportd_log_suppressed",
            "Repeated log lines that were left out",
            value=suppressed.total,
        )

    def _alerts(self) -> Iterator[Metric]:
        sends = CounterMetricFamily(
            "exportd_alert_send",
            "Messages to people by what became of them",
            labels=["channel", "outcome"],
        )
        for labels, count in dict(self._relay.outcomes).items():
            sends.add_metric(labels, count)
        yield sends
        outbox = GaugeMetricFamily(
            "exportd_alerts_outbox", "Alerts not told yet", labels=["channel", "state"]
        )
        oldest_s = 0.0
        for channel, state, count, age_s in self._relay.outbox:
            outbox.add_metric([channel, state], count)
            oldest_s = max(oldest_s, age_s)
        yield outbox
        yield GaugeMetricFamily(
            "exportd_alerts_oldest_unsent_age_seconds",
            "How long the oldest alert waits that is not told yet",
            value=oldest_s,
        )


def _free_bytes(folder: Path) -> float:
    try:
        return free_bytes(folder)
    except OSError:
        return float("nan")
