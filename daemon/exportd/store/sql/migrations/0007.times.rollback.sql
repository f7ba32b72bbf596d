DROP INDEX idx_messages_occurred_at;
