-- Exports inside a file: members of an archive, conversations of an account export.
ALTER TABLE drops ADD COLUMN parent_export_id BIGINT REFERENCES exports (export_id),
                  ADD COLUMN locator TEXT;

CREATE INDEX idx_drops_parent ON drops (parent_export_id) WHERE parent_export_id IS NOT NULL;
CREATE INDEX idx_messages_source_id ON messages (conversation_id, source_id)
    WHERE source_id IS NOT NULL;

COMMENT ON COLUMN drops.parent_export_id IS 'The file that this export came in; NULL for a file of its own';
COMMENT ON COLUMN drops.locator IS 'Where in that file it lies';
COMMENT ON COLUMN messages.source_id IS 'Native id of the format';
