ALTER TABLE alert_silences DROP COLUMN memory_dir;
