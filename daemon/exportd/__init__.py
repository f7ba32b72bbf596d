"""exportd keeps every message of AI conversations, once.

A file travels: drop → watcher → intake → formats → identity → alignment → store →
archive → told. ``pipeline`` tells that story; ``formats``, ``fingerprint``, ``identity``,
``alignment``, ``placement``, ``anomalies``, ``risk``, ``statistics`` and ``render`` are
pure, and the modules around them touch disk, clock and database. ``alerts`` says what people
are told, ``relay`` tells it.
"""


def version() -> str:
    """What is installed; the library for that is loaded when somebody asks."""
    from importlib import metadata  # noqa: PLC0415

    return metadata.version("exportd")
