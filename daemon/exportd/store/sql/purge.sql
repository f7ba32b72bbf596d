-- Taking a conversation out for good: the exception to append-only that people ask for.

-- purge_exports --
SELECT es.export_id FROM export_segments es JOIN segments s USING (segment_id)
WHERE s.conversation_id = %(conversation_id)s
UNION
SELECT export_id FROM deduplication_log
WHERE conversation_id = %(conversation_id)s AND export_id IS NOT NULL
ORDER BY export_id;

-- purge_shared --
-- Exports that show another conversation as well; there should be none.
SELECT DISTINCT e.name, s.conversation_id
FROM export_segments es
JOIN segments s USING (segment_id)
JOIN exports e USING (export_id)
WHERE es.export_id = ANY(%(export_ids)s) AND s.conversation_id <> %(conversation_id)s
ORDER BY e.name, s.conversation_id;

-- purge_holders --
-- The files that these came in, and the files that those came in.
WITH RECURSIVE above AS (
    SELECT parent_export_id AS export_id FROM drops
    WHERE export_id = ANY(%(export_ids)s) AND parent_export_id IS NOT NULL
    UNION
    SELECT d.parent_export_id FROM above a JOIN drops d USING (export_id)
    WHERE d.parent_export_id IS NOT NULL
)
SELECT export_id FROM above ORDER BY export_id;

-- purge_members --
SELECT d.drop_id, d.parent_export_id, d.export_id, d.locator, e.sha256, e.state, e.format
FROM drops d JOIN exports e USING (export_id)
WHERE d.parent_export_id = ANY(%(export_ids)s)
ORDER BY d.drop_id;

-- purge_contents --
-- Names and folders of the arrivals as a file of its own.
SELECT e.export_id, e.sha256, e.size_bytes, e.name, e.format, e.archive_name, e.explicit_id,
       e.modified_at, coalesce((e.metadata -> 'header' ->> 'others')::int, 0) AS others,
       ARRAY(SELECT DISTINCT d.original_name FROM drops d WHERE d.export_id = e.export_id
             ORDER BY 1) AS names,
       ARRAY(SELECT DISTINCT d.original_name FROM drops d
             WHERE d.export_id = e.export_id AND d.parent_export_id IS NULL
             ORDER BY 1) AS own_names,
       ARRAY(SELECT DISTINCT d.memory_dir FROM drops d
             WHERE d.export_id = e.export_id AND d.parent_export_id IS NULL
             ORDER BY 1) AS memory_dirs
FROM exports e
WHERE e.export_id = ANY(%(export_ids)s)
ORDER BY e.export_id;

-- purge_counts --
SELECT (SELECT count(*) FROM messages WHERE conversation_id = %(conversation_id)s),
       (SELECT count(*) FROM message_renderings r JOIN messages m USING (message_id)
        WHERE m.conversation_id = %(conversation_id)s),
       (SELECT count(*) FROM segments WHERE conversation_id = %(conversation_id)s),
       (SELECT count(*) FROM anomalies WHERE conversation_id = %(conversation_id)s
                                          OR export_id = ANY(%(export_ids)s)),
       (SELECT count(*) FROM alerts WHERE conversation_id = %(conversation_id)s
                                       OR export_id = ANY(%(export_ids)s)),
       (SELECT count(*) FROM dead_letters WHERE export_id = ANY(%(export_ids)s));

-- purge_memory_dirs --
SELECT DISTINCT memory_dir FROM drops WHERE export_id = ANY(%(export_ids)s) ORDER BY memory_dir;

-- purge_aliases --
-- Its other names, but those that a conversation has as its id.
SELECT alias FROM conversation_aliases a
WHERE a.conversation_id = %(conversation_id)s
  AND NOT EXISTS (SELECT FROM conversations c WHERE c.conversation_id = a.alias)
ORDER BY alias;

-- names_that_stay --
SELECT DISTINCT original_name FROM drops
WHERE original_name = ANY(%(names)s)
  AND (export_id IS NULL OR export_id <> ALL(%(export_ids)s));

