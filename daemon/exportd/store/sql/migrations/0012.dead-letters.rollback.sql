DROP INDEX idx_dead_letters_open_name;
DROP INDEX idx_dead_letters_export;
DROP INDEX idx_dead_letters_folder;
ALTER TABLE dead_letters
    DROP COLUMN memory_dir, DROP COLUMN settled_at, DROP COLUMN settlement,
    DROP COLUMN settled_by;
