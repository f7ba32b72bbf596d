-- What backup and restore ask and change. First what a dump of the same snapshot holds.

-- export_snapshot --
-- The snapshot lives as long as this transaction, however long others are allowed to idle.
SELECT pg_export_snapshot(),
       set_config('idle_in_transaction_session_timeout', '0', TRUE);

-- backed_up --
SELECT current_schema()::text AS schema, current_setting('server_version_num')::int,
       (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages),
       (SELECT count(*) FROM exports WHERE state = 'ingested');

-- applied_migrations --
SELECT migration_id FROM _yoyo_migration ORDER BY migration_id;

-- ingested_contents --
-- Everything ingested; expected: what should lie in this folder's archive.
SELECT e.sha256, e.size_bytes, e.archive_name,
       e.archive_name IS NOT NULL AND EXISTS (
           SELECT 1 FROM drops d
           WHERE d.export_id = e.export_id AND d.parent_export_id IS NULL
             AND (%(memory_dir)s::text IS NULL OR d.memory_dir = %(memory_dir)s)) AS expected
FROM exports e WHERE e.state = 'ingested';

-- ingested_of --
SELECT sha256 FROM exports WHERE state = 'ingested' AND sha256 = ANY(%(sha256s)s);

-- there_already --
-- Where unqualified names lead, and the tables there, our mark excepted.
SELECT current_schema()::text, current_setting('server_version_num')::int,
       ARRAY(SELECT relname::text FROM pg_class
             WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
               AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relname <> 'exportd_restoring'
             ORDER BY relname);

-- restoring --
SELECT to_regclass('exportd_restoring') IS NOT NULL;

-- restoring_what --
SELECT backup FROM exportd_restoring;

-- mark_restoring --
CREATE TABLE exportd_restoring AS SELECT %(backup)s::text AS backup;

-- unmark_restoring --
DROP TABLE exportd_restoring;

-- analyze --
ANALYZE;

-- move_drops --
UPDATE drops SET memory_dir = %(new)s WHERE memory_dir = %(old)s;

-- move_dead_letters --
UPDATE dead_letters SET memory_dir = %(new)s WHERE memory_dir = %(old)s;

-- move_alerts --
-- An alert about the folder, or about a channel of it, is known by a hash of its name.
UPDATE alerts a
SET memory_dir = %(new)s,
    fingerprint = coalesce(
        (SELECT encode(sha256(convert_to(a.kind, 'UTF8') || '\x00'::bytea
                              || convert_to(%(new)s || suffix, 'UTF8')), 'hex')
         FROM unnest(%(suffixes)s::text[]) AS suffix
         WHERE a.fingerprint = encode(sha256(convert_to(a.kind, 'UTF8') || '\x00'::bytea
                                             || convert_to(%(old)s || suffix, 'UTF8')), 'hex')),
        a.fingerprint)
WHERE a.memory_dir = %(old)s;

-- move_alert_messages --
UPDATE alert_messages SET memory_dir = %(new)s WHERE memory_dir = %(old)s;

-- move_alert_silences --
UPDATE alert_silences SET memory_dir = %(new)s WHERE memory_dir = %(old)s;

-- forget_alert_channels --
-- That a channel refused is found out anew.
DELETE FROM alert_channels WHERE memory_dir = %(old)s;
