DROP TABLE alert_silences, alert_channels, alert_deliveries, alert_messages;
DROP INDEX uk_alerts_open, idx_alerts_untold, idx_alerts_open;
ALTER TABLE alerts
    DROP CONSTRAINT chk_alerts_state, DROP CONSTRAINT chk_alerts_untold,
    DROP COLUMN kind, DROP COLUMN memory_dir, DROP COLUMN details, DROP COLUMN occurrences,
    DROP COLUMN last_seen_at, DROP COLUMN untold, DROP COLUMN tell_at,
    DROP COLUMN acknowledged_at, DROP COLUMN acknowledged_by, DROP COLUMN resolved_at,
    DROP COLUMN resolution;
