DROP TABLE message_search;
DROP FUNCTION message_words(BIGINT);
DELETE FROM search_queue;

CREATE TABLE message_search (
    message_id BIGINT PRIMARY KEY REFERENCES messages (message_id) ON DELETE CASCADE,
    vector TSVECTOR NOT NULL,
    is_partial BOOLEAN DEFAULT FALSE NOT NULL
);

CREATE INDEX idx_message_search_vector ON message_search USING GIN (vector);
CREATE INDEX idx_message_search_partial ON message_search (message_id) WHERE is_partial;

INSERT INTO search_queue (first_id, last_id, messages)
SELECT min(message_id), max(message_id), count(*) FROM messages HAVING count(*) > 0;
