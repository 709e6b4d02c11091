-- Which timeline of the store the catalog is on. A restored dump, a promoted replica and a recovery to a point in time each
-- have another identity, also if the row itself says otherwise. The function is called with the tables' own search_path.
CREATE FUNCTION catalog_timeline() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()),
        CASE WHEN pg_is_in_recovery() THEN 'recovery' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'catalog_version'::regclass::oid)
$$;

-- An epoch is what was written on one timeline. It begins at a version above all that may have been lost, so that a version
-- never means two states.
ALTER TABLE catalog_version
    ADD COLUMN timeline      text        NOT NULL DEFAULT catalog_timeline(),
    ADD COLUMN epoch_version bigint      NOT NULL DEFAULT 1,
    ADD COLUMN epoch_at      timestamptz NOT NULL DEFAULT clock_timestamp();
UPDATE catalog_version SET epoch_at = changed_at WHERE version = 1;
