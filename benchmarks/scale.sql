-- What benchmarks.scale asks of the database.

-- : fill --
SET session_replication_role = replica;
SET synchronous_commit = off;
CREATE TEMP TABLE said AS
SELECT n, (SELECT string_agg((ARRAY['oven', 'flour', 'dough', 'bake', 'shelf', 'price', 'crumb',
                                    'tray', 'yeast', 'salt', 'src/part/file.py', 'the', 'and'])
                             [1 + (random() * 12 + 0 * n * k)::int], ' ')
           FROM generate_series(1, 18 + n %% 22) k) || ' ' || md5(n::text) AS text
FROM generate_series(0, 4095) n;
CREATE INDEX ON said (n);
ANALYZE said;
INSERT INTO conversations (conversation_id, total_messages)
SELECT 'c' || n, 500 FROM generate_series(0, %(messages)s * 9 / 10 / 500 - 1) n
UNION ALL SELECT 'large', %(messages)s / 10;
INSERT INTO watermarks (conversation_id, highest_index)
SELECT conversation_id, total_messages - 1 FROM conversations;
INSERT INTO exports (sha256, size_bytes, name, modified_at, state, format, parser_version,
                     message_count, archive_name, ingested_at, archived_at)
SELECT encode(sha256(conversation_id::bytea), 'hex'), 500 * total_messages,
       '2026-01-01-EXPORT-' || conversation_id || '.txt', now(), 'ingested', 'claude-code-text', 99,
       total_messages, '2026-01-01-EXPORT-' || conversation_id || '.txt', now(), now()
FROM conversations;
INSERT INTO segments (conversation_id, ordinal, first_index, message_count, head_hash, format)
SELECT conversation_id, 0, 0, total_messages, encode(sha256(conversation_id::bytea), 'hex'),
       'claude-code-text'
FROM conversations;
INSERT INTO export_segments (export_id, segment_id, first_index, message_count)
SELECT e.export_id, s.segment_id, 0, s.message_count
FROM segments s JOIN exports e ON e.sha256 = s.head_hash;
INSERT INTO drops (claim_id, export_id, original_name, memory_dir, outcome, told_at)
SELECT gen_random_uuid(), export_id, name, '/elsewhere', 'ingested', now() FROM exports;
INSERT INTO deduplication_log (conversation_id, operation, messages_processed,
                               duplicates_filtered, storage_savings_pct, processing_time_ms,
                               export_id, segment_id)
SELECT s.conversation_id, 'process_export', s.message_count, 0, 0, 100, x.export_id, s.segment_id
FROM segments s JOIN export_segments x USING (segment_id);
INSERT INTO messages (conversation_id, message_index, content_hash, role, content, metadata,
                      segment_id, kind)
SELECT s.conversation_id, i, encode(sha256((s.segment_id || '.' || i)::bytea), 'hex'),
       CASE i %% 3 WHEN 0 THEN 'user' WHEN 1 THEN 'assistant' ELSE 'tool' END,
       a.text || ' ' || b.text || ' ' || c.text || ' message' || i, '{}', s.segment_id, 'text'
FROM segments s
CROSS JOIN LATERAL generate_series(0, s.message_count - 1) i
JOIN said a ON a.n = (i * 7 + s.segment_id) %% 4096
JOIN said b ON b.n = (i * 13 + s.segment_id * 5) %% 4096
JOIN said c ON c.n = (i * 31 + s.segment_id * 11) %% 4096;
RESET session_replication_role;

-- : vacuum --
VACUUM (ANALYZE);

-- : checkpoint --
CHECKPOINT;

-- : searchable --
INSERT INTO search_queue (first_id, last_id, messages)
SELECT max(message_id) - %(messages)s, max(message_id), %(messages)s FROM messages;

-- : disk --
SELECT c.relname,
       round(pg_relation_size(c.oid)::numeric
             / (SELECT sum(octet_length(content)) FROM messages), 3)
FROM pg_class c JOIN pg_class t ON t.relname = 'messages' AND t.relkind IN ('r', 'p')
LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.oid = t.oid OR i.indrelid = t.oid OR c.oid = t.reltoastrelid
ORDER BY 2 DESC;

-- : query watermark --
SELECT highest_index FROM watermarks WHERE conversation_id = %(conversation_id)s

-- : query all messages of a conversation --
SELECT message_index, role, content, created_at FROM messages
WHERE conversation_id = %(conversation_id)s ORDER BY message_index ASC

-- : query message by index --
SELECT EXISTS (SELECT 1 FROM messages
               WHERE conversation_id = %(conversation_id)s AND message_index = 25)

-- : query message by content hash --
SELECT EXISTS (SELECT 1 FROM messages
               WHERE conversation_id = %(conversation_id)s AND content_hash =
                   'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')

-- : query deduplication statistics --
SELECT conversation_id, SUM(messages_processed), SUM(duplicates_filtered),
       AVG(storage_savings_pct), AVG(processing_time_ms)
FROM deduplication_log GROUP BY conversation_id

-- : query latest messages --
SELECT message_index, role, content, created_at FROM messages
WHERE conversation_id = %(conversation_id)s ORDER BY message_index DESC LIMIT 10

-- : query full text --
SELECT message_index, role, content FROM messages
WHERE conversation_id = %(conversation_id)s
  AND to_tsvector('english', content) @@ to_tsquery('english', 'deduplication & storage')

-- : query summary of a conversation --
SELECT c.conversation_id, c.total_messages, c.created_at, c.last_updated, w.highest_index,
       (SELECT COUNT(*) FROM deduplication_log WHERE conversation_id = c.conversation_id)
FROM conversations c LEFT JOIN watermarks w ON c.conversation_id = w.conversation_id
WHERE c.conversation_id = %(conversation_id)s
