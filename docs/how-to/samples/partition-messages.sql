-- Splits messages into 16 partitions by the hash of their conversation. To be run once, as the
-- owner of the tables, while no exportd works: psql -1 -v ON_ERROR_STOP=1 -f THIS_FILE
-- What is stored moves into the partitions, and needs its room once more meanwhile.

ALTER TABLE message_renderings DROP CONSTRAINT message_renderings_message_id_fkey;
ALTER TABLE message_search DROP CONSTRAINT message_search_message_id_fkey;
ALTER TABLE messages RENAME TO messages_before;

CREATE TABLE messages (LIKE messages_before INCLUDING ALL EXCLUDING INDEXES)
PARTITION BY HASH (conversation_id);

DO $$
BEGIN
    FOR n IN 0..15 LOOP
        EXECUTE format('CREATE TABLE messages_%s PARTITION OF messages '
                       'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', n, n);
    END LOOP;
END
$$;

INSERT INTO messages SELECT * FROM messages_before ORDER BY conversation_id, message_index;
ALTER SEQUENCE messages_message_id_seq OWNED BY messages.message_id;
DROP TABLE messages_before;

-- A key of a partitioned table contains the column that it is partitioned by.
ALTER TABLE messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (message_id, conversation_id),
    ADD CONSTRAINT uk_conversation_message_index UNIQUE (conversation_id, message_index)
        DEFERRABLE INITIALLY IMMEDIATE,
    ADD CONSTRAINT messages_conversation_id_fkey FOREIGN KEY (conversation_id)
        REFERENCES conversations (conversation_id) ON UPDATE CASCADE;
CREATE INDEX idx_messages_content_hash ON messages USING HASH (content_hash);
CREATE INDEX idx_messages_created_at ON messages (created_at DESC);
CREATE INDEX idx_messages_source_id ON messages (conversation_id, source_id)
    WHERE source_id IS NOT NULL;
CREATE INDEX idx_messages_occurred_at ON messages (conversation_id, occurred_at)
    WHERE source_id IS NOT NULL;

-- In place of the foreign keys of message_search. A message that moves to another partition is
-- deleted in its old one, and is still there.
CREATE FUNCTION forget_message_words() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_search s
    WHERE s.message_id = OLD.message_id
      AND NOT EXISTS (SELECT FROM messages m WHERE m.message_id = OLD.message_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_message_words AFTER DELETE ON messages
FOR EACH ROW EXECUTE FUNCTION forget_message_words();

DO $$
BEGIN
    IF to_regrole('exportd_app') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE ON messages TO exportd_app;
    END IF;
END
$$;
ANALYZE messages;
