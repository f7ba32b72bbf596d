DROP INDEX idx_messages_content_hash;
CREATE INDEX idx_messages_content_hash ON messages (conversation_id, content_hash);
