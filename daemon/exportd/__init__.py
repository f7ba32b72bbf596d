"""exportd keeps every message of AI conversations, once.

A file travels: drop → watcher → intake → formats → identity → alignment → store →
archive → told. ``pipeline`` tells that story; ``formats``, ``fingerprint``, ``identity``,
``alignment``, ``placement``, ``anomalies``, ``risk``, ``statistics`` and ``render`` are
pure, and the modules around them touch disk, clock and database.
"""

from importlib.metadata import version

__version__ = version("exportd")
