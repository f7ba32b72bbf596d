-- The schema of DESIGN 5: the four tables of the specification keep their names and
-- columns, so that its eight common queries run unchanged.

CREATE TABLE conversations (
    conversation_id VARCHAR(255) PRIMARY KEY,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    last_updated TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    total_messages INTEGER DEFAULT 0 NOT NULL,
    metadata JSONB,

    CONSTRAINT chk_total_messages_positive CHECK (total_messages >= 0)
);

CREATE INDEX idx_conversations_last_updated ON conversations (last_updated DESC);
CREATE INDEX idx_conversations_metadata ON conversations USING GIN (metadata);

COMMENT ON TABLE conversations IS 'Metadata for each conversation (session)';
COMMENT ON COLUMN conversations.conversation_id IS 'Unique identifier for conversation (e.g., rollout-master)';
COMMENT ON COLUMN conversations.created_at IS 'Time when conversation first seen';
COMMENT ON COLUMN conversations.last_updated IS 'Time of last export that changed it';
COMMENT ON COLUMN conversations.total_messages IS 'Cached count of total unique messages';
COMMENT ON COLUMN conversations.metadata IS 'Why this id (reason, confidence), title, working directory';

-- One row per distinct content.
CREATE TABLE exports (
    export_id BIGSERIAL PRIMARY KEY,
    sha256 VARCHAR(64) NOT NULL,
    size_bytes BIGINT NOT NULL,
    name TEXT NOT NULL,
    modified_at TIMESTAMPTZ NOT NULL,
    state VARCHAR(20) DEFAULT 'claimed' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    format VARCHAR(50),
    parser_version INTEGER,
    message_count INTEGER,
    explicit_id TEXT,
    archive_name TEXT,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    ingested_at TIMESTAMPTZ,
    archived_at TIMESTAMPTZ,
    metadata JSONB,

    CONSTRAINT uk_exports_sha256 UNIQUE (sha256),
    CONSTRAINT chk_exports_state CHECK (state IN ('claimed', 'ingested', 'dead_letter')),
    CONSTRAINT chk_exports_size_positive CHECK (size_bytes >= 0)
);

-- Lines "Conversation exported to: NAME" wrap anywhere, so NAME is compared without spaces.
CREATE INDEX idx_exports_name ON exports (regexp_replace(name, '\s', '', 'g'));

CREATE INDEX idx_exports_lineage ON exports USING GIN ((metadata -> 'lineage'));

COMMENT ON TABLE exports IS 'One row per distinct raw content, by SHA-256 of its bytes';
COMMENT ON COLUMN exports.name IS 'Name of the first drop; what UTF-8 cannot hold stands escaped';
COMMENT ON COLUMN exports.attempts IS 'Committed before parsing: content that kills the process is found';
COMMENT ON COLUMN exports.explicit_id IS 'Conversation that a person gave for it';
COMMENT ON COLUMN exports.archive_name IS 'Name under exports-archive/';

-- One row per arrival.
CREATE TABLE drops (
    drop_id BIGSERIAL PRIMARY KEY,
    claim_id UUID NOT NULL,
    export_id BIGINT REFERENCES exports (export_id),
    original_name TEXT NOT NULL,
    memory_dir TEXT NOT NULL,
    outcome VARCHAR(20),
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    told_at TIMESTAMPTZ,

    CONSTRAINT uk_drops_claim_id UNIQUE (claim_id)
);

CREATE INDEX idx_drops_export ON drops (export_id);
CREATE INDEX idx_drops_untold ON drops (memory_dir) WHERE told_at IS NULL;

COMMENT ON TABLE drops IS 'One row per arrival of a file in the drop folder';
COMMENT ON COLUMN drops.outcome IS 'ingested, duplicate_file, unchanged or dead_letter; NULL while on its way';
COMMENT ON COLUMN drops.told_at IS 'When session file and status log had been written';

