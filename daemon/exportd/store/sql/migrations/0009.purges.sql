-- What people had removed for good, by exportd purge: when, by whom, why, how much. Not what.

CREATE TABLE purges (
    purge_id BIGSERIAL PRIMARY KEY,
    uuid UUID NOT NULL,
    digest VARCHAR(64) NOT NULL,
    reason TEXT,
    made_by TEXT NOT NULL,
    made_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    counts JSONB NOT NULL,

    CONSTRAINT uk_purges_uuid UNIQUE (uuid)
);

CREATE TABLE purged_contents (
    purge_id BIGINT NOT NULL REFERENCES purges (purge_id),
    sha256 VARCHAR(64) NOT NULL,
    size_bytes BIGINT NOT NULL,

    PRIMARY KEY (sha256, purge_id)
);

-- The files of a memory folder go after the commit; a kill in between is made up for.
CREATE TABLE purge_folders (
    purge_id BIGINT NOT NULL REFERENCES purges (purge_id),
    memory_dir TEXT NOT NULL,
    todo JSONB,
    finished_at TIMESTAMPTZ,

    PRIMARY KEY (purge_id, memory_dir)
);

COMMENT ON TABLE purges IS 'Conversations that were purged; the rows stay';
COMMENT ON COLUMN purges.digest IS 'SHA-256 of uuid, NUL and the id, hex: who knows the id can find it';
COMMENT ON TABLE purged_contents IS 'The files that went, by SHA-256: a rebuild does not bring them back';
COMMENT ON TABLE purge_folders IS 'In which memory folders a purge is finished';
COMMENT ON COLUMN purge_folders.todo IS 'Names to be struck from files; NULL when that is done';
COMMENT ON COLUMN purges.purge_id IS 'Number of the purge';
COMMENT ON COLUMN purges.uuid IS 'Identifier of the purge, the same in the manifest of the archive';
COMMENT ON COLUMN purges.reason IS 'Why, in the words of who asked for it';
COMMENT ON COLUMN purges.made_by IS 'The user who gave the command';
COMMENT ON COLUMN purges.made_at IS 'Time when the messages went';
COMMENT ON COLUMN purges.counts IS 'How many rows went, by table';
COMMENT ON COLUMN purged_contents.purge_id IS 'The purge that it went with';
COMMENT ON COLUMN purged_contents.sha256 IS 'SHA-256 of the raw bytes, hex';
COMMENT ON COLUMN purged_contents.size_bytes IS 'How many bytes it had';
COMMENT ON COLUMN purge_folders.purge_id IS 'The purge';
COMMENT ON COLUMN purge_folders.memory_dir IS 'The memory folder whose files it concerns';
COMMENT ON COLUMN purge_folders.finished_at IS 'When nothing was left to do there; NULL: not yet';
