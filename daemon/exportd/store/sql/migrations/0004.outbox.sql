-- Alerts have a life, and are delivered: alerts is the outbox, alert_deliveries says on which
-- channel each is told, alert_messages is what is sent.

ALTER TABLE alerts
    ADD COLUMN kind VARCHAR(50),
    ADD COLUMN memory_dir TEXT,
    ADD COLUMN details JSONB,
    ADD COLUMN occurrences INTEGER DEFAULT 1 NOT NULL,
    ADD COLUMN last_seen_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    ADD COLUMN untold VARCHAR(20),
    ADD COLUMN tell_at TIMESTAMPTZ,
    ADD COLUMN acknowledged_at TIMESTAMPTZ,
    ADD COLUMN acknowledged_by TEXT,
    ADD COLUMN resolved_at TIMESTAMPTZ,
    ADD COLUMN resolution TEXT;

UPDATE alerts SET kind = replace(title, ' ', '_');

-- What was recorded before there were channels is known from the status log.
UPDATE alerts SET state = 'resolved', resolved_at = CURRENT_TIMESTAMP,
                  resolution = 'recorded before alerts were sent'
WHERE state <> 'resolved';

ALTER TABLE alerts
    ALTER COLUMN kind SET NOT NULL,
    ADD CONSTRAINT chk_alerts_state CHECK (state IN ('firing', 'acknowledged', 'resolved')),
    ADD CONSTRAINT chk_alerts_untold CHECK (untold IN ('firing', 'resolved'));

CREATE UNIQUE INDEX uk_alerts_open ON alerts (fingerprint) WHERE state <> 'resolved';
CREATE INDEX idx_alerts_untold ON alerts (alert_id) WHERE untold IS NOT NULL;
CREATE INDEX idx_alerts_open ON alerts (kind, conversation_id) WHERE state <> 'resolved';

COMMENT ON COLUMN alerts.occurrences IS 'How often it was seen while it was open';
COMMENT ON COLUMN alerts.untold IS 'What the relay has yet to route: that it fires, or that it is over';
COMMENT ON COLUMN alerts.tell_at IS 'Held until then: silenced, or explained by another alert';
COMMENT ON COLUMN alerts.resolution IS 'Why it is over';

-- One attempt to reach people: a message on a channel, made of one or more deliveries.
CREATE TABLE alert_messages (
    message_id UUID PRIMARY KEY,
    memory_dir TEXT NOT NULL,
    channel VARCHAR(20) NOT NULL,
    group_key TEXT NOT NULL,
    root_id UUID REFERENCES alert_messages (message_id),
    state VARCHAR(20) DEFAULT 'waiting' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    unclear_attempts INTEGER DEFAULT 0 NOT NULL,
    due_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    lease_until TIMESTAMPTZ,
    reference JSONB,
    error TEXT,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,
    sent_at TIMESTAMPTZ,

    CONSTRAINT chk_alert_messages_state
        CHECK (state IN ('waiting', 'sending', 'sent', 'given_up'))
);

CREATE INDEX idx_alert_messages_due ON alert_messages (channel, due_at)
    WHERE state IN ('waiting', 'sending');
CREATE INDEX idx_alert_messages_created ON alert_messages (memory_dir, channel, created_at DESC);

COMMENT ON TABLE alert_messages IS 'Messages to people, one per channel and group of alerts';
COMMENT ON COLUMN alert_messages.root_id IS 'The message in whose thread it stands';
COMMENT ON COLUMN alert_messages.unclear_attempts IS 'Attempts of which nobody knows whether they arrived';
COMMENT ON COLUMN alert_messages.reference IS 'What the channel calls it: a Slack timestamp, a Message-ID';

CREATE TABLE alert_deliveries (
    delivery_id BIGSERIAL PRIMARY KEY,
    alert_id BIGINT NOT NULL REFERENCES alerts (alert_id),
    channel VARCHAR(20) NOT NULL,
    event VARCHAR(20) NOT NULL,
    state VARCHAR(20) DEFAULT 'waiting' NOT NULL,
    message_id UUID REFERENCES alert_messages (message_id),
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    CONSTRAINT chk_alert_deliveries_event
        CHECK (event IN ('firing', 'resolved', 'reminder', 'escalated')),
    CONSTRAINT chk_alert_deliveries_state
        CHECK (state IN ('waiting', 'assigned', 'sent', 'told_elsewhere', 'refused'))
);

CREATE INDEX idx_alert_deliveries_alert ON alert_deliveries (alert_id);
CREATE INDEX idx_alert_deliveries_waiting ON alert_deliveries (channel) WHERE state = 'waiting';
CREATE INDEX idx_alert_deliveries_message ON alert_deliveries (message_id);

COMMENT ON TABLE alert_deliveries IS 'What each channel is told of each alert';
COMMENT ON COLUMN alert_deliveries.state IS 'told_elsewhere: the channel cannot, another one carries it; refused: it would not take this message';

CREATE TABLE alert_channels (
    memory_dir TEXT NOT NULL,
    channel VARCHAR(20) NOT NULL,
    parked_until TIMESTAMPTZ,
    reason TEXT,

    PRIMARY KEY (memory_dir, channel)
);

COMMENT ON TABLE alert_channels IS 'Channels that refused: nothing is sent there until then';

CREATE TABLE alert_silences (
    silence_id BIGSERIAL PRIMARY KEY,
    kind VARCHAR(50),
    conversation_id VARCHAR(255),
    until TIMESTAMPTZ NOT NULL,
    comment TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP NOT NULL,

    CONSTRAINT chk_alert_silences_something CHECK (kind IS NOT NULL OR conversation_id IS NOT NULL)
);

COMMENT ON TABLE alert_silences IS 'Alerts of a kind, or of a conversation, that nobody wants to hear of until then';
