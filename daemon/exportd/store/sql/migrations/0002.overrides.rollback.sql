DROP TABLE overrides;

ALTER TABLE conversation_aliases DROP COLUMN former;
