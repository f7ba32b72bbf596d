-- Every statement that exportd sends, by name. Parameters are %(name)s, always.

-- ping --
-- Whether nothing can be written; fails where the tables or the right to read are missing.
SELECT current_setting('transaction_read_only')::bool, EXISTS (SELECT FROM exports);

-- greet --
SELECT 1;

-- begin_part --
SAVEPOINT part;

-- undo_part --
ROLLBACK TO SAVEPOINT part;

-- end_part --
RELEASE SAVEPOINT part;

-- server_settings --
SELECT current_setting('server_version_num')::int AS version_num,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS read_only;

-- migration_lock --
SELECT pg_advisory_lock(7305810137);

-- application_role --
-- Whether the role is there and ours to take, and whether it has its rights on these tables.
SELECT coalesce(pg_has_role(session_user, to_regrole('exportd_app'),
                            CASE WHEN current_setting('server_version_num')::int >= 160000
                                 THEN 'SET' ELSE 'MEMBER' END), FALSE),
       coalesce(has_table_privilege('exportd_app', to_regclass('messages'), 'INSERT'), FALSE)
WHERE to_regrole('exportd_app') IS NOT NULL;

-- create_application_role --
-- As migration 0003 does; a dump has no roles, so where it was restored this one is missing.
DO $$
BEGIN
    IF to_regrole('exportd_app') IS NULL THEN
        CREATE ROLE exportd_app NOLOGIN;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
        EXECUTE format('GRANT exportd_app TO %I', session_user);
    END IF;
EXCEPTION
    -- The last two: another database of this server does the same at this moment.
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END
$$;

