"""Errors decide fate.

``PermanentError``: the file becomes a dead letter, the message is its reason.
``TransientError``: the file is deferred and tried again, no attempt is spent.
Anything else is a bug: traceback in the log, dead letter, next file.
"""


class ExportdError(Exception):
    """Base of all errors that exportd raises on purpose."""


class PermanentError(ExportdError):
    """Trying again cannot help: the content is not what it should be."""


class UnknownFormat(PermanentError):
    """No format recognises the content; the message says which came nearest."""


class AmbiguousFormat(PermanentError):
    """More than one format claims the content."""


class MalformedExport(PermanentError):
    """The format is known, the content breaks its rules."""


class UnreadableFile(PermanentError):
    """The file cannot be read: permission, or not a regular file."""


class TransientError(ExportdError):
    """The surroundings are in the way (database down, disk full); the file waits."""


class DatabaseUnavailable(TransientError):
    """PostgreSQL does not answer, or went away in the middle."""


class TookTooLong(DatabaseUnavailable):
    """A transaction was given up; the server may hang, or the work be too much."""


class DiskTrouble(TransientError):
    """The file system refuses a write: full, read-only or broken."""


class ConfigurationError(ExportdError):
    """Settings, schema or folders make no sense; exit code 78 (sysexits EX_CONFIG)."""


class RefusedRequest(ExportdError):
    """What a person asked for cannot be done as asked; exit code 64 (EX_USAGE)."""


class UnknownConversation(RefusedRequest):
    """No conversation, or more than one, has the name given."""


class DamagedBackup(ExportdError):
    """A backup is not what it was when it was made; exit code 65 (sysexits EX_DATAERR)."""


class NotPermitted(ExportdError):
    """The user lacks rights on the memory folder; exit code 77 (sysexits EX_NOPERM)."""


class FolderInUse(ExportdError):
    """Another daemon holds the memory folder; exit code 73 (sysexits EX_CANTCREAT)."""
