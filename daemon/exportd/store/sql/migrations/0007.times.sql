-- A part of a long session is placed by when it was said, without the rest being read.
CREATE INDEX idx_messages_occurred_at ON messages (conversation_id, occurred_at)
    WHERE source_id IS NOT NULL;
