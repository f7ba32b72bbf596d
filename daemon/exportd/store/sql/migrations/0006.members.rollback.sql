DROP INDEX idx_messages_source_id;
ALTER TABLE drops DROP COLUMN parent_export_id, DROP COLUMN locator;