-- grant_application --
-- What the daemon does every day. A table that a migration adds is to be added here.
DO $$
BEGIN
    IF NOT has_schema_privilege('exportd_app', current_schema(), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO exportd_app', current_schema());
    END IF;
    GRANT SELECT, INSERT, UPDATE ON
        alert_channels, alert_deliveries, alert_messages, alert_silences, alerts, anomalies,
        conversation_aliases, conversations, dead_letters,
        deduplication_log, drops, export_segments, exports, message_renderings, message_search,
        messages, overrides, purge_folders, resume_points, search_queue, segments, watermarks
    TO exportd_app;
    GRANT SELECT, INSERT ON purges, purged_contents TO exportd_app;
    -- A conversation that gave all its segments to another one, what became the content, and
    -- what is made of the messages.
    GRANT DELETE ON alert_channels, conversations, message_renderings, message_search,
        resume_points, search_queue
    TO exportd_app;
    GRANT SELECT ON _yoyo_migration, _yoyo_version TO exportd_app;  -- is the schema up to date?
    GRANT USAGE ON SEQUENCE
        alert_deliveries_delivery_id_seq, alert_silences_silence_id_seq, alerts_alert_id_seq,
        anomalies_anomaly_id_seq, dead_letters_dead_letter_id_seq,
        deduplication_log_log_id_seq, drops_drop_id_seq, exports_export_id_seq,
        messages_message_id_seq, overrides_override_id_seq, purges_purge_id_seq,
        search_queue_queue_id_seq,
        segments_segment_id_seq
    TO exportd_app;
END
$$;

-- take_application_role --
-- The search path may begin with "$user", which is about to be another one.
SELECT set_config('search_path',
                  (SELECT string_agg(quote_ident(name), ', ')
                   FROM unnest(current_schemas(FALSE)) AS name), FALSE),
       set_config('role', 'exportd_app', FALSE);

-- owner_role --
-- Until the end of the transaction, what the connection may do by itself.
SET LOCAL role TO DEFAULT;

-- is_guarded --
SELECT NOT has_table_privilege('messages', 'DELETE');

-- begin_export --
-- One attempt is spent before anything is parsed; content that is stored spends none.
INSERT INTO exports (sha256, size_bytes, name, modified_at, explicit_id, attempts)
VALUES (%(sha256)s, %(size_bytes)s, %(name)s, %(modified_at)s, %(explicit_id)s, 1)
ON CONFLICT (sha256) DO UPDATE
SET attempts = exports.attempts + (exports.state <> 'ingested')::int,
    explicit_id = coalesce(excluded.explicit_id, exports.explicit_id)
RETURNING export_id, state, attempts, parser_version, message_count, archive_name, name, sha256;

-- begin_drop --
INSERT INTO drops (claim_id, export_id, original_name, memory_dir, parent_export_id, locator)
VALUES (%(claim_id)s, %(export_id)s, %(original_name)s, %(memory_dir)s, %(parent_export_id)s,
        %(locator)s)
ON CONFLICT (claim_id) DO UPDATE SET export_id = excluded.export_id
RETURNING drop_id, outcome;

-- take_back_attempt --
-- If it was counted at all: its COMMIT was not answered.
UPDATE exports SET attempts = attempts - 1
WHERE export_id = %(export_id)s AND attempts = %(attempts)s AND attempts > 0
  AND state <> 'ingested';

-- refund_attempts --
UPDATE exports SET attempts = greatest(attempts - 1, 0)
WHERE export_id = ANY(%(export_ids)s) AND state <> 'ingested';

-- lock_head --
-- Two workers with exports of the same new segment: the second waits and then finds it.
SELECT pg_advisory_xact_lock(hashtextextended(%(head)s, 0));

-- lock_heads --
-- The same for many. In one order, so that two daemons do not wait for each other.
SELECT pg_advisory_xact_lock(locked.key)
FROM (SELECT DISTINCT hashtextextended(head, 0) AS key
      FROM unnest(%(heads)s::text[]) AS head ORDER BY key) AS locked;

-- related_exports --
-- Of many exports those that have to do with something stored; see candidates,
-- is_ingested and segments_mentioning.
WITH asked AS (
    SELECT * FROM unnest(%(numbers)s::int[], %(export_ids)s::bigint[], %(formats)s::text[],
                         %(heads)s::text[], %(conversation_ids)s::text[], %(names)s::text[])
        AS a (n, export_id, format, head_hash, conversation_id, name)
)
SELECT a.n FROM asked a JOIN segments s USING (head_hash) WHERE s.format = a.format
UNION
SELECT a.n FROM asked a JOIN segments s USING (conversation_id) WHERE s.format = a.format
UNION
SELECT a.n FROM asked a JOIN exports e USING (export_id) WHERE e.state = 'ingested'
UNION
SELECT a.n FROM exports e, jsonb_array_elements_text(e.metadata -> 'lineage') AS mentioned
JOIN asked a ON a.name = mentioned
WHERE e.metadata -> 'lineage' ?| %(names)s;

-- begin_conversations --
INSERT INTO conversations (conversation_id)
SELECT own FROM unnest(%(conversation_ids)s::text[]) AS own ORDER BY own
ON CONFLICT (conversation_id) DO NOTHING
RETURNING conversation_id;

-- candidates --
SELECT s.segment_id, s.conversation_id, s.first_index, s.message_count, s.head_hash
FROM segments s
WHERE s.format = %(format)s
  AND (s.head_hash = %(head_hash)s OR s.conversation_id = %(conversation_id)s)
  AND coalesce((
      SELECT bool_or(e.metadata ->> 'session_id' = %(session_id)s)
      FROM export_segments es
      JOIN exports e USING (export_id)
      WHERE es.segment_id = s.segment_id), true)
ORDER BY s.segment_id;

-- beginnings --
-- The longest first; so many are looked for while a file is hashed.
SELECT DISTINCT size_bytes, sha256 FROM resume_points
WHERE head = %(head)s ORDER BY size_bytes DESC LIMIT 16;

-- resume_point --
SELECT p.segment_id, s.head_hash, p.facts, p.head, p.size_bytes, p.offset_bytes, p.messages,
       e.format, e.parser_version
FROM resume_points p
JOIN exports e USING (export_id)
JOIN segments s USING (segment_id)
WHERE p.sha256 = %(sha256)s AND e.state = 'ingested'
ORDER BY p.export_id DESC LIMIT 1;

-- holds_resume_point --
SELECT 1 FROM resume_points
WHERE segment_id = %(segment_id)s AND sha256 = %(sha256)s LIMIT 1;

-- set_resume_point --
INSERT INTO resume_points (export_id, segment_id, head, size_bytes, sha256, offset_bytes,
                           messages, facts)
VALUES (%(export_id)s, %(segment_id)s, %(head)s, %(size_bytes)s, %(sha256)s, %(offset_bytes)s,
        %(messages)s, %(facts)s)
ON CONFLICT (export_id) DO NOTHING;

-- set_part_point --
-- Of a file that was read in parts, where the last one begins.
INSERT INTO resume_points (export_id, head, size_bytes, sha256, offset_bytes)
VALUES (%(export_id)s, %(head)s, %(size_bytes)s, %(sha256)s, %(size_bytes)s)
ON CONFLICT (export_id) DO NOTHING;

-- parts --
-- Of a file that was read in parts, in their order.
SELECT DISTINCT ON (split_part(d.locator, '-', 1)::bigint)
       d.export_id, d.locator, e.state, e.name, e.modified_at, e.message_count,
       s.conversation_id
FROM drops d
JOIN exports e USING (export_id)
LEFT JOIN export_segments es USING (export_id)
LEFT JOIN segments s USING (segment_id)
WHERE d.parent_export_id = %(export_id)s
ORDER BY split_part(d.locator, '-', 1)::bigint, d.drop_id;

-- file_in_parts --
-- The last file that was read in parts and has these bytes before its last one.
SELECT p.export_id FROM resume_points p
JOIN exports e USING (export_id)
WHERE p.sha256 = %(sha256)s AND p.segment_id IS NULL AND e.state = 'ingested'
ORDER BY p.export_id DESC LIMIT 1;

-- take_parts --
-- Parts of another file, known by the bytes before them, are in this one as well.
INSERT INTO drops (claim_id, export_id, original_name, memory_dir, parent_export_id, locator,
                   outcome)
SELECT claim_id, export_id, %(name)s, %(memory_dir)s, %(parent_export_id)s, locator,
       'duplicate_file'
FROM unnest(%(claim_ids)s::uuid[], %(export_ids)s::bigint[], %(locators)s::text[])
     AS known (claim_id, export_id, locator)
ON CONFLICT (claim_id) DO NOTHING;

-- forget_resume_points --
-- Something is about to stand before them, or in their own place.
DELETE FROM resume_points WHERE segment_id = %(segment_id)s AND messages >= %(first)s;

-- is_ingested --
SELECT state = 'ingested' FROM exports WHERE export_id = %(export_id)s;

-- conversation_segments --
SELECT s.segment_id, s.conversation_id, s.first_index, s.message_count, s.head_hash
FROM segments s
WHERE s.conversation_id = ANY(%(conversation_ids)s)
ORDER BY s.conversation_id, s.ordinal;

-- segments_mentioning --
SELECT DISTINCT s.segment_id, s.conversation_id, s.first_index, s.message_count, s.head_hash
FROM exports e
JOIN export_segments es USING (export_id)
JOIN segments s USING (segment_id)
WHERE e.metadata -> 'lineage' ?| %(names)s
ORDER BY s.segment_id;

-- segments --
SELECT s.segment_id, s.conversation_id, s.first_index, s.message_count, s.head_hash
FROM segments s WHERE s.segment_id = ANY(%(segment_ids)s);

-- segments_of_export --
-- Of the exports inside of it, too.
WITH RECURSIVE inside AS (
    SELECT %(export_id)s::bigint AS export_id
    UNION
    SELECT d.export_id FROM inside i JOIN drops d ON d.parent_export_id = i.export_id
    WHERE d.export_id IS NOT NULL
)
SELECT DISTINCT s.segment_id, s.conversation_id, s.first_index, s.message_count, s.head_hash
FROM inside
JOIN export_segments es USING (export_id)
JOIN segments s USING (segment_id)
ORDER BY s.segment_id;

-- assign_inside --
-- What people say of a file holds for the exports inside of it, where all are one conversation.
WITH RECURSIVE inside AS (
    SELECT d.export_id, d.parent_export_id
    FROM drops d JOIN exports h ON h.export_id = d.parent_export_id
    WHERE d.parent_export_id = %(export_id)s AND h.format = ANY(%(formats)s)
    UNION
    SELECT d.export_id, d.parent_export_id
    FROM inside i
    JOIN exports h ON h.export_id = i.export_id AND h.format = ANY(%(formats)s)
    JOIN drops d ON d.parent_export_id = i.export_id
)
UPDATE exports SET explicit_id = %(explicit_id)s
WHERE export_id IN (SELECT export_id FROM inside);

-- segments_of_contents --
SELECT DISTINCT s.segment_id, s.conversation_id, s.first_index, s.message_count, s.head_hash
FROM exports e
JOIN export_segments es USING (export_id)
JOIN segments s USING (segment_id)
WHERE e.sha256 = ANY(%(sha256s)s)
ORDER BY s.segment_id;

-- recognise_export --
-- Of several names and times of the same bytes the earliest counts, in any order.
UPDATE exports SET name = %(name)s, modified_at = least(modified_at, %(modified_at)s)
WHERE export_id = %(export_id)s
  AND (name <> %(name)s OR modified_at > %(modified_at)s);

-- assign_export --
-- The export that was dropped last under this name belongs to this conversation.
UPDATE exports SET explicit_id = %(explicit_id)s
WHERE export_id = (
    SELECT d.export_id FROM drops d
    WHERE d.original_name = %(name)s AND d.memory_dir = %(memory_dir)s
      AND d.export_id IS NOT NULL AND d.parent_export_id IS NULL
    ORDER BY d.drop_id DESC LIMIT 1)
RETURNING export_id, sha256, modified_at;

-- exports_of_segments --
SELECT e.sha256, e.explicit_id
FROM export_segments es
JOIN exports e USING (export_id)
WHERE es.segment_id = ANY(%(segment_ids)s);

-- assign_exports --
UPDATE exports SET explicit_id = %(explicit_id)s WHERE sha256 = ANY(%(sha256s)s);

-- add_override --
INSERT INTO overrides (uuid, operation, from_id, into_id, exports, made_by)
VALUES (%(uuid)s, %(operation)s, %(from_id)s, %(into_id)s, %(exports)s, %(made_by)s)
RETURNING override_id, uuid, operation, from_id, into_id, exports, made_by, created_at, undone_at;

-- overrides --
SELECT override_id, uuid, operation, from_id, into_id, exports, made_by, created_at, undone_at
FROM overrides ORDER BY override_id;

-- override_records --
SELECT uuid, operation, from_id, into_id, coalesce(exports, '{}'::jsonb), made_by, created_at,
       undone_at
FROM overrides ORDER BY override_id;

-- unwritten_overrides --
SELECT override_id, uuid, operation, from_id, into_id, exports, made_by, created_at, undone_at
FROM overrides WHERE written_at IS NULL ORDER BY override_id;

-- mark_override_written --
UPDATE overrides SET written_at = CURRENT_TIMESTAMP WHERE override_id = %(override_id)s;

-- undo_override --
UPDATE overrides SET undone_at = CURRENT_TIMESTAMP, written_at = NULL
WHERE override_id = %(override_id)s;

-- later_splits --
SELECT override_id FROM overrides
WHERE override_id > %(override_id)s AND undone_at IS NULL AND exports ?| %(sha256s)s
ORDER BY override_id DESC;

-- exports_seen --
SELECT s.conversation_id, s.ordinal, e.name,
       coalesce(e.metadata -> 'header' ->> 'cwd', '') AS cwd, s.starts_compacted,
       e.modified_at
FROM segments s
JOIN export_segments es USING (segment_id)
JOIN exports e USING (export_id)
ORDER BY s.conversation_id, s.ordinal, e.name;

-- redirects --
SELECT from_id, into_id FROM overrides WHERE undone_at IS NULL AND operation <> 'split';

-- segment_exports --
SELECT es.segment_id, e.name, es.message_count, e.modified_at,
       coalesce(e.metadata -> 'header', '{}'::jsonb) AS header, e.explicit_id,
       coalesce(e.metadata -> 'lineage', '[]'::jsonb) AS lineage,
       e.metadata ->> 'session_id' AS session_id, e.metadata ->> 'title' AS title,
       ARRAY(SELECT DISTINCT d.original_name FROM drops d
             WHERE d.export_id = e.export_id AND d.original_name <> e.name) AS other_names
FROM export_segments es
JOIN exports e USING (export_id)
WHERE es.segment_id = ANY(%(segment_ids)s)
ORDER BY es.segment_id, e.export_id;

-- segment_messages --
SELECT m.message_id, m.role, m.kind, m.metadata ->> 'tool' AS tool, m.content_hash,
       CASE WHEN %(touched_ids)s::text[] IS NULL OR m.source_id = ANY(%(touched_ids)s)
            THEN m.content ELSE '' END AS content,
       m.source_index, m.in_flight, m.source_id, m.occurred_at
FROM messages m
WHERE m.conversation_id = %(conversation_id)s
  AND m.message_index BETWEEN %(first)s AND %(last)s
ORDER BY m.message_index;

-- first_touched --
-- One look into an index for each id, and one for the time. Sums and OFFSET keep the planner,
-- which may know nothing of a table that grows, from walking through the whole segment.
SELECT min(touched.place) FROM (
    SELECT found.place FROM unnest(%(source_ids)s::text[]) AS given (own)
    CROSS JOIN LATERAL (
        SELECT m.message_index + 0 AS place FROM messages m
        WHERE m.conversation_id = %(conversation_id)s AND m.source_id = given.own
        OFFSET 0) AS found
    UNION ALL
    SELECT m.message_index + 0 FROM messages m
    WHERE m.conversation_id = %(conversation_id)s AND m.source_id IS NOT NULL
      AND m.occurred_at >= %(since)s
) AS touched
WHERE touched.place BETWEEN %(first)s AND %(last)s;

-- stored_source_ids --
SELECT DISTINCT m.source_id FROM messages m
WHERE m.conversation_id = %(conversation_id)s AND m.source_id = ANY(%(source_ids)s)
  AND m.message_index BETWEEN %(first)s AND %(last)s;

-- segment_renderings --
SELECT r.message_id, r.content_hash
FROM messages m
JOIN message_renderings r USING (message_id)
WHERE m.conversation_id = %(conversation_id)s
  AND m.message_index BETWEEN %(first)s AND %(last)s;

-- exports_named --
-- By every name that a content was dropped under.
SELECT DISTINCT d.original_name, s.conversation_id
FROM drops d
JOIN export_segments es USING (export_id)
JOIN segments s USING (segment_id)
WHERE regexp_replace(d.original_name, '\s', '', 'g') = ANY(%(names)s)
  AND s.segment_id IS DISTINCT FROM %(segment_id)s;

-- ensure_conversation --
INSERT INTO conversations (conversation_id) VALUES (%(conversation_id)s)
ON CONFLICT (conversation_id) DO NOTHING;

-- lock_conversations --
SELECT conversation_id FROM conversations
WHERE conversation_id = ANY(%(conversation_ids)s)
ORDER BY conversation_id
FOR UPDATE;

-- defer_indices --
SET CONSTRAINTS uk_conversation_message_index DEFERRED;

-- check_indices --
SET CONSTRAINTS uk_conversation_message_index IMMEDIATE;

-- move_messages --
UPDATE messages m
SET message_index = m.message_index + s.delta, conversation_id = s.to_conversation_id
FROM unnest(%(conversation_ids)s::text[], %(los)s::int[], %(his)s::int[], %(deltas)s::int[],
            %(to_conversation_ids)s::text[])
     AS s (conversation_id, lo, hi, delta, to_conversation_id)
WHERE m.conversation_id = s.conversation_id AND m.message_index BETWEEN s.lo AND s.hi;

-- insert_segment --
INSERT INTO segments (conversation_id, ordinal, first_index, message_count, head_hash,
                      starts_compacted, format)
VALUES (%(conversation_id)s, %(ordinal)s, %(first_index)s, %(message_count)s, %(head_hash)s,
        %(starts_compacted)s, %(format)s)
RETURNING segment_id, conversation_id;

-- place_segments --
UPDATE segments s
SET conversation_id = p.conversation_id, ordinal = p.ordinal, first_index = p.first_index,
    message_count = p.message_count
FROM unnest(%(segment_ids)s::bigint[], %(conversation_ids)s::text[], %(ordinals)s::int[],
            %(first_indices)s::int[], %(message_counts)s::int[])
     AS p (segment_id, conversation_id, ordinal, first_index, message_count)
WHERE s.segment_id = p.segment_id
  AND (s.conversation_id, s.ordinal, s.first_index, s.message_count)
      IS DISTINCT FROM (p.conversation_id, p.ordinal, p.first_index, p.message_count);

-- set_head --
-- One export whose compaction bar was cut off does not make another's untrue.
UPDATE segments
SET head_hash = %(head_hash)s, starts_compacted = starts_compacted OR %(starts_compacted)s
WHERE segment_id = %(segment_id)s
  AND (head_hash, starts_compacted)
      IS DISTINCT FROM (%(head_hash)s, starts_compacted OR %(starts_compacted)s);

-- copy_messages --
COPY messages (conversation_id, message_index, content_hash, role, content, metadata,
               segment_id, kind, source_id, source_index, occurred_at, in_flight)
FROM STDIN;

-- keep_renderings --
INSERT INTO message_renderings (message_id, content_hash, content, export_id)
SELECT DISTINCT ON (message_id, content_hash) *
FROM unnest(%(message_ids)s::bigint[], %(hashes)s::text[], %(contents)s::text[],
            %(export_ids)s::bigint[]) AS r (message_id, content_hash, content, export_id)
ON CONFLICT (message_id, content_hash) DO UPDATE
-- Equal but for whitespace: fewer lines, then the greater text, in any order of arrival.
SET content = excluded.content, export_id = excluded.export_id
WHERE (length(replace(excluded.content, E'\n', '')) - length(excluded.content),
       excluded.content COLLATE "C")
    > (length(replace(message_renderings.content, E'\n', ''))
           - length(message_renderings.content),
       message_renderings.content COLLATE "C");

-- keep_contents --
-- "Running…" is a placeholder and no rendering: it would make different results look alike.
INSERT INTO message_renderings (message_id, content_hash, content)
SELECT message_id, content_hash, content FROM messages
WHERE message_id = ANY(%(message_ids)s) AND NOT in_flight
ON CONFLICT DO NOTHING;

-- replace_contents --
UPDATE messages m
SET content_hash = r.content_hash, content = r.content, in_flight = r.in_flight,
    metadata = r.metadata::jsonb, role = r.role, kind = r.kind
FROM unnest(%(message_ids)s::bigint[], %(hashes)s::text[], %(contents)s::text[],
            %(in_flights)s::bool[], %(metadatas)s::text[], %(roles)s::text[],
            %(kinds)s::text[])
     AS r (message_id, content_hash, content, in_flight, metadata, role, kind)
WHERE m.message_id = r.message_id;

-- enrich_messages --
-- The same words, and more about them: the longer facts stay, in any order of arrival.
UPDATE messages m SET metadata = r.metadata
FROM (SELECT message_id, metadata::jsonb AS metadata
      FROM unnest(%(message_ids)s::bigint[], %(metadatas)s::text[])
           AS given (message_id, metadata)) AS r
WHERE m.message_id = r.message_id AND m.metadata <> r.metadata
  AND (length(r.metadata::text), r.metadata::text COLLATE "C")
    > (length(m.metadata::text), m.metadata::text COLLATE "C");

-- forget_renderings_of_content --
DELETE FROM message_renderings r USING messages m
WHERE m.message_id = r.message_id AND m.content_hash = r.content_hash
  AND r.message_id = ANY(%(message_ids)s);

-- link_export --
INSERT INTO export_segments (export_id, segment_id, first_index, message_count, last_message_id)
VALUES (%(export_id)s, %(segment_id)s, %(first_index)s, %(message_count)s,
        (SELECT message_id FROM messages
         WHERE conversation_id = %(conversation_id)s AND message_index = %(last)s))
ON CONFLICT (export_id, segment_id) DO UPDATE
SET first_index = excluded.first_index, message_count = excluded.message_count,
    last_message_id = excluded.last_message_id;

-- part_end --
-- The segment that shows a part of a long export, and how many messages it has up to its end.
SELECT s.segment_id, m.message_index - s.first_index + 1
FROM exports e
JOIN export_segments es USING (export_id)
JOIN segments s USING (segment_id)
JOIN messages m ON m.conversation_id = s.conversation_id AND m.message_id = es.last_message_id
WHERE e.sha256 = %(sha256)s AND e.state = 'ingested';

-- count_conversation --
UPDATE conversations c
SET total_messages = coalesce(
        (SELECT sum(s.message_count) FROM segments s
         WHERE s.conversation_id = c.conversation_id), 0),
    last_updated = CURRENT_TIMESTAMP
WHERE c.conversation_id = ANY(%(conversation_ids)s);

-- describe_conversation --
UPDATE conversations SET metadata = %(metadata)s
WHERE conversation_id = %(conversation_id)s AND metadata IS DISTINCT FROM %(metadata)s;

-- set_watermarks --
INSERT INTO watermarks (conversation_id, highest_index)
SELECT conversation_id, total_messages - 1 FROM conversations
WHERE conversation_id = ANY(%(conversation_ids)s)
ON CONFLICT (conversation_id) DO UPDATE
SET highest_index = excluded.highest_index, last_updated = CURRENT_TIMESTAMP;

-- move_history --
WITH moved_log AS (
    UPDATE deduplication_log SET conversation_id = %(conversation_id)s
    WHERE segment_id = %(segment_id)s
), moved_alerts AS (
    UPDATE alerts SET conversation_id = %(conversation_id)s
    WHERE conversation_id IS NOT NULL
      AND export_id IN (SELECT export_id FROM export_segments WHERE segment_id = %(segment_id)s)
)
UPDATE anomalies SET conversation_id = %(conversation_id)s
WHERE segment_id = %(segment_id)s;

-- move_aliases --
INSERT INTO conversation_aliases (alias, conversation_id, reason, former)
SELECT alias, %(conversation_id)s, reason, TRUE FROM conversation_aliases
WHERE conversation_id = %(left_id)s AND alias <> %(conversation_id)s
UNION ALL
SELECT %(left_id)s, %(conversation_id)s, 'its former id', TRUE
ON CONFLICT DO NOTHING;

-- delete_conversation --
DELETE FROM conversations c
WHERE c.conversation_id = %(conversation_id)s
  AND NOT EXISTS (SELECT 1 FROM segments s WHERE s.conversation_id = c.conversation_id);

-- log_deduplication --
INSERT INTO deduplication_log (conversation_id, operation, messages_processed,
                               duplicates_filtered, storage_savings_pct,
                               processing_time_ms, metadata, export_id, segment_id)
VALUES (%(conversation_id)s, 'process_export', %(processed)s, %(duplicates)s, %(savings_pct)s,
        %(processing_time_ms)s, %(metadata)s, %(export_id)s, %(segment_id)s);

-- retire_aliases --
UPDATE conversation_aliases SET former = TRUE
WHERE conversation_id = %(conversation_id)s AND NOT former AND alias <> ALL(%(aliases)s);

-- add_aliases --
INSERT INTO conversation_aliases (alias, conversation_id, reason)
SELECT alias, %(conversation_id)s, reason
FROM unnest(%(aliases)s::text[], %(reasons)s::text[]) AS a (alias, reason)
WHERE alias <> %(conversation_id)s
ON CONFLICT (alias, conversation_id) DO UPDATE
SET former = FALSE, reason = excluded.reason
WHERE conversation_aliases.former OR conversation_aliases.reason <> excluded.reason;

-- add_anomaly --
INSERT INTO anomalies (conversation_id, export_id, segment_id, kind, severity, message, metadata)
VALUES (%(conversation_id)s, %(export_id)s, %(segment_id)s, %(kind)s, %(severity)s,
        %(message)s, %(metadata)s);

-- finish_export --
UPDATE exports
SET state = 'ingested', format = %(format)s, parser_version = %(parser_version)s,
    message_count = %(message_count)s, metadata = %(metadata)s,
    ingested_at = CURRENT_TIMESTAMP
WHERE export_id = %(export_id)s;

-- finish_drop --
UPDATE drops SET outcome = %(outcome)s WHERE claim_id = %(claim_id)s;

-- mark_archived --
UPDATE exports SET archive_name = %(archive_name)s, archived_at = CURRENT_TIMESTAMP
WHERE export_id = %(export_id)s;

-- mark_grown --
UPDATE exports
SET metadata = coalesce(metadata, '{}'::jsonb)
               || jsonb_build_object('grown_into', %(sha256)s::text)
WHERE export_id = %(export_id)s;

-- unarchived --
SELECT DISTINCT e.export_id, e.sha256, d.original_name
FROM exports e
JOIN drops d USING (export_id)
WHERE e.state = 'ingested' AND e.archive_name IS NULL AND d.memory_dir = %(memory_dir)s
  AND d.parent_export_id IS NULL;

-- fail_export --
UPDATE exports SET state = 'dead_letter', attempts = 0
WHERE export_id = %(export_id)s AND state <> 'ingested';

-- add_dead_letter --
INSERT INTO dead_letters (export_id, claim_id, original_name, failed_name, reason, error_class,
                          memory_dir)
VALUES (%(export_id)s, %(claim_id)s, %(original_name)s, %(failed_name)s, %(reason)s,
        %(error_class)s,
        coalesce(%(memory_dir)s,
                 (SELECT d.memory_dir FROM drops d WHERE d.claim_id = %(claim_id)s)))
ON CONFLICT (claim_id) DO NOTHING;

-- replace_dead_letters --
-- A name in exports-failed/ is free again: what had it was put back or deleted.
UPDATE dead_letters
SET settled_at = CURRENT_TIMESTAMP, settlement = 'replaced'
WHERE memory_dir = %(memory_dir)s AND failed_name = %(failed_name)s AND settled_at IS NULL
  AND claim_id <> %(claim_id)s
RETURNING dead_letter_id;

-- settle_dead_letters --
-- In the order of the ids, with the claims of those that were open.
UPDATE dead_letters
SET settled_at = CURRENT_TIMESTAMP, settlement = %(settlement)s, settled_by = %(settled_by)s
WHERE dead_letter_id = ANY(%(dead_letter_ids)s) AND settled_at IS NULL
RETURNING claim_id;

-- ingested_dead_letters --
-- Their very bytes are stored now, or a file that came under their name later is: by_content.
-- Of one name and export, with what lies in it; or of all.
WITH RECURSIVE inside AS (
    SELECT %(export_id)s::bigint AS export_id
    UNION
    SELECT d.export_id FROM inside i JOIN drops d ON d.parent_export_id = i.export_id
    WHERE d.export_id IS NOT NULL
)
SELECT l.dead_letter_id, l.failed_name, e.sha256, e.archive_name,
       e.state IS NOT DISTINCT FROM 'ingested' AS by_content
FROM dead_letters l
LEFT JOIN exports e USING (export_id)
WHERE l.memory_dir = %(memory_dir)s AND l.settled_at IS NULL AND l.error_class <> 'Fault'
  AND (%(name)s::text IS NULL OR l.export_id IN (SELECT export_id FROM inside)
       OR l.failed_name = %(name)s OR l.original_name = %(name)s)
  AND (e.state = 'ingested'
       OR EXISTS (SELECT FROM drops d
                  WHERE regexp_replace(d.original_name, '\s', '', 'g')
                        IN (regexp_replace(l.failed_name, '\s', '', 'g'),
                            regexp_replace(l.original_name, '\s', '', 'g'))
                    AND d.original_name IN (l.failed_name, l.original_name)
                    AND d.memory_dir = l.memory_dir AND d.parent_export_id IS NULL
                    AND d.outcome IN ('ingested', 'unchanged', 'duplicate_file')
                    AND d.created_at > l.created_at))
ORDER BY l.dead_letter_id;

-- settled_files --
-- Of names in exports-failed/, those whose last dead letter was ingested after all.
SELECT l.dead_letter_id, l.failed_name, e.sha256, e.archive_name,
       e.state IS NOT DISTINCT FROM 'ingested' AS by_content, l.settlement
FROM (SELECT DISTINCT ON (failed_name) *
      FROM dead_letters
      WHERE memory_dir = %(memory_dir)s AND failed_name = ANY(%(failed_names)s)
      ORDER BY failed_name, dead_letter_id DESC) AS l
LEFT JOIN exports e USING (export_id)
WHERE l.settlement IS NOT NULL;

-- has_dead_letters --
SELECT EXISTS (SELECT FROM dead_letters
               WHERE memory_dir = %(memory_dir)s AND settled_at IS NULL
                 AND error_class <> 'Fault');

-- dead_letters --
-- The newest last. What lies in a container has no name in exports-failed/.
SELECT l.dead_letter_id, l.export_id, coalesce(l.failed_name, l.original_name), l.original_name,
       CASE WHEN l.error_class = 'Fault' THEN 'record'
            WHEN l.failed_name IS NULL THEN 'member' ELSE 'file' END,
       CASE WHEN l.error_class = 'Fault' THEN e.name ELSE h.name END,
       l.created_at, l.reason, l.error_class,
       CASE WHEN l.error_class <> 'Fault' THEN e.size_bytes END,
       CASE WHEN l.error_class <> 'Fault' THEN e.sha256 END,
       l.settlement, l.settled_at, l.settled_by
FROM dead_letters l
LEFT JOIN exports e USING (export_id)
LEFT JOIN drops d USING (claim_id)
LEFT JOIN exports h ON h.export_id = d.parent_export_id
WHERE l.memory_dir = %(memory_dir)s
ORDER BY l.dead_letter_id;

-- dead_letters_inside --
-- Of a container that is set aside, what lies in it was set aside, too.
WITH RECURSIVE inside AS (
    SELECT unnest(%(export_ids)s::bigint[]) AS export_id
    UNION
    SELECT d.export_id FROM inside i JOIN drops d ON d.parent_export_id = i.export_id
    WHERE d.export_id IS NOT NULL
)
SELECT l.dead_letter_id
FROM inside i
JOIN drops d ON d.parent_export_id = i.export_id
JOIN dead_letters l USING (claim_id)
WHERE l.memory_dir = %(memory_dir)s AND l.settled_at IS NULL AND l.failed_name IS NULL
  AND l.error_class <> 'Fault';

-- settled_alerts --
-- Alerts about files of which nothing is set aside any more, nor of what lies in them.
WITH RECURSIVE open AS (
    SELECT export_id, claim_id FROM dead_letters
    WHERE memory_dir = %(memory_dir)s AND settled_at IS NULL AND error_class <> 'Fault'
), holders AS (
    SELECT d.parent_export_id AS export_id FROM open JOIN drops d USING (claim_id)
    WHERE d.parent_export_id IS NOT NULL
    UNION
    SELECT d.parent_export_id FROM holders h JOIN drops d ON d.export_id = h.export_id
    WHERE d.parent_export_id IS NOT NULL
)
UPDATE alerts a
SET state = 'resolved', resolved_at = CURRENT_TIMESTAMP, resolution = %(resolution)s,
    untold = coalesce(a.untold, 'resolved')
WHERE a.kind = 'dead_letter' AND a.state <> 'resolved' AND a.memory_dir = %(memory_dir)s
  AND a.export_id NOT IN (SELECT export_id FROM open WHERE export_id IS NOT NULL
                          UNION SELECT export_id FROM holders);

-- dead_letter_reason --
SELECT reason FROM dead_letters WHERE claim_id = %(claim_id)s;

-- recent_drops --
-- With what lies in containers. What the log says of a content is of its first arrival: a later
-- one brought nothing new.
SELECT d.created_at, d.original_name, d.outcome, coalesce(held.conversations, '{}'),
       coalesce(held.total, 0),
       CASE WHEN d.outcome = 'ingested' THEN coalesce(held.new, 0) ELSE 0 END
FROM (SELECT * FROM drops
      WHERE memory_dir = %(memory_dir)s AND parent_export_id IS NULL
      ORDER BY drop_id DESC LIMIT %(most)s) AS d
CROSS JOIN LATERAL (
    WITH RECURSIVE inside AS (
        SELECT d.export_id, d.outcome
        UNION
        SELECT m.export_id, m.outcome
        FROM inside i JOIN drops m ON m.parent_export_id = i.export_id
    ), contents AS (
        SELECT export_id, bool_or(outcome = 'ingested') AS is_new FROM inside GROUP BY 1
    )
    SELECT (SELECT array_agg(DISTINCT s.conversation_id::text ORDER BY s.conversation_id::text)
            FROM contents JOIN export_segments es USING (export_id)
            JOIN segments s USING (segment_id)) AS conversations,
           (SELECT sum(e.message_count)::int
            FROM contents JOIN exports e USING (export_id)) AS total,
           (SELECT sum(l.messages_processed - l.duplicates_filtered)::int
            FROM contents JOIN deduplication_log l USING (export_id)
            WHERE contents.is_new) AS new
) AS held
ORDER BY d.drop_id DESC;

-- untold --
SELECT DISTINCT s.conversation_id
FROM drops d
JOIN export_segments es USING (export_id)
JOIN segments s USING (segment_id)
WHERE d.memory_dir = %(memory_dir)s AND d.told_at IS NULL AND d.outcome IS NOT NULL;

-- gone_by_decision --
SELECT from_id FROM overrides UNION SELECT into_id FROM overrides
EXCEPT SELECT conversation_id FROM conversations;

-- mark_untold --
UPDATE drops SET told_at = NULL
WHERE told_at IS NOT NULL
  AND export_id IN (SELECT es.export_id FROM export_segments es JOIN segments s USING (segment_id)
                    WHERE s.conversation_id = ANY(%(conversation_ids)s));

-- mark_all_untold --
UPDATE drops SET told_at = NULL
WHERE told_at IS NOT NULL AND export_id IN (SELECT export_id FROM export_segments);

-- mark_told --
UPDATE drops SET told_at = CURRENT_TIMESTAMP
WHERE memory_dir = %(memory_dir)s AND told_at IS NULL AND outcome IS NOT NULL;

-- ingested --
-- Of what lies in a container, all together; the conversation where it is one alone.
WITH RECURSIVE inside AS (
    SELECT %(export_id)s::bigint AS export_id
    UNION
    SELECT d.export_id FROM inside i JOIN drops d ON d.parent_export_id = i.export_id
    WHERE d.export_id IS NOT NULL
), logged AS (
    SELECT DISTINCT ON (l.export_id, l.segment_id) l.conversation_id,
           l.messages_processed, l.duplicates_filtered
    FROM inside JOIN deduplication_log l USING (export_id)
    ORDER BY l.export_id, l.segment_id, l.log_id DESC
)
SELECT CASE WHEN count(DISTINCT conversation_id) = 1 THEN min(conversation_id) END,
       coalesce(sum(messages_processed), 0)::bigint,
       coalesce(sum(duplicates_filtered), 0)::bigint
FROM logged;

-- conversations --
SELECT c.conversation_id,
       (SELECT coalesce(min(e.created_at), c.created_at)
        FROM segments s JOIN export_segments es USING (segment_id) JOIN exports e USING (export_id)
        WHERE s.conversation_id = c.conversation_id) AS created_at,
       c.last_updated, c.total_messages, c.metadata,
       -- Of a file that was read in parts, each is an export: people count files.
       (SELECT count(DISTINCT coalesce((SELECT min(d.parent_export_id) FROM drops d
                                        WHERE d.export_id = es.export_id), es.export_id))
        FROM export_segments es JOIN segments s USING (segment_id)
        WHERE s.conversation_id = c.conversation_id) AS export_count,
       (SELECT coalesce(sum(l.messages_processed), 0) FROM deduplication_log l
        WHERE l.conversation_id = c.conversation_id) AS messages_seen,
       (SELECT coalesce(sum(l.duplicates_filtered), 0) FROM deduplication_log l
        WHERE l.conversation_id = c.conversation_id) AS duplicates
FROM conversations c
WHERE c.conversation_id = ANY(%(conversation_ids)s);

-- conversation_aliases --
SELECT a.conversation_id, alias FROM conversation_aliases a
WHERE a.conversation_id = ANY(%(conversation_ids)s)
  AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.conversation_id = a.alias)
