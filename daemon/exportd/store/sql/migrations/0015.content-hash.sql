-- Whether a conversation holds a content is read from its messages, found by the index of the
-- conversation: a thousand take a millisecond. This one took as much room as the text's words,
-- was written with every message, and nothing of exportd's asks for it.
DROP INDEX idx_messages_content_hash;
