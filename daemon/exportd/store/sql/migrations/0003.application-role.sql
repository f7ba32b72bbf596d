-- The role that the daemon works as: it may not delete or empty what is stored. Where the
-- migrating role may not create roles, and nobody did, exportd works without, and says so.
-- Roles are the server's: all databases of exportd on one server share this one.

DO $$
BEGIN
    IF to_regrole('exportd_app') IS NULL THEN
        CREATE ROLE exportd_app NOLOGIN;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
        EXECUTE format('GRANT exportd_app TO %I', session_user);
    END IF;
EXCEPTION
    -- The last two: another database of this server does the same at this moment.
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END
$$;