-- namesakes --
-- Dead letters of the names; nobody knows of what conversation they are.
SELECT failed_name FROM dead_letters
WHERE original_name = ANY(%(names)s) AND failed_name IS NOT NULL
  AND (export_id IS NULL OR export_id <> ALL(%(export_ids)s))
ORDER BY dead_letter_id;

-- purge_deliveries --
DELETE FROM alert_deliveries d USING alerts a
WHERE a.alert_id = d.alert_id
  AND (a.conversation_id = %(conversation_id)s OR a.export_id = ANY(%(export_ids)s))
RETURNING d.message_id;

-- purge_threads --
UPDATE alert_messages SET root_id = NULL WHERE root_id = ANY(%(message_ids)s::uuid[]);

-- purge_alert_messages --
DELETE FROM alert_messages m
WHERE m.message_id = ANY(%(message_ids)s::uuid[])
  AND NOT EXISTS (SELECT FROM alert_deliveries d WHERE d.message_id = m.message_id);

-- purge_group_keys --
UPDATE alert_messages SET group_key = split_part(group_key, '/', 1)
WHERE split_part(group_key, '/', 2) = %(conversation_id)s;

-- purge_alerts --
DELETE FROM alerts
WHERE conversation_id = %(conversation_id)s OR export_id = ANY(%(export_ids)s);

-- purge_resume_points --
-- All of them: another conversation's may mention its names. They are made anew.
DELETE FROM resume_points;

-- purge_silences --
DELETE FROM alert_silences WHERE conversation_id = %(conversation_id)s;

-- alerts_naming --
SELECT alert_id, body, resolution FROM alerts a
WHERE EXISTS (SELECT FROM unnest(%(names)s::text[]) AS n
              WHERE strpos(a.body, n) > 0 OR strpos(coalesce(a.resolution, ''), n) > 0);

-- reword_alert --
UPDATE alerts SET body = %(body)s, resolution = %(resolution)s WHERE alert_id = %(alert_id)s;

-- anomalies_naming --
SELECT anomaly_id, message FROM anomalies a
WHERE EXISTS (SELECT FROM unnest(%(names)s::text[]) AS n WHERE strpos(a.message, n) > 0);

-- reword_anomaly --
UPDATE anomalies SET message = %(message)s WHERE anomaly_id = %(anomaly_id)s;

-- purge_dead_letters --
DELETE FROM dead_letters WHERE export_id = ANY(%(export_ids)s);

-- purge_anomalies --
DELETE FROM anomalies
WHERE conversation_id = %(conversation_id)s OR export_id = ANY(%(export_ids)s);

-- purge_renderings --
DELETE FROM message_renderings r USING messages m
WHERE m.message_id = r.message_id AND m.conversation_id = %(conversation_id)s;

-- purge_foreign_renderings --
UPDATE message_renderings SET export_id = NULL WHERE export_id = ANY(%(export_ids)s);

-- purge_messages --
DELETE FROM messages WHERE conversation_id = %(conversation_id)s;

-- purge_log --
DELETE FROM deduplication_log
WHERE conversation_id = %(conversation_id)s OR export_id = ANY(%(export_ids)s);

-- purge_links --
DELETE FROM export_segments WHERE export_id = ANY(%(export_ids)s);

-- purge_segments --
DELETE FROM segments WHERE conversation_id = %(conversation_id)s;

-- purge_drops --
DELETE FROM drops WHERE export_id = ANY(%(export_ids)s);

-- purge_export_rows --
DELETE FROM exports WHERE export_id = ANY(%(export_ids)s);

-- purge_override --
DELETE FROM overrides WHERE override_id = %(override_id)s;

-- reword_override --
UPDATE overrides SET from_id = %(from_id)s, exports = %(exports)s
WHERE override_id = %(override_id)s;

-- export_of_content --
SELECT export_id FROM exports WHERE sha256 = %(sha256)s;

-- rewritten_holder --
-- The same file without some of what was in it.
UPDATE exports
SET sha256 = %(sha256)s, size_bytes = %(size_bytes)s,
    archive_name = coalesce(%(archive_name)s, archive_name), state = %(state)s,
    metadata = jsonb_set(metadata, '{header,members}', to_jsonb(%(members)s::int))
