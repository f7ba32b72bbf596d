-- From where a stored export is read on when it comes again and has grown. A row holds as long
-- as nothing changes up to its message; whoever writes there takes it away.
CREATE TABLE resume_points (
    export_id BIGINT PRIMARY KEY REFERENCES exports (export_id) ON DELETE CASCADE,
    segment_id BIGINT REFERENCES segments (segment_id) ON DELETE CASCADE,
    head VARCHAR(64) NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    offset_bytes BIGINT NOT NULL,
    messages INTEGER,
    facts JSONB
);

CREATE INDEX idx_resume_points_head ON resume_points (head, size_bytes DESC);
CREATE INDEX idx_resume_points_sha256 ON resume_points (sha256);
CREATE INDEX idx_resume_points_segment ON resume_points (segment_id, messages);

COMMENT ON TABLE resume_points IS 'From where an export is read on when it has grown: derived, may be emptied';
COMMENT ON COLUMN resume_points.export_id IS 'The export that proves it';
COMMENT ON COLUMN resume_points.segment_id IS 'Where its messages stand, from the first one on; NULL for a file that is read in parts';
COMMENT ON COLUMN resume_points.head IS 'SHA-256 of the first 4,096 bytes of the file, hex';
COMMENT ON COLUMN resume_points.size_bytes IS 'So many first bytes must be the same';
COMMENT ON COLUMN resume_points.sha256 IS 'SHA-256 of these, hex';
COMMENT ON COLUMN resume_points.offset_bytes IS 'Where the anchor, or the last part, begins that reading goes on with';
COMMENT ON COLUMN resume_points.messages IS 'Messages before that anchor, in the file and in the segment';
COMMENT ON COLUMN resume_points.facts IS 'What was read before: header, flags, lineage, counts; no text';

ALTER TABLE export_segments ADD COLUMN last_message_id BIGINT;

COMMENT ON COLUMN export_segments.last_message_id IS
    'Of a part of a long export, its last message: the next part stands behind it';