ORDER BY alias COLLATE "C";

-- dumped_aliases --
SELECT alias FROM conversation_aliases
WHERE conversation_id = %(conversation_id)s AND NOT former ORDER BY alias COLLATE "C";

-- conversation_parts --
SELECT s.conversation_id, s.ordinal, s.first_index, s.message_count, s.starts_compacted,
       array_agg(e.name ORDER BY es.message_count, e.name) AS export_names
FROM segments s
JOIN export_segments es USING (segment_id)
JOIN exports e USING (export_id)
WHERE s.conversation_id = ANY(%(conversation_ids)s)
GROUP BY s.segment_id
ORDER BY s.conversation_id, s.ordinal;

-- short_conversations --
SELECT conversation_id, message_index, role, kind, content, occurred_at,
       coalesce(metadata, '{}'::jsonb)
FROM messages
WHERE conversation_id = ANY(%(conversation_ids)s)
ORDER BY conversation_id, message_index;

-- conversation_messages --
SELECT message_index, role, kind, content, occurred_at, coalesce(metadata, '{}'::jsonb)
FROM messages
WHERE conversation_id = %(conversation_id)s
  AND message_index BETWEEN %(first)s AND %(last)s
ORDER BY message_index;

-- conversation_roles --
SELECT conversation_id, role, count(*), min(occurred_at), max(occurred_at),
       sum(octet_length(content))