WHERE export_id = %(export_id)s;

-- move_arrivals --
-- A file that is the same as one that came before: it arrived once more.
UPDATE drops SET export_id = %(into_id)s WHERE export_id = %(export_id)s;

-- move_members --
UPDATE drops SET parent_export_id = %(into_id)s WHERE parent_export_id = %(export_id)s;

-- relocate_members --
UPDATE drops d SET locator = n.locator
FROM unnest(%(drop_ids)s::bigint[], %(locators)s::text[]) AS n (drop_id, locator)
WHERE d.drop_id = n.drop_id;

-- add_purge --
INSERT INTO purges (uuid, digest, reason, made_by, counts)
VALUES (%(uuid)s, %(digest)s, %(reason)s, %(made_by)s, %(counts)s)
RETURNING purge_id;

-- add_purged_contents --
INSERT INTO purged_contents (purge_id, sha256, size_bytes)
SELECT DISTINCT %(purge_id)s::bigint, sha256, size_bytes
FROM unnest(%(sha256s)s::text[], %(sizes)s::bigint[]) AS c (sha256, size_bytes)
ON CONFLICT DO NOTHING;

-- add_purge_folder --
INSERT INTO purge_folders (purge_id, memory_dir, todo)
VALUES (%(purge_id)s, %(memory_dir)s, %(todo)s);

-- replay_purge --
-- As the archive's list has it, after the database was lost.
INSERT INTO purges (uuid, digest, reason, made_by, made_at, counts)
VALUES (%(uuid)s, %(digest)s, %(reason)s, %(made_by)s, %(made_at)s, %(counts)s)
ON CONFLICT (uuid) DO NOTHING
RETURNING purge_id;

-- unfinished_purges --
SELECT p.purge_id, p.uuid, p.digest, p.reason, p.made_by, p.made_at, p.counts, f.memory_dir, f.todo
FROM purge_folders f JOIN purges p USING (purge_id)
WHERE f.finished_at IS NULL AND (%(memory_dir)s::text IS NULL OR f.memory_dir = %(memory_dir)s)
ORDER BY p.purge_id;

-- contents_of_purge --
-- What was dropped again since is a new decision.
SELECT c.sha256, c.size_bytes,
       EXISTS (SELECT FROM exports e WHERE e.sha256 = c.sha256 AND e.state = 'ingested')
FROM purged_contents c
WHERE c.purge_id = %(purge_id)s
ORDER BY c.sha256;

-- forget_purged_names --
UPDATE purge_folders SET todo = NULL
WHERE purge_id = %(purge_id)s AND memory_dir = %(memory_dir)s;

-- finish_purge --
UPDATE purge_folders SET finished_at = CURRENT_TIMESTAMP
WHERE purge_id = %(purge_id)s AND memory_dir = %(memory_dir)s;

-- purged_contents --
SELECT c.sha256 FROM purged_contents c
WHERE NOT EXISTS (SELECT FROM exports e WHERE e.sha256 = c.sha256 AND e.state = 'ingested');

-- is_purged --
SELECT EXISTS (SELECT FROM purged_contents WHERE sha256 = %(sha256)s);

-- purges --
SELECT purge_id, uuid, digest, reason, made_by, made_at, counts FROM purges ORDER BY purge_id;

-- vacuum_purged --
-- The planner's statistics have the most frequent values: they are made anew as well.
VACUUM (ANALYZE) messages, message_renderings, segments, exports, drops, export_segments,
       deduplication_log, conversations, conversation_aliases, watermarks, anomalies, alerts,
       alert_messages, alert_deliveries, alert_silences, dead_letters, overrides, purge_folders,
       message_search, resume_points, search_queue;

-- rewrite_purged --
-- Last the statistics, whose rows of before have values, too; who may not is warned, no more.
VACUUM (FULL, ANALYZE) messages, message_renderings, segments, exports, drops, export_segments,
       deduplication_log, conversations, conversation_aliases, watermarks, anomalies, alerts,
       alert_messages, alert_deliveries, alert_silences, dead_letters, overrides, purge_folders,
       message_search, resume_points, search_queue, pg_catalog.pg_statistic;
