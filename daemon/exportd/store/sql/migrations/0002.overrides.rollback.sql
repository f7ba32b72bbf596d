DROP TABLE overrides;

DROP INDEX idx_drops_name;
CREATE INDEX idx_exports_name ON exports (regexp_replace(name, '\s', '', 'g'));

ALTER TABLE conversation_aliases DROP COLUMN former;
