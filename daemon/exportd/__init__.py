"""exportd keeps every message of AI conversations, once.

A file travels: drop → watcher → intake → formats → identity → alignment → store →
archive → told. ``pipeline`` tells that story; ``formats``, ``fingerprint``, ``identity``,
``alignment``, ``placement``, ``anomalies``, ``risk``, ``statistics`` and ``render`` are
pure, and the modules around them touch disk, clock and database. ``alerts`` says what people
are told, ``relay`` tells it.

For programs: ``SessionExportManager(project_root).import_export(export_file)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import SessionExportManager

__all__ = ["SessionExportManager", "version"]


def version() -> str:
    """What is installed; the library for that is loaded when somebody asks."""
    from importlib import metadata  # noqa: PLC0415

    return metadata.version("exportd")


def __getattr__(name: str) -> Any:
    """``SessionExportManager`` is loaded when somebody asks for it: it needs everything."""
    if name == "SessionExportManager":
        from .api import SessionExportManager  # noqa: PLC0415

        return SessionExportManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