FROM messages WHERE conversation_id = ANY(%(conversation_ids)s)
GROUP BY conversation_id, role;

-- last_updated --
SELECT last_updated FROM conversations WHERE conversation_id = %(conversation_id)s;

-- total_messages --
SELECT coalesce(sum(total_messages), 0)::bigint AS total FROM conversations;

-- lookup_snapshot --
-- The same for what is looked up by ids. Tables that grow just now have no statistics yet, and
-- without them the planner would read whole tables for a hundred conversations.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL enable_seqscan = off;

-- snapshot --
-- What follows in this transaction sees one state of the database.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- dumped_conversations --
SELECT conversation_id FROM conversations
WHERE %(conversation_ids)s::text[] IS NULL OR conversation_id = ANY(%(conversation_ids)s)
ORDER BY conversation_id COLLATE "C";

-- dumped_conversation --
SELECT total_messages, coalesce(metadata, '{}'::jsonb) FROM conversations
WHERE conversation_id = %(conversation_id)s;

-- dumped_segments --
SELECT ordinal, first_index, message_count, starts_compacted, format
FROM segments WHERE conversation_id = %(conversation_id)s
ORDER BY ordinal;

-- dumped_exports --
SELECT s.ordinal, e.name, e.sha256, e.size_bytes, es.message_count, e.modified_at
FROM segments s
JOIN export_segments es USING (segment_id)
JOIN exports e USING (export_id)
WHERE s.conversation_id = %(conversation_id)s
  AND NOT coalesce(e.metadata ? 'grown_into', FALSE)