-- An unbroken run of a conversation; a compaction starts a new one.
CREATE TABLE segments (
    segment_id BIGSERIAL PRIMARY KEY,
    conversation_id VARCHAR(255) NOT NULL
        REFERENCES conversations (conversation_id) ON UPDATE CASCADE,
    ordinal INTEGER NOT NULL,
    first_index INTEGER NOT NULL,
    message_count INTEGER DEFAULT 0 NOT NULL,
    head_hash VARCHAR(64),
    starts_compacted BOOLEAN DEFAULT FALSE NOT NULL,
    format VARCHAR(50) NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    CONSTRAINT uk_segments_ordinal UNIQUE (conversation_id, ordinal)
        DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX idx_segments_head_hash ON segments (head_hash);

COMMENT ON TABLE segments IS 'An unbroken run of a conversation; compaction starts a new one';
COMMENT ON COLUMN segments.ordinal IS 'Place in the conversation, from 0';
COMMENT ON COLUMN segments.first_index IS 'message_index of its first message';
COMMENT ON COLUMN segments.head_hash IS 'content_hash of its first anchor: how re-exports find it';

CREATE TABLE messages (
    message_id BIGSERIAL PRIMARY KEY,
    conversation_id VARCHAR(255) NOT NULL
        REFERENCES conversations (conversation_id) ON UPDATE CASCADE,
    message_index INTEGER NOT NULL,
    content_hash VARCHAR(64) NOT NULL,
    role VARCHAR(50),
    content TEXT NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    metadata JSONB,
    segment_id BIGINT NOT NULL,
    kind VARCHAR(20) NOT NULL,
    source_id TEXT,
    source_index INTEGER,
    occurred_at TIMESTAMPTZ,
    in_flight BOOLEAN DEFAULT FALSE NOT NULL,

    -- Deferrable, so that messages can be renumbered in one statement when a late
    -- export fills the middle. Its index serves the lookup by conversation and index.
    CONSTRAINT uk_conversation_message_index UNIQUE (conversation_id, message_index)
        DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT chk_message_index_positive CHECK (message_index >= 0)
);

CREATE INDEX idx_messages_content_hash ON messages (conversation_id, content_hash);
CREATE INDEX idx_messages_created_at ON messages (created_at DESC);

COMMENT ON TABLE messages IS 'Append-only log of all unique messages';
COMMENT ON COLUMN messages.message_id IS 'Auto-incrementing unique message ID';
COMMENT ON COLUMN messages.conversation_id IS 'Foreign key to conversations table';
COMMENT ON COLUMN messages.message_index IS 'Place in the conversation, dense from 0';
COMMENT ON COLUMN messages.content_hash IS 'SHA-256 over role, NUL and the text in NFC without whitespace, hex';
COMMENT ON COLUMN messages.role IS 'user, assistant, tool or system';
COMMENT ON COLUMN messages.content IS 'Text; NUL and lone surrogates stand as ␛ and four hex digits';
COMMENT ON COLUMN messages.created_at IS 'Time when message added to database';
COMMENT ON COLUMN messages.metadata IS 'Everything else the format carries (tool, input, model, tokens)';
COMMENT ON COLUMN messages.source_index IS 'Native index of the format, may have gaps';
COMMENT ON COLUMN messages.in_flight IS 'Result was still running when last exported';

-- Other renderings of a stored message; the richest one is its content.
CREATE TABLE message_renderings (
    message_id BIGINT NOT NULL REFERENCES messages (message_id),
    content_hash VARCHAR(64) NOT NULL,
    content TEXT NOT NULL,
    export_id BIGINT REFERENCES exports (export_id),
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    PRIMARY KEY (message_id, content_hash)
);

COMMENT ON TABLE message_renderings IS 'Other texts seen at the place of a message (changed directory, width, client)';
COMMENT ON COLUMN message_renderings.export_id IS 'Export that showed it; NULL when it was the content before';

-- Which run of a segment an export showed: never one row per message.
CREATE TABLE export_segments (
    export_id BIGINT NOT NULL REFERENCES exports (export_id),
    segment_id BIGINT NOT NULL REFERENCES segments (segment_id),
    first_index INTEGER NOT NULL,
    message_count INTEGER NOT NULL,

    PRIMARY KEY (export_id, segment_id)
);

CREATE INDEX idx_export_segments_segment ON export_segments (segment_id);

COMMENT ON TABLE export_segments IS 'Which run of messages an export showed';
COMMENT ON COLUMN export_segments.first_index IS 'Place in the segment, from 0, of the first message shown';

CREATE TABLE watermarks (
    conversation_id VARCHAR(255) PRIMARY KEY
        REFERENCES conversations (conversation_id) ON DELETE CASCADE ON UPDATE CASCADE,
    highest_index INTEGER NOT NULL,
    last_updated TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    CONSTRAINT chk_highest_index_positive CHECK (highest_index >= -1)
);

COMMENT ON TABLE watermarks IS 'Highest processed message index per conversation';
COMMENT ON COLUMN watermarks.highest_index IS 'Highest message index stored (-1 = none yet)';

CREATE TABLE deduplication_log (
    log_id BIGSERIAL PRIMARY KEY,
    conversation_id VARCHAR(255) NOT NULL
        REFERENCES conversations (conversation_id) ON DELETE CASCADE ON UPDATE CASCADE,
    operation VARCHAR(50) NOT NULL,
    messages_processed INTEGER NOT NULL,
    duplicates_filtered INTEGER NOT NULL,
    storage_savings_pct DECIMAL(5,2),
    processing_time_ms INTEGER,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    metadata JSONB,
    export_id BIGINT REFERENCES exports (export_id),
    segment_id BIGINT,

    CONSTRAINT chk_messages_processed_positive CHECK (messages_processed >= 0),
    CONSTRAINT chk_duplicates_filtered_positive CHECK (duplicates_filtered >= 0),
    CONSTRAINT chk_processing_time_positive CHECK (processing_time_ms >= 0)
);

CREATE INDEX idx_deduplication_log_conversation
    ON deduplication_log (conversation_id, created_at DESC);
CREATE INDEX idx_deduplication_log_created_at ON deduplication_log (created_at DESC);
CREATE INDEX idx_deduplication_log_operation ON deduplication_log (operation);

COMMENT ON TABLE deduplication_log IS 'One row per distinct export: what it showed and what of it was known';
COMMENT ON COLUMN deduplication_log.operation IS 'Operation type: process_export';
COMMENT ON COLUMN deduplication_log.messages_processed IS 'Messages in the export';
COMMENT ON COLUMN deduplication_log.duplicates_filtered IS 'Messages of the export that were stored before';
COMMENT ON COLUMN deduplication_log.storage_savings_pct IS 'Share of the message bytes that were stored before';

-- Other names under which a conversation was seen, and its former ids.
CREATE TABLE conversation_aliases (
    alias VARCHAR(255) NOT NULL,
    conversation_id VARCHAR(255) NOT NULL
        REFERENCES conversations (conversation_id) ON DELETE CASCADE ON UPDATE CASCADE,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    PRIMARY KEY (alias, conversation_id)
);

CREATE TABLE anomalies (
    anomaly_id BIGSERIAL PRIMARY KEY,
    conversation_id VARCHAR(255)
        REFERENCES conversations (conversation_id) ON DELETE CASCADE ON UPDATE CASCADE,
    export_id BIGINT REFERENCES exports (export_id),
    segment_id BIGINT,
    kind VARCHAR(50) NOT NULL,
    severity VARCHAR(10) NOT NULL,
    message TEXT NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    metadata JSONB,

    CONSTRAINT chk_anomalies_severity CHECK (severity IN ('info', 'warning', 'critical'))
);

CREATE INDEX idx_anomalies_conversation ON anomalies (conversation_id, created_at DESC);

COMMENT ON TABLE anomalies IS 'What was odd about an export or a conversation, in words';

CREATE TABLE dead_letters (
    dead_letter_id BIGSERIAL PRIMARY KEY,
    export_id BIGINT REFERENCES exports (export_id),
    claim_id UUID NOT NULL,
    original_name TEXT NOT NULL,
    failed_name TEXT,
    reason TEXT NOT NULL,
    error_class VARCHAR(100) NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    CONSTRAINT uk_dead_letters_claim_id UNIQUE (claim_id)
);

COMMENT ON TABLE dead_letters IS 'Files that could not be ingested, with the reason';
COMMENT ON COLUMN dead_letters.failed_name IS 'Name under exports-failed/';

-- The outbox: written in the transaction of what it tells about.
CREATE TABLE alerts (
    alert_id BIGSERIAL PRIMARY KEY,
    fingerprint VARCHAR(64) NOT NULL,
    severity VARCHAR(10) NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    conversation_id VARCHAR(255),
    export_id BIGINT REFERENCES exports (export_id),
    state VARCHAR(20) DEFAULT 'firing' NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    CONSTRAINT chk_alerts_severity CHECK (severity IN ('info', 'warning', 'critical'))
);

CREATE INDEX idx_alerts_fingerprint ON alerts (fingerprint, created_at DESC);

COMMENT ON TABLE alerts IS 'What people are to be told: anomalies and dead letters of warning and above';
