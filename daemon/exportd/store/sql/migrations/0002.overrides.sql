-- What people decide about sessions; every row stays, an undone one with the time.

CREATE TABLE overrides (
    override_id BIGSERIAL PRIMARY KEY,
    uuid UUID NOT NULL,
    operation VARCHAR(20) NOT NULL,
    from_id VARCHAR(255) NOT NULL,
    into_id VARCHAR(255) NOT NULL,
    exports JSONB,
    made_by TEXT NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    undone_at TIMESTAMPTZ,
    written_at TIMESTAMPTZ,

    CONSTRAINT uk_overrides_uuid UNIQUE (uuid),
    CONSTRAINT chk_overrides_operation CHECK (operation IN ('rename', 'merge', 'split')),
    CONSTRAINT chk_overrides_ids CHECK (from_id <> into_id)
);

CREATE UNIQUE INDEX uk_overrides_from ON overrides (from_id)
    WHERE undone_at IS NULL AND operation <> 'split';

-- An export is looked for by every name it was dropped under.
DROP INDEX idx_exports_name;
CREATE INDEX idx_drops_name ON drops (regexp_replace(original_name, '\s', '', 'g'));

ALTER TABLE conversation_aliases ADD COLUMN former BOOLEAN DEFAULT FALSE NOT NULL;

COMMENT ON COLUMN conversation_aliases.former IS 'An id it once had, that nothing stored suggests today';
COMMENT ON TABLE overrides IS 'What people decided about sessions: renamed, merged, split';
COMMENT ON COLUMN overrides.exports IS 'split: the exports it names by SHA-256, each with its explicit_id before';
COMMENT ON COLUMN overrides.written_at IS 'When the archive''s manifest had it in its present state';