ORDER BY s.ordinal, es.message_count, e.name COLLATE "C", e.sha256;

-- dumped_renderings --
SELECT m.message_index, r.content_hash, r.content
FROM messages m
JOIN message_renderings r USING (message_id)
WHERE m.conversation_id = %(conversation_id)s
  AND m.message_index BETWEEN %(first)s AND %(last)s
ORDER BY m.message_index, r.content_hash;

-- dumped_prompts --
SELECT message_index, left(content, 400) FROM messages
WHERE conversation_id = %(conversation_id)s AND role = 'user' AND kind = 'prompt'
ORDER BY message_index;

-- dumped_messages --
SELECT m.message_index, s.ordinal, m.role, m.kind, m.content, m.content_hash, m.source_id,
       m.source_index, m.in_flight, m.occurred_at, coalesce(m.metadata, '{}'::jsonb)
FROM messages m
LEFT JOIN segments s ON s.segment_id = m.segment_id AND s.conversation_id = m.conversation_id
WHERE m.conversation_id = %(conversation_id)s AND m.message_index > %(after)s
ORDER BY m.message_index
LIMIT %(most)s;

-- listed_sessions --
-- Of each conversation what a list shows; the newest export is the one of the latest date.
SELECT c.conversation_id, coalesce(c.metadata ->> 'title', ''), c.total_messages, s.segments,
       m.first_at, m.last_at, s.formats, coalesce(x.projects, '{}'), x.exported_at, x.last_export
FROM conversations c
LEFT JOIN LATERAL (
    SELECT count(*) AS segments, array_agg(DISTINCT format::text ORDER BY format::text) AS formats
    FROM segments WHERE conversation_id = c.conversation_id) AS s ON TRUE
LEFT JOIN (
    SELECT conversation_id, min(occurred_at) AS first_at, max(occurred_at) AS last_at
    FROM messages WHERE occurred_at IS NOT NULL
    GROUP BY conversation_id) AS m USING (conversation_id)
LEFT JOIN LATERAL (
    SELECT max(e.modified_at) AS exported_at,
           (array_agg(e.name ORDER BY e.modified_at DESC, e.export_id DESC))[1] AS last_export,
           array_agg(DISTINCT e.metadata -> 'header' ->> 'cwd')
               FILTER (WHERE e.metadata -> 'header' ->> 'cwd' <> '') AS projects
    FROM segments g
    JOIN export_segments es USING (segment_id)
    JOIN exports e USING (export_id)
    WHERE g.conversation_id = c.conversation_id) AS x ON TRUE
