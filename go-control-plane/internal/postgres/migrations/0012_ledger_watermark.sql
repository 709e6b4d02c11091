-- All quotes whose events Kafka had at this time are booked. Until the ledger has been compared with Kafka for the first time there is
-- nothing that it could have missed.
CREATE TABLE ledger_watermark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    booked_until timestamptz NOT NULL
);
INSERT INTO ledger_watermark (booked_until) VALUES (now());
