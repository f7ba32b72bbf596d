-- Full-text search: the queue, the index, and what is asked of it. Parameters are %(name)s.

-- queue_new --
-- In the transaction that stores them. COPY numbers its rows in their order: what others store
-- meanwhile may lie between them, and has its own entry.
INSERT INTO search_queue (first_id, last_id, messages)
SELECT min(message_id), max(message_id), %(messages)s FROM messages
WHERE (conversation_id, message_index)
   IN ((%(first_conversation_id)s, %(first)s), (%(last_conversation_id)s, %(last)s));

-- queue_changed --
INSERT INTO search_queue (first_id, last_id, messages)
SELECT message_id, message_id, 1 FROM unnest(%(message_ids)s::bigint[]) AS message_id;

-- queue_all --
INSERT INTO search_queue (first_id, last_id, messages)
SELECT min(message_id), max(message_id), count(*) FROM messages HAVING count(*) > 0;

-- clear_search --
TRUNCATE message_search, search_queue;

-- search_lag --
SELECT coalesce(sum(messages), 0)::bigint FROM search_queue;

-- partly_indexed --
SELECT count(*) FROM message_search WHERE is_partial;

-- indexing_lock --
-- Of two that index, one could write what the other has read before it changed.
SELECT pg_try_advisory_xact_lock(hashtext('exportd search'));

-- indexing_turn --
-- As above, for whoever cannot go without.
SELECT pg_advisory_xact_lock(hashtext('exportd search'));

-- index_politely --
-- Whoever moves or deletes messages at this moment goes first, well before the server looks
-- for a deadlock; words too long to be indexed are no news.
SELECT set_config('lock_timeout', '200ms', TRUE),
       set_config('client_min_messages', 'warning', TRUE);

-- queued --
SELECT queue_id, messages FROM search_queue ORDER BY queue_id LIMIT %(most)s;

-- queued_messages --
SELECT q.queue_id, m.message_id, m.size_bytes
FROM search_queue q
CROSS JOIN LATERAL (
    SELECT message_id, octet_length(content) AS size_bytes FROM messages
    WHERE message_id BETWEEN q.first_id AND q.last_id
    ORDER BY message_id LIMIT %(most)s
) AS m
WHERE q.queue_id = ANY(%(queue_ids)s::bigint[])
ORDER BY q.queue_id, m.message_id;

-- index_messages --
-- Punctuation is blanked, or the parser would take a path, an address or a tag for one word.
-- A vector holds a megabyte, which is never reached by so many bytes of text: of n bytes, words
-- of three letters give the most, 2.75 n. The offset keeps the text from being made twice.
INSERT INTO message_search (message_id, vector, is_partial)
SELECT t.message_id,
       to_tsvector('simple', t.words) || strip(to_tsvector('exportd_english', t.words)),
       t.is_partial
FROM (
    SELECT m.message_id,
           translate(
               CASE WHEN octet_length(m.content) <= %(most_bytes)s THEN m.content
                    ELSE left(m.content,
                              greatest(%(most_bytes)s - (octet_length(m.content)
                                                         - length(m.content)),
                                       %(most_bytes)s / 4)) END,
               %(marks)s, %(blanks)s) AS words,
           octet_length(m.content) > %(most_bytes)s AS is_partial
    FROM messages m
    WHERE m.message_id = ANY(%(message_ids)s::bigint[])
    OFFSET 0
) AS t
ON CONFLICT (message_id) DO UPDATE
SET vector = excluded.vector, is_partial = excluded.is_partial
WHERE (message_search.vector, message_search.is_partial)
      IS DISTINCT FROM (excluded.vector, excluded.is_partial);

-- forget_queued --
DELETE FROM search_queue WHERE queue_id = ANY(%(queue_ids)s::bigint[]);

-- shorten_queued --
UPDATE search_queue
SET first_id = %(first_id)s, messages = greatest(messages - %(done)s, 1)
WHERE queue_id = %(queue_id)s;

-- unsearchable --
-- Messages that are neither in the index nor waiting for it.
SELECT count(*) FROM messages m
WHERE NOT EXISTS (SELECT FROM message_search s WHERE s.message_id = m.message_id)
  AND NOT EXISTS (SELECT FROM search_queue q
                  WHERE m.message_id BETWEEN q.first_id AND q.last_id);

-- stems --
SELECT word, (ts_lexize('exportd_english', word))[1]
FROM unnest(%(words)s::text[]) AS word;

-- is_searchable --
-- Whether anything of a query is a word to the parser.
SELECT numnode(to_tsquery('simple', %(query)s)) > 0;

-- search_words --
WITH found AS (
    SELECT m.message_id, coalesce(m.occurred_at, m.created_at) AS said_at,
           CASE WHEN %(newest)s THEN 0 ELSE ts_rank(s.vector, q.query, 1) END AS rank,
           count(*) OVER () AS total
    FROM to_tsquery('simple', %(query)s) AS q (query), message_search s
    JOIN messages m USING (message_id)
    WHERE s.vector @@ q.query
      AND (%(conversation_ids)s::text[] IS NULL
           OR m.conversation_id = ANY(%(conversation_ids)s::text[]))
      AND (%(roles)s::text[] IS NULL OR m.role = ANY(%(roles)s::text[]))
      AND (%(kinds)s::text[] IS NULL OR m.kind = ANY(%(kinds)s::text[]))
      AND (%(tools)s::text[] IS NULL OR lower(m.metadata ->> 'tool') = ANY(%(tools)s::text[]))
      AND (%(since)s::timestamptz IS NULL OR coalesce(m.occurred_at, m.created_at) >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR coalesce(m.occurred_at, m.created_at) < %(until)s)
    ORDER BY rank DESC, said_at DESC, message_id DESC
    LIMIT %(limit)s
)
SELECT f.total, m.conversation_id, m.message_index, m.role, m.kind, m.metadata ->> 'tool',
       m.occurred_at, m.created_at, left(m.content, %(most_bytes)s)
FROM found f JOIN messages m USING (message_id)
ORDER BY f.rank DESC, f.said_at DESC, f.message_id DESC;

-- search_literal --
WITH found AS (
    SELECT m.message_id, coalesce(m.occurred_at, m.created_at) AS said_at,
           count(*) OVER () AS total
    FROM messages m
    WHERE m.content ILIKE %(pattern)s
      AND (%(conversation_ids)s::text[] IS NULL
           OR m.conversation_id = ANY(%(conversation_ids)s::text[]))
      AND (%(roles)s::text[] IS NULL OR m.role = ANY(%(roles)s::text[]))
      AND (%(kinds)s::text[] IS NULL OR m.kind = ANY(%(kinds)s::text[]))
      AND (%(tools)s::text[] IS NULL OR lower(m.metadata ->> 'tool') = ANY(%(tools)s::text[]))
      AND (%(since)s::timestamptz IS NULL OR coalesce(m.occurred_at, m.created_at) >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR coalesce(m.occurred_at, m.created_at) < %(until)s)
    ORDER BY said_at DESC, message_id DESC
    LIMIT %(limit)s
)
SELECT f.total, m.conversation_id, m.message_index, m.role, m.kind, m.metadata ->> 'tool',
       m.occurred_at, m.created_at,
       substring(m.content
                 FROM greatest(strpos(lower(m.content), lower(%(text)s)) - 1000, 1)
                 FOR length(%(text)s) + 2000)
FROM found f JOIN messages m USING (message_id)
ORDER BY f.said_at DESC, f.message_id DESC;
