ALTER TABLE export_segments DROP COLUMN last_message_id;
DROP TABLE resume_points;
