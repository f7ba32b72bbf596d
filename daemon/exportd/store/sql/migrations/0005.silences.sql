-- A silence is meant for the alerts of one memory folder; several may share a database.

ALTER TABLE alert_silences ADD COLUMN memory_dir TEXT;

COMMENT ON COLUMN alert_silences.memory_dir IS 'The memory folder it is meant for; NULL: all of them';