ORDER BY c.conversation_id COLLATE "C";

-- conversation_names --
SELECT conversation_id FROM conversations UNION SELECT alias FROM conversation_aliases ORDER BY 1;

-- shown_messages --
-- A page of messages of some roles and kinds, or of all where NULL is given.
SELECT message_index, role, kind, content, occurred_at, coalesce(metadata, '{}'::jsonb)
FROM messages
WHERE conversation_id = %(conversation_id)s
  AND message_index BETWEEN %(first)s AND %(last)s
  AND (%(roles)s::text[] IS NULL OR role = ANY(%(roles)s))
  AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
ORDER BY message_index;

-- last_message --
-- Where the last so many messages of some roles and kinds begin.
SELECT min(message_index)
FROM (SELECT message_index FROM messages
      WHERE conversation_id = %(conversation_id)s
        AND (%(roles)s::text[] IS NULL OR role = ANY(%(roles)s))
        AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
      ORDER BY message_index DESC LIMIT %(count)s) AS found;

-- conversation_named --
-- By its id, else by another name it was seen under.
SELECT conversation_id FROM conversations WHERE conversation_id = %(name)s
UNION ALL
(SELECT conversation_id FROM conversation_aliases
 WHERE alias = %(name)s
   AND NOT EXISTS (SELECT 1 FROM conversations WHERE conversation_id = %(name)s)
 ORDER BY conversation_id);

-- outdated_exports --
-- Ingested by another version of their format's parser.
SELECT count(*) FROM exports e
JOIN unnest(%(formats)s::text[], %(versions)s::int[]) AS p (format, version)
  ON p.format = e.format AND p.version <> e.parser_version
WHERE e.state = 'ingested';

-- archived_exports --
SELECT e.sha256, e.archive_name, e.explicit_id, e.name, e.modified_at,
       ARRAY(SELECT DISTINCT d.original_name FROM drops d
             WHERE d.export_id = e.export_id AND d.parent_export_id IS NULL)
FROM exports e
WHERE e.state = 'ingested' AND NOT coalesce(e.metadata ? 'grown_into', FALSE)
  -- What came inside of files alone is built from these.
  AND (e.archive_name IS NOT NULL
       OR NOT EXISTS (SELECT FROM drops d
                      WHERE d.export_id = e.export_id AND d.parent_export_id IS NOT NULL))
ORDER BY e.export_id;

-- replay_override --
INSERT INTO overrides (uuid, operation, from_id, into_id, exports, made_by, created_at, undone_at,
                       written_at)
VALUES (%(uuid)s, %(operation)s, %(from_id)s, %(into_id)s, %(exports)s, %(made_by)s,
        %(created_at)s, %(undone_at)s, CURRENT_TIMESTAMP)
ON CONFLICT (uuid) DO NOTHING;

-- create_staging --
CREATE SCHEMA exportd_reindex;

-- sign_staging --
COMMENT ON SCHEMA exportd_reindex IS %(signature)s;

-- content_digest --
-- Equal for two stores that hold the same messages, in whatever order and conversations.
SELECT count(*), coalesce(sum(hashtextextended(concat(role, ' ', kind, ' ', content), 0)), 0)
FROM messages;

-- staging_signature --
SELECT obj_description(to_regnamespace('exportd_reindex'), 'pg_namespace');

-- discard_staging --
DROP SCHEMA IF EXISTS exportd_reindex CASCADE;

-- lock_stored --
LOCK TABLE conversations, exports, drops, segments, messages, message_renderings, export_segments,
           watermarks, deduplication_log, conversation_aliases, anomalies, overrides,
           message_search, resume_points, search_queue
IN ACCESS EXCLUSIVE MODE;

-- staging_lock --
SELECT pg_try_advisory_lock(hashtext('exportd reindex'));

-- not_in_staging --
SELECT (SELECT count(*) FROM exports e
        WHERE e.state = 'ingested' AND NOT coalesce(e.metadata ? 'grown_into', FALSE)
          AND NOT EXISTS (SELECT 1 FROM exportd_reindex.exports n WHERE n.sha256 = e.sha256)),
       (SELECT count(*) FROM overrides o
        WHERE NOT EXISTS (SELECT 1 FROM exportd_reindex.overrides n
                          WHERE n.uuid = o.uuid
                            AND (n.undone_at IS NULL) = (o.undone_at IS NULL)));

-- keep_message_times --
UPDATE exportd_reindex.messages n SET created_at = o.created_at
FROM messages o
WHERE o.conversation_id = n.conversation_id AND o.message_index = n.message_index
  AND o.content_hash = n.content_hash;

-- keep_conversation_times --
UPDATE exportd_reindex.conversations n
SET created_at = o.created_at, last_updated = o.last_updated
FROM conversations o
WHERE o.conversation_id = n.conversation_id;

-- keep_former_aliases --
INSERT INTO exportd_reindex.conversation_aliases (alias, conversation_id, reason, created_at, former)
SELECT o.alias, o.conversation_id, o.reason, o.created_at, TRUE
FROM conversation_aliases o
JOIN exportd_reindex.conversations n USING (conversation_id)
ON CONFLICT DO NOTHING;

-- clear_stored --
TRUNCATE conversations, segments, messages, message_renderings, export_segments, watermarks,
         deduplication_log, conversation_aliases, anomalies, overrides, message_search,
         resume_points, search_queue;

-- take_exports --
INSERT INTO exports (sha256, size_bytes, name, modified_at, state, attempts, format,
                     parser_version, message_count, explicit_id, archive_name, created_at,
                     ingested_at, archived_at, metadata)
SELECT sha256, size_bytes, name, modified_at, state, attempts, format, parser_version,
       message_count, explicit_id, archive_name, created_at, ingested_at, archived_at, metadata
FROM exportd_reindex.exports
ON CONFLICT (sha256) DO UPDATE
SET name = excluded.name, modified_at = excluded.modified_at, state = excluded.state,
    format = excluded.format, parser_version = excluded.parser_version,
    message_count = excluded.message_count, explicit_id = excluded.explicit_id,
    archive_name = excluded.archive_name, metadata = excluded.metadata;

-- take_drops --
INSERT INTO drops (claim_id, export_id, original_name, memory_dir, outcome, created_at,
                   parent_export_id, locator)
SELECT d.claim_id, e.export_id, d.original_name, d.memory_dir, d.outcome, d.created_at,
       h.export_id, d.locator
FROM exportd_reindex.drops d
JOIN exportd_reindex.exports n USING (export_id)
JOIN exports e USING (sha256)
LEFT JOIN exportd_reindex.exports p ON p.export_id = d.parent_export_id
LEFT JOIN exports h ON h.sha256 = p.sha256
WHERE NOT EXISTS (SELECT 1 FROM drops o
                  WHERE o.export_id = e.export_id AND o.original_name = d.original_name)
ON CONFLICT (claim_id) DO NOTHING;

-- take_conversations --
INSERT INTO conversations SELECT * FROM exportd_reindex.conversations;

-- take_segments --
INSERT INTO segments SELECT * FROM exportd_reindex.segments;

-- take_messages --
INSERT INTO messages SELECT * FROM exportd_reindex.messages;

-- take_renderings --
INSERT INTO message_renderings (message_id, content_hash, content, export_id, created_at)
SELECT r.message_id, r.content_hash, r.content, e.export_id, r.created_at
FROM exportd_reindex.message_renderings r
LEFT JOIN exportd_reindex.exports n USING (export_id)
LEFT JOIN exports e ON e.sha256 = n.sha256;

-- take_export_segments --
INSERT INTO export_segments (export_id, segment_id, first_index, message_count, last_message_id)
SELECT e.export_id, s.segment_id, s.first_index, s.message_count, s.last_message_id
FROM exportd_reindex.export_segments s
JOIN exportd_reindex.exports n USING (export_id)
JOIN exports e ON e.sha256 = n.sha256;

-- take_watermarks --
INSERT INTO watermarks SELECT * FROM exportd_reindex.watermarks;

-- take_log --
INSERT INTO deduplication_log (conversation_id, operation, messages_processed,
                               duplicates_filtered, storage_savings_pct, processing_time_ms,
                               created_at, metadata, export_id, segment_id)
SELECT l.conversation_id, l.operation, l.messages_processed, l.duplicates_filtered,
       l.storage_savings_pct, l.processing_time_ms, l.created_at, l.metadata, e.export_id,
       l.segment_id
FROM exportd_reindex.deduplication_log l
JOIN exportd_reindex.exports n USING (export_id)
JOIN exports e ON e.sha256 = n.sha256
ORDER BY l.log_id;

-- take_aliases --
INSERT INTO conversation_aliases SELECT * FROM exportd_reindex.conversation_aliases;

-- take_anomalies --
INSERT INTO anomalies (conversation_id, export_id, segment_id, kind, severity, message, created_at,
                       metadata)
SELECT a.conversation_id, e.export_id, a.segment_id, a.kind, a.severity, a.message, a.created_at,
       a.metadata
FROM exportd_reindex.anomalies a
LEFT JOIN exportd_reindex.exports n USING (export_id)
LEFT JOIN exports e ON e.sha256 = n.sha256
ORDER BY a.anomaly_id;

