-- A dead letter is settled when its file was ingested after all, put back, or given up.
ALTER TABLE dead_letters
    ADD COLUMN memory_dir TEXT,
    ADD COLUMN settled_at TIMESTAMPTZ,
    ADD COLUMN settlement VARCHAR(20),
    ADD COLUMN settled_by TEXT,
    ADD CONSTRAINT chk_dead_letters_settlement
        CHECK (settlement IN ('ingested', 'retried', 'replaced', 'forgotten'));

UPDATE dead_letters l SET memory_dir = coalesce(
    (SELECT d.memory_dir FROM drops d WHERE d.claim_id = l.claim_id),
    (SELECT min(d.memory_dir) FROM drops d WHERE d.export_id = l.export_id));

CREATE INDEX idx_dead_letters_folder ON dead_letters (memory_dir, failed_name);
CREATE INDEX idx_dead_letters_export ON dead_letters (export_id);
CREATE INDEX idx_dead_letters_open_name ON dead_letters (memory_dir, original_name)
    WHERE settled_at IS NULL;

COMMENT ON COLUMN dead_letters.memory_dir IS 'The memory folder whose exports-failed/ has it';
COMMENT ON COLUMN dead_letters.settled_at IS 'When nothing more was to be done about it';
COMMENT ON COLUMN dead_letters.settlement IS
    'ingested, retried (put back), replaced (a later one has its name) or forgotten';
COMMENT ON COLUMN dead_letters.settled_by IS 'The person who put it back or gave it up';
