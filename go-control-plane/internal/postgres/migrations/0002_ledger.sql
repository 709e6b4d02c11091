-- One row for each record of usage that was booked. Its key is where the record stands in Kafka, so none is booked twice.
CREATE TABLE usage_record (
    topic           text        NOT NULL,
    kafka_partition int         NOT NULL,
    kafka_offset    bigint      NOT NULL,
    window_start    timestamptz NOT NULL,
    window_end      timestamptz NOT NULL,
    currency_code   text        NOT NULL,
    jurisdiction    text        NOT NULL,
    quotes          bigint      NOT NULL,
    booked_at       timestamptz NOT NULL,
    PRIMARY KEY (topic, kafka_partition, kafka_offset)
);

CREATE TABLE ledger_entry (
    entry_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic           text        NOT NULL,
    kafka_partition int         NOT NULL,
    kafka_offset    bigint      NOT NULL,
    window_start    timestamptz NOT NULL,
    window_end      timestamptz NOT NULL,
    currency_code   text        NOT NULL,
    jurisdiction    text        NOT NULL,
    sku             text        NOT NULL,
    promotion_id    text        NOT NULL,
    lines           bigint      NOT NULL,
    quantity        bigint      NOT NULL,
    discount_minor  bigint      NOT NULL,
    net_minor       bigint      NOT NULL,
    tax_minor       bigint      NOT NULL,
    gross_minor     bigint      NOT NULL,
    booked_at       timestamptz NOT NULL,
    FOREIGN KEY (topic, kafka_partition, kafka_offset) REFERENCES usage_record ON UPDATE CASCADE
);
CREATE INDEX ledger_entry_record ON ledger_entry (topic, kafka_partition, kafka_offset);

-- Where consumption goes on. It moves in the transaction that books, so an effect and its offset are one.
CREATE TABLE consumer_offset (
    topic           text   NOT NULL,
    kafka_partition int    NOT NULL,
    next_offset     bigint NOT NULL,
    PRIMARY KEY (topic, kafka_partition)
);
