"""docs/reference/metrics.md: every metric, from the registry of a daemon."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Metric

from . import code, page, prose, table

_LABEL_VALUES_KNOWN = {"outcome", "source", "fs", "result"}


def all_metrics(registry: CollectorRegistry) -> dict[str, Metric]:
    """Those that are ours, by the name that Prometheus stores them under."""
    found = {}
    for one in registry.collect():
        if one.name.startswith("exportd_"):
            found[one.name + ("_total" if one.type == "counter" else "")] = one
    return dict(sorted(found.items()))


def metrics_page(registry: CollectorRegistry) -> str:
    body = [
        (code(name), one.type, _labels(one), prose(one.documentation))
        for name, one in all_metrics(registry).items()
    ]
    return page(
        "Metrics",
        "What `/metrics` tells Prometheus. It answers on `http_address` "
        "([settings](settings.md)). None of them has the name of a file, a conversation or "
        "a person. Times are in seconds, sizes in bytes. A label in brackets has these "
        "values; others come with what happens. Besides, there are the usual `process_…` "
        "metrics on Linux.\n",
        table(("metric", "type", "labels", "what"), body),
    )


def _labels(metric: Metric) -> str:
    values: dict[str, list[str]] = {
        name: [] for name in getattr(metric, "_labelnames", ()) if name != "version"
    }
    for sample in metric.samples:
        for name, value in sample.labels.items():
            if name not in ("le", "quantile") and value not in values.setdefault(name, []):
                values[name].append(value)
    return ", ".join(
        code(name) + (f" ({', '.join(found)})" if _is_fixed(metric, name, found) else "")
        for name, found in values.items()
    )


def _is_fixed(metric: Metric, label: str, values: list[str]) -> bool:
    return bool(values) and label in _LABEL_VALUES_KNOWN and "alert" not in metric.name
