"""Backups: a dump of the database and the files of the memory folder, as of one moment.

A backup is a folder ``exportd-<UTC time>`` with

    backup.json      what it holds: every file with size and SHA-256, and counts
    SHA256SUMS       the same hashes, for sha256sum -c
    database.dump    pg_dump's custom format
    memory/          the files, under the paths that they have in the memory folder

``making`` writes one, ``checking`` reads one back, ``restoring`` brings one into an empty
memory folder and an empty database.
"""
