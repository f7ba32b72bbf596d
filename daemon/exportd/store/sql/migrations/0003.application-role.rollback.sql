DO $$
BEGIN
    DROP OWNED BY exportd_app;
    DROP ROLE exportd_app;
EXCEPTION
    -- It never was, is not ours, or another database of this server uses it.
    WHEN undefined_object OR insufficient_privilege OR dependent_objects_still_exist THEN NULL;
END
$$;
