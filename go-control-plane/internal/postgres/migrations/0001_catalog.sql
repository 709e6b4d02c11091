-- One row: the version of the newest committed write. Every write updates it first, so writes happen one after the other and
-- versions are in commit order. Version 1 is the empty catalog.
CREATE TABLE catalog_version (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    version    bigint      NOT NULL,
    changed_at timestamptz NOT NULL
);
INSERT INTO catalog_version (version, changed_at) VALUES (1, clock_timestamp());

CREATE TABLE item (
    sku              text COLLATE "C" PRIMARY KEY,
    name             text        NOT NULL,
    currency_code    text        NOT NULL,
    unit_price_minor bigint      NOT NULL CHECK (unit_price_minor >= 0),
    tax_category     text        NOT NULL,
    version          bigint      NOT NULL,
    updated_at       timestamptz NOT NULL
);

CREATE TABLE tax_rule (
    jurisdiction text        NOT NULL,
    category     text        NOT NULL,
    name         text COLLATE "C" GENERATED ALWAYS AS (jurisdiction || '/' || category) STORED PRIMARY KEY,
    rate_ppm     bigint      NOT NULL CHECK (rate_ppm BETWEEN 0 AND 1000000),
    version      bigint      NOT NULL,
    updated_at   timestamptz NOT NULL
);

CREATE TABLE promotion (
    promotion_id     text COLLATE "C" PRIMARY KEY,
    name             text        NOT NULL,
    percent_off_ppm  bigint      NOT NULL,
    amount_off_minor bigint      NOT NULL,
    skus             text[]      NOT NULL,
    coupon           text        NOT NULL,
    min_quantity     bigint      NOT NULL,
    starts_at        timestamptz,
    ends_at          timestamptz,
    budget_currency  text        NOT NULL,
    budget_minor     bigint      NOT NULL CHECK (budget_minor >= 0),
    spent_minor      bigint      NOT NULL DEFAULT 0,
    exhausted        boolean     NOT NULL DEFAULT false,
    version          bigint      NOT NULL,
    updated_at       timestamptz NOT NULL,
    CHECK ((percent_off_ppm > 0) <> (amount_off_minor > 0))
);

-- What changed at each version. A deleted resource leaves its row here as a tombstone. previous_version lets a reader go
-- back from the state of today to that of any version in the log.
CREATE TABLE catalog_change (
    version          bigint      NOT NULL,
    kind             text        NOT NULL,
    name             text        NOT NULL,
    previous_version bigint,
    deleted          boolean     NOT NULL,
    committed_at     timestamptz NOT NULL,
    PRIMARY KEY (version, kind, name)
);

-- First answers to creates with a request id. Rows come only from creates that succeeded.
CREATE TABLE idempotency_key (
    request_id   uuid        PRIMARY KEY,
    content_hash bytea       NOT NULL,
    result       jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_key_created_at ON idempotency_key (created_at);

-- Records for Kafka, written in the transaction that causes them. Ids are taken under the lock of catalog_version, so they
-- are in commit order.
CREATE TABLE outbox (
    outbox_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text        NOT NULL,
    key          bytea       NOT NULL,
    value        bytea,
    headers      jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (outbox_id) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