-- take_overrides --
INSERT INTO overrides SELECT * FROM exportd_reindex.overrides;

-- advance_sequences --
SELECT setval(pg_get_serial_sequence('segments', 'segment_id'),
              (SELECT coalesce(max(segment_id), 0) + 1 FROM segments), FALSE),
       setval(pg_get_serial_sequence('messages', 'message_id'),
              (SELECT coalesce(max(message_id), 0) + 1 FROM messages), FALSE),
       setval(pg_get_serial_sequence('overrides', 'override_id'),
              (SELECT coalesce(max(override_id), 0) + 1 FROM overrides), FALSE);

-- Risk and statistics: of the conversations given, or of all where NULL is given.

-- history_segments --
SELECT s.conversation_id, s.segment_id, s.first_index, s.message_count, s.starts_compacted,
       coalesce(m.in_flight, FALSE) AS ends_in_flight
FROM segments s
LEFT JOIN messages m
       ON m.conversation_id = s.conversation_id
      AND m.message_index = s.first_index + s.message_count - 1
WHERE %(conversation_ids)s::text[] IS NULL OR s.conversation_id = ANY(%(conversation_ids)s)
ORDER BY s.conversation_id COLLATE "C", s.ordinal;

-- history_exports --
SELECT es.segment_id, e.name, es.message_count, e.modified_at,
       coalesce(e.metadata -> 'flags' ? 'truncated_tail', FALSE) AS is_cut
FROM segments s
JOIN export_segments es USING (segment_id)
JOIN exports e USING (export_id)
WHERE %(conversation_ids)s::text[] IS NULL OR s.conversation_id = ANY(%(conversation_ids)s)
ORDER BY es.segment_id, e.sha256;

-- history_gaps --
SELECT segment_id, first_missing, last_missing
FROM (SELECT m.segment_id, m.source_index - 1 AS last_missing,
             coalesce(lag(m.source_index) OVER (
                 PARTITION BY m.segment_id ORDER BY m.source_index), -1) + 1 AS first_missing
      FROM messages m
      WHERE m.source_index IS NOT NULL
        AND (%(conversation_ids)s::text[] IS NULL
             OR m.conversation_id = ANY(%(conversation_ids)s))) AS run
WHERE last_missing >= first_missing
ORDER BY segment_id, first_missing;

-- history_parents --
SELECT m.segment_id, count(DISTINCT m.metadata ->> 'parent_id')
FROM messages m
WHERE m.source_id IS NOT NULL AND m.metadata ? 'parent_id'
  AND (%(conversation_ids)s::text[] IS NULL OR m.conversation_id = ANY(%(conversation_ids)s))
  AND NOT EXISTS (SELECT FROM messages p WHERE p.conversation_id = m.conversation_id
                                           AND p.source_id = m.metadata ->> 'parent_id')
GROUP BY m.segment_id;

-- history_renderings --
-- What else was seen at a native index: grown, rendered anew, or a contradiction.
SELECT m.segment_id, m.source_index, m.content, r.content AS other
FROM messages m
JOIN message_renderings r USING (message_id)
WHERE m.source_index IS NOT NULL
  AND (%(conversation_ids)s::text[] IS NULL OR m.conversation_id = ANY(%(conversation_ids)s))
ORDER BY m.segment_id, m.source_index, r.content_hash;

-- amounts --
-- An export of several segments of a conversation counts once there.
WITH chosen AS (
    SELECT conversation_id FROM conversations
    WHERE %(conversation_ids)s::text[] IS NULL OR conversation_id = ANY(%(conversation_ids)s)
), stored AS (
    SELECT m.conversation_id, count(*) AS messages, sum(octet_length(m.content)) AS bytes
    FROM messages m JOIN chosen USING (conversation_id)
    GROUP BY m.conversation_id
), rendered AS (
    SELECT m.conversation_id, sum(octet_length(r.content)) AS bytes
    FROM message_renderings r
    JOIN messages m USING (message_id)
    JOIN chosen ON chosen.conversation_id = m.conversation_id
    GROUP BY m.conversation_id
), shown AS (
    SELECT s.conversation_id, es.export_id, sum(es.message_count) AS messages
    FROM export_segments es
    JOIN segments s USING (segment_id)
    JOIN chosen USING (conversation_id)
    GROUP BY s.conversation_id, es.export_id
), arrived AS (
    SELECT export_id, count(*) AS drops FROM drops
    WHERE outcome IS NOT NULL AND export_id IN (SELECT export_id FROM shown)
    GROUP BY export_id
), exported AS (
    SELECT h.conversation_id, count(*) AS exports, sum(h.messages) AS messages,
           sum(e.size_bytes) AS bytes, sum(a.drops) AS drops,
           sum(a.drops * h.messages) AS dropped_messages,
           sum(a.drops * e.size_bytes) AS dropped_bytes
    FROM shown h
    JOIN exports e USING (export_id)
    JOIN arrived a USING (export_id)
    GROUP BY h.conversation_id
)
SELECT c.conversation_id, w.highest_index,
       (SELECT count(*) FROM segments s WHERE s.conversation_id = c.conversation_id) AS segments,
       coalesce(x.exports, 0)::bigint, coalesce(x.drops, 0)::bigint,
       coalesce(st.messages, 0)::bigint, coalesce(x.messages, 0)::bigint,
       coalesce(x.dropped_messages, 0)::bigint,
       (coalesce(st.bytes, 0) + coalesce(r.bytes, 0))::bigint AS stored_bytes,
       coalesce(x.bytes, 0)::bigint, coalesce(x.dropped_bytes, 0)::bigint
FROM chosen c
LEFT JOIN watermarks w USING (conversation_id)
LEFT JOIN stored st USING (conversation_id)
LEFT JOIN rendered r USING (conversation_id)
LEFT JOIN exported x USING (conversation_id)
ORDER BY c.conversation_id COLLATE "C";

-- What follows is for exportd verify.

-- checked_conversations --
SELECT c.conversation_id, c.total_messages, w.highest_index
FROM conversations c
LEFT JOIN watermarks w USING (conversation_id)
ORDER BY c.conversation_id;

-- checked_segments --
SELECT segment_id, conversation_id, ordinal, first_index, message_count, head_hash
FROM segments
ORDER BY conversation_id, ordinal, segment_id;

-- checked_runs --
SELECT conversation_id, segment_id, count(*), min(message_index), max(message_index)
FROM messages
GROUP BY conversation_id, segment_id
ORDER BY conversation_id, segment_id;

-- checked_messages --
SELECT m.message_id, m.message_index, m.segment_id, coalesce(m.role, '') AS role, m.kind,
       m.content_hash, m.content, coalesce(m.metadata, '{}'::jsonb) AS metadata, m.in_flight,
       m.source_index
FROM messages m
WHERE m.conversation_id = %(conversation_id)s
  AND m.message_index BETWEEN %(lowest)s AND %(highest)s
  AND m.segment_id = %(segment_id)s
ORDER BY m.message_index;

-- checked_renderings --
SELECT r.message_id, r.content_hash, r.content
FROM messages m
JOIN message_renderings r USING (message_id)
WHERE m.conversation_id = %(conversation_id)s
  AND m.message_index BETWEEN %(lowest)s AND %(highest)s
  AND m.segment_id = %(segment_id)s
ORDER BY r.message_id, r.content_hash;

-- checked_exports --
SELECT e.export_id, e.sha256, e.size_bytes, e.name, e.format, e.parser_version,
       e.message_count, e.archive_name, e.metadata ->> 'grown_into' AS grown_into,
       ARRAY(SELECT DISTINCT d.memory_dir FROM drops d WHERE d.export_id = e.export_id)
           AS memory_dirs,
       ARRAY(SELECT DISTINCT d.original_name FROM drops d WHERE d.export_id = e.export_id)
           AS dropped_names,
       es.first_index, es.message_count
FROM exports e
LEFT JOIN export_segments es
       ON es.export_id = e.export_id AND es.segment_id = %(segment_id)s
WHERE e.state = 'ingested' AND e.export_id = ANY(%(export_ids)s)
ORDER BY e.export_id;

-- checked_segment_exports --
SELECT export_id FROM export_segments WHERE segment_id = %(segment_id)s
UNION
SELECT export_id FROM deduplication_log
WHERE conversation_id = %(conversation_id)s AND segment_id = %(segment_id)s;

-- checked_loose_exports --
SELECT e.export_id
FROM exports e
WHERE e.state = 'ingested'
  AND NOT EXISTS (SELECT 1 FROM export_segments es WHERE es.export_id = e.export_id)
  AND NOT EXISTS (SELECT 1 FROM deduplication_log l JOIN segments s USING (segment_id)
                  WHERE l.export_id = e.export_id AND l.conversation_id = s.conversation_id);

-- checked_holders --
-- The files that an export came in, and where in them it lies.
SELECT DISTINCT d.parent_export_id, d.locator, e.format
FROM drops d JOIN exports e ON e.export_id = d.parent_export_id
WHERE d.export_id = %(export_id)s
ORDER BY d.parent_export_id, d.locator;

-- checked_content --
SELECT export_id FROM exports WHERE sha256 = %(sha256)s;

