-- What is searched stands beside the messages, so that storing them is not slowed down by it,
-- and is filled behind the commit from a queue of what is new.

-- English word stems without a list of stop words: in code, "not" and "if" are words like others.
CREATE TEXT SEARCH DICTIONARY exportd_english (TEMPLATE = snowball, LANGUAGE = english);
CREATE TEXT SEARCH CONFIGURATION exportd_english (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION exportd_english
    ALTER MAPPING FOR asciiword WITH exportd_english;

CREATE TABLE message_search (
    message_id BIGINT PRIMARY KEY REFERENCES messages (message_id) ON DELETE CASCADE,
    vector TSVECTOR NOT NULL,
    is_partial BOOLEAN DEFAULT FALSE NOT NULL
);

CREATE INDEX idx_message_search_vector ON message_search USING GIN (vector);
CREATE INDEX idx_message_search_partial ON message_search (message_id) WHERE is_partial;

CREATE TABLE search_queue (
    queue_id BIGSERIAL PRIMARY KEY,
    first_id BIGINT NOT NULL,
    last_id BIGINT NOT NULL,
    messages INTEGER NOT NULL
);

INSERT INTO search_queue (first_id, last_id, messages)
SELECT min(message_id), max(message_id), count(*) FROM messages HAVING count(*) > 0;

COMMENT ON TABLE message_search IS 'The words of each message, for full-text search; made of messages alone';
COMMENT ON COLUMN message_search.vector IS 'Every word with its places, and its English stem without';
COMMENT ON COLUMN message_search.is_partial IS 'The text is too long: only its beginning is here';
COMMENT ON TABLE search_queue IS 'Runs of messages whose words are not in message_search yet, or no longer right';
COMMENT ON COLUMN search_queue.messages IS 'How many messages of the run are meant';
COMMENT ON COLUMN message_search.message_id IS 'The message whose words they are';
COMMENT ON COLUMN search_queue.queue_id IS 'Number of the run; the lower comes first';
COMMENT ON COLUMN search_queue.first_id IS 'The first message of the run, by message_id';
COMMENT ON COLUMN search_queue.last_id IS 'The last message of the run, by message_id';
