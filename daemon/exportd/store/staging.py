"""A second store, built beside the first in a schema of its own, and put in its place.

Until the swap, which is one transaction, the stored messages are as they were. What the
archive does not hold stays: drops, dead letters, alerts, and the times of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2 import errors as pg
from psycopg2.extensions import make_dsn, parse_dsn

from ..errors import ConfigurationError, RefusedRequest, TransientError
from .border import translated
from .line import reachable
from .migrate import migrate
from .queries import query
from .transaction import Transaction

SCHEMA = "exportd_reindex"


def staging_url(url: str) -> str:
    """The same database, where unqualified names mean the second store."""
    options = parse_dsn(url).get("options", "")
    return str(make_dsn(url, options=f"{options} -c search_path={SCHEMA}".strip()))


@contextmanager
def sole_staging(url: str) -> Iterator[None]:
    """The second store, for one process of all that use this database."""
    with translated():
        connection = psycopg2.connect(reachable(url))
    with closing(connection):
        with translated(), connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(query("staging_lock"))
            is_ours = cursor.fetchone() == (True,)
        if not is_ours:
            raise TransientError(
                "another 'exportd reindex' or 'exportd verify --deep' works on this database; "
                "wait for its end"
            )
        yield


def prepare_staging(url: str, signature: str) -> bool:
    """Make an empty second store; True when one of this signature is there to go on with.

    ``signature`` names the versions of the code that fills it.
    """
    with translated(), closing(psycopg2.connect(reachable(url))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query("staging_signature"))
            if cursor.fetchone() == (signature,):
                return True
            cursor.execute(query("discard_staging"))
            _create(cursor)
            migrate(staging_url(url))
            cursor.execute(query("sign_staging"), {"signature": signature})
    return False


def _create(cursor: Any) -> None:
    try:
        cursor.execute(query("create_staging"))
    except pg.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"the database role may not create the schema {SCHEMA}, in which everything is "
            "built anew; grant it that (GRANT CREATE ON DATABASE … TO …)"
        ) from error


def discard_staging(url: str) -> None:
    """Remove the second store, if there is one."""
    with translated(), closing(psycopg2.connect(reachable(url))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query("discard_staging"))


def swap(tx: Transaction) -> None:
    """Put the second store in the place of the first.

    ``RefusedRequest`` when something was ingested meanwhile that the second one lacks.
    """
    tx.as_owner()
    tx.execute("lock_stored")
    exports, decisions = tx.rows("not_in_staging")[0]
    if exports or decisions:
        raise RefusedRequest(
            f"{exports} exports were ingested and {decisions} decisions made meanwhile; "
            "nothing was changed, run it again"
        )
    for statement in _STEPS:
        tx.execute(statement)


_STEPS = (
    "keep_message_times",
    "keep_conversation_times",
    "keep_former_aliases",
    "clear_stored",
    "take_exports",
    "take_drops",
    "take_conversations",
    "take_segments",
    "take_messages",
    "queue_all",
    "take_renderings",
    "take_export_segments",
    "take_watermarks",
    "take_log",
    "take_aliases",
    "take_anomalies",
    "take_overrides",
    "advance_sequences",
    "mark_all_untold",
    "discard_staging",
)
