CREATE TABLE fleet_node (
    node_id           text COLLATE "C" PRIMARY KEY,
    software_version  text        NOT NULL,
    connected         boolean     NOT NULL,
    connected_at      timestamptz NOT NULL,
    last_heartbeat_at timestamptz NOT NULL,
    offered_version   bigint      NOT NULL,
    applied_version   bigint      NOT NULL,
    applied_at        timestamptz
);

-- What each node rejects at present.
CREATE TABLE fleet_reject (
    node_id text COLLATE "C" NOT NULL REFERENCES fleet_node ON DELETE CASCADE,
    kind    text   NOT NULL,
    name    text   NOT NULL,
    version bigint NOT NULL,
    field   text   NOT NULL,
    code    text   NOT NULL,
    message text   NOT NULL,
    PRIMARY KEY (node_id, kind, name)
);
