-- The words of a message are in the search index alone: no
-- table holds them a second time, with their places, which took more room than the text.

DROP TABLE message_search;
DELETE FROM search_queue;

CREATE TABLE message_search (
    message_id BIGINT PRIMARY KEY REFERENCES messages (message_id) ON DELETE CASCADE,
    is_partial BOOLEAN DEFAULT FALSE NOT NULL
);

-- ASCII's punctuation is blanked, or the parser would take a path, an address or a tag for one
-- word. (translate() does the same and takes four times as long.)
-- A vector holds a megabyte, which is never reached by so many bytes of text: of n bytes, words
-- of three letters give the most, 2.75 n.
-- "Immutable" holds as long as every new text of a message gets a new row in message_search:
-- an index entry belongs to its row, and is never looked up by the words of before.
CREATE FUNCTION message_words(of_id BIGINT) RETURNS TSVECTOR
LANGUAGE plpgsql IMMUTABLE STRICT COST 5000 SET search_path FROM CURRENT
AS $$
DECLARE
    words TEXT;
BEGIN
    SELECT regexp_replace(
               CASE WHEN octet_length(content) <= 350000 THEN content
                    ELSE left(content,
                              greatest(350000 - (octet_length(content) - length(content)),
                                       350000 / 4)) END,
               '[!-/:-@\[-`{-~]+', ' ', 'g')
    INTO words FROM messages WHERE message_id = of_id;
    RETURN to_tsvector('simple', words) || strip(to_tsvector('exportd_english', words));
END
$$;

-- What waits to be sorted in stays small: its room is never given back.
CREATE INDEX idx_message_search_words ON message_search USING GIN (message_words(message_id))
    WITH (gin_pending_list_limit = 1024);
-- Nothing is gained by the server's making vectors of 30,000 messages to learn about the words.
ALTER INDEX idx_message_search_words ALTER COLUMN 1 SET STATISTICS 0;
CREATE INDEX idx_message_search_partial ON message_search (message_id) WHERE is_partial;

INSERT INTO search_queue (first_id, last_id, messages)
SELECT min(message_id), max(message_id), count(*) FROM messages HAVING count(*) > 0;

COMMENT ON TABLE message_search IS 'Messages whose words are in the index for full-text search; made of messages alone';
COMMENT ON COLUMN message_search.message_id IS 'The message whose words are in the index';
COMMENT ON COLUMN message_search.is_partial IS 'The text is too long: only its beginning is in the index';
COMMENT ON FUNCTION message_words IS 'Every word of a message with its places, and its English stem without';
