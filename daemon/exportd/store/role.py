"""The role that the store works as: one without DELETE and TRUNCATE on ``messages``.

So neither a fault of ours nor a statement smuggled in can take a stored message away. The
deliberate exceptions say so, by ``Transaction.as_owner``; migrations, and the second store
of a reindex, are made by connections of their own, which keep their role.
"""

from __future__ import annotations

from contextlib import suppress

from psycopg2 import errors as pg
from psycopg2.extensions import connection, cursor

from .queries import query


def grant(cursor: cursor, *, renew: bool) -> None:
    """Make the role where it is missing and we may; give it the rights that it lacks.

    The role may have come later than the schema, or been lost with a restored dump, which
    has the migration that made it, but no roles. ``renew``: there are new tables.
    """
    if not _state(cursor)[0]:
        cursor.execute(query("create_application_role"))
    is_ours, has_rights = _state(cursor)
    if is_ours and (renew or not has_rights):
        with suppress(pg.InsufficientPrivilege):
            cursor.execute(query("grant_application"))


def take(connection: connection) -> None:
    """Work as the role from now on, where that is possible."""
    with connection, connection.cursor() as cursor:
        if all(_state(cursor)):
            cursor.execute(query("take_application_role"))


def _state(cursor: cursor) -> tuple[bool, bool]:
    cursor.execute(query("application_role"))
    return cursor.fetchone() or (False, False)