-- checked_log --
SELECT e.name, coalesce(e.message_count, 0) AS messages, count(l.log_id) AS log_rows,
       coalesce(sum(l.messages_processed), 0) AS processed
FROM exports e
LEFT JOIN deduplication_log l USING (export_id)
WHERE e.state = 'ingested'
GROUP BY e.export_id
HAVING count(l.log_id) <> (coalesce(e.message_count, 0) > 0)::int
    OR coalesce(sum(l.messages_processed), 0) <> coalesce(e.message_count, 0)
ORDER BY e.export_id;

-- checked_export_count --
SELECT count(*) FROM exports WHERE state = 'ingested';

-- checked_archive_names --
SELECT archive_name FROM exports WHERE archive_name = ANY(%(names)s);

-- checked_told --
-- Told in full: the daemon writes the session file of what is not told yet.
-- memory_dir NULL: those of all folders.
SELECT DISTINCT s.conversation_id
FROM segments s
JOIN export_segments es USING (segment_id)
JOIN drops d USING (export_id)
WHERE s.conversation_id = ANY(%(conversation_ids)s)
  AND (%(memory_dir)s::text IS NULL OR d.memory_dir = %(memory_dir)s)
EXCEPT
SELECT s.conversation_id
FROM segments s
JOIN export_segments es USING (segment_id)
JOIN drops d USING (export_id)
WHERE s.conversation_id = ANY(%(conversation_ids)s) AND d.told_at IS NULL
ORDER BY conversation_id;

-- checked_dead_letters --
-- memory_dir NULL: those of all folders.
SELECT l.original_name, l.failed_name
FROM dead_letters l
LEFT JOIN exports e ON e.export_id = l.export_id
WHERE (%(memory_dir)s::text IS NULL OR l.memory_dir = %(memory_dir)s)
  AND l.failed_name IS NOT NULL AND l.settled_at IS NULL
  AND e.state IS DISTINCT FROM 'ingested'
ORDER BY l.dead_letter_id;

-- Taking over the earlier scripts' state, and undoing that: the exception to append-only.

-- stored_exports --
SELECT e.sha256, s.conversation_id, es.message_count AS shown,
       (SELECT count(*) FROM messages m
        WHERE m.conversation_id = s.conversation_id AND m.segment_id = s.segment_id
          AND m.message_index BETWEEN s.first_index AND s.first_index + s.message_count - 1)
       AS stored
FROM exports e
JOIN export_segments es USING (export_id)
JOIN segments s USING (segment_id)
WHERE e.sha256 = ANY(%(sha256s)s) AND e.state = 'ingested';

-- session_exports --
-- A removed export keeps its archive name until its file has left the archive.
SELECT e.metadata ->> 'session_id' AS session_id, e.export_id, e.sha256, e.size_bytes, e.name,
       e.archive_name, e.state
FROM exports e
WHERE e.format = %(format)s AND e.metadata ->> 'session_id' = ANY(%(session_ids)s)
  AND (e.state = 'ingested' OR e.archive_name IS NOT NULL)
ORDER BY e.export_id;

-- segment_contents --
SELECT e.export_id, e.sha256, e.name,
       EXISTS (SELECT 1 FROM drops d
               WHERE d.export_id = e.export_id AND d.memory_dir = %(memory_dir)s) AS is_here
FROM export_segments es
JOIN exports e USING (export_id)
WHERE es.segment_id = %(segment_id)s
ORDER BY e.export_id;

-- remove_renderings --
DELETE FROM message_renderings r USING messages m
WHERE r.message_id = m.message_id AND m.conversation_id = %(conversation_id)s
  AND m.message_index BETWEEN %(first)s AND %(last)s;

-- remove_messages --
DELETE FROM messages
WHERE conversation_id = %(conversation_id)s AND message_index BETWEEN %(first)s AND %(last)s;

-- remove_links --
DELETE FROM export_segments WHERE segment_id = %(segment_id)s;

-- remove_log --
DELETE FROM deduplication_log
WHERE conversation_id = %(conversation_id)s AND segment_id = %(segment_id)s;

-- remove_anomalies --
DELETE FROM anomalies
WHERE segment_id = %(segment_id)s OR export_id = ANY(%(export_ids)s);

-- remove_segment --
DELETE FROM segments WHERE segment_id = %(segment_id)s;

-- set_exports_aside --
UPDATE exports SET state = 'dead_letter', attempts = 0, ingested_at = NULL
WHERE export_id = ANY(%(export_ids)s);

-- forget_archived --
UPDATE exports SET archive_name = NULL, archived_at = NULL
WHERE export_id = %(export_id)s AND state <> 'ingested';

-- clock --
SELECT clock_timestamp();

-- arrivals --
-- Files of their own that came after a moment, or have this content; with what lies in them.
-- Of a content that came twice the log speaks of the first time: then nothing was new.
WITH RECURSIVE arrived AS (
    SELECT d.*
    FROM drops d
    LEFT JOIN exports e USING (export_id)
    WHERE d.memory_dir = %(memory_dir)s AND d.parent_export_id IS NULL
      AND (%(name)s::text IS NULL OR d.original_name = %(name)s)
      AND (d.created_at > %(since)s OR e.sha256 = %(sha256)s)
), inside AS (
    SELECT drop_id AS top, drop_id, export_id, outcome FROM arrived WHERE export_id IS NOT NULL
    UNION
    SELECT i.top, m.drop_id, m.export_id, m.outcome
    FROM inside i JOIN drops m ON m.parent_export_id = i.export_id
    WHERE m.export_id IS NOT NULL
), held AS (
    SELECT DISTINCT ON (top, export_id) top, export_id, outcome
    FROM inside ORDER BY top, export_id, drop_id DESC
), logged AS (
    SELECT DISTINCT ON (h.top, l.export_id, l.segment_id)
           h.top, h.outcome, l.messages_processed, l.duplicates_filtered,
           l.storage_savings_pct, e.size_bytes
    FROM held h
    JOIN deduplication_log l USING (export_id)
    JOIN exports e USING (export_id)
    ORDER BY h.top, l.export_id, l.segment_id, l.log_id DESC
), counted AS (
    SELECT top, sum(messages_processed) AS total,
           sum(CASE WHEN outcome = 'ingested' THEN messages_processed - duplicates_filtered
                    ELSE 0 END) AS new,
           sum(size_bytes * CASE WHEN outcome = 'ingested' THEN storage_savings_pct
                                 ELSE 100 END) / nullif(sum(size_bytes), 0) AS savings
    FROM logged GROUP BY top
)
SELECT a.created_at, a.original_name, a.outcome,
       ARRAY(SELECT DISTINCT s.conversation_id::text
             FROM held h JOIN export_segments es USING (export_id)
             JOIN segments s USING (segment_id)
             WHERE h.top = a.drop_id ORDER BY 1),
       coalesce(c.total, 0)::bigint,
       CASE WHEN a.outcome = 'ingested' THEN coalesce(c.new, 0) ELSE 0 END::bigint,
       CASE WHEN a.outcome = 'ingested' THEN coalesce(c.savings, 0)
            WHEN c.total > 0 THEN 100 ELSE 0 END::float,
       a.told_at IS NOT NULL,
       coalesce(dl.reason, '')
FROM arrived a
LEFT JOIN counted c ON c.top = a.drop_id
LEFT JOIN dead_letters dl USING (claim_id)
ORDER BY a.drop_id;

-- Archive housekeeping.

-- packable --
-- Archived so long ago; what is packed already, as a zip is, would not get smaller.
SELECT e.archive_name, e.sha256, e.size_bytes
FROM exports e
WHERE e.state = 'ingested' AND e.archive_name IS NOT NULL
  AND e.archived_at < CURRENT_TIMESTAMP - %(age)s::interval
  AND e.format <> ALL(%(but)s) AND e.size_bytes >= %(least)s
ORDER BY e.export_id;

-- not_packable --
-- How many of them are too small, and how many came packed.
SELECT count(*) FILTER (WHERE e.size_bytes < %(least)s),
       count(*) FILTER (WHERE e.size_bytes >= %(least)s AND e.format = ANY(%(but)s))
FROM exports e
WHERE e.state = 'ingested' AND e.archive_name IS NOT NULL
  AND e.archived_at < CURRENT_TIMESTAMP - %(age)s::interval;

-- old_dead_letters --
SELECT l.dead_letter_id, l.failed_name
FROM dead_letters l
WHERE l.memory_dir = %(memory_dir)s AND l.failed_name IS NOT NULL AND l.settled_at IS NULL
  AND l.created_at < CURRENT_TIMESTAMP - %(age)s::interval
ORDER BY l.dead_letter_id;

-- forget_failed_file --
UPDATE dead_letters
SET failed_name = NULL, settled_at = CURRENT_TIMESTAMP, settlement = 'forgotten',
    settled_by = 'keep_failed_days'
WHERE dead_letter_id = %(dead_letter_id)s;

-- contents_called --
-- By SHA-256, whole or its beginning, or by any name.
SELECT e.sha256, e.name FROM exports e
WHERE e.state = 'ingested'
  AND (e.archive_name = %(name)s OR e.name = %(name)s
       OR (%(name)s ~ '^[0-9a-f]{8,64}$' AND e.sha256 LIKE %(name)s || '%%'))
ORDER BY e.export_id;
