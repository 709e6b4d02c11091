-- Several control planes share these tables. Each says now and then that it is alive; a node is connected if its row says so and
-- the control plane that wrote it is alive.
CREATE TABLE control_plane (
    control_plane_id text        PRIMARY KEY,
    seen_at          timestamptz NOT NULL
);
ALTER TABLE fleet_node
    ADD COLUMN owner    text        NOT NULL DEFAULT '',
    ADD COLUMN saved_at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX fleet_node_saved_at ON fleet_node (saved_at);
