-- A promotion that is created under the id of a deleted one is another promotion. Its created_version tells the two apart; usage
-- that does not carry one is told by the time of its window, where the change log still has the one that was deleted.
ALTER TABLE promotion
    ADD COLUMN created_version bigint      NOT NULL DEFAULT 0,
    ADD COLUMN created_at      timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX catalog_change_deleted ON catalog_change (kind, name) WHERE deleted;
UPDATE promotion p SET
    created_version = coalesce(c.version, p.version),
    created_at = coalesce(c.committed_at, '-infinity')
FROM promotion q LEFT JOIN LATERAL (SELECT version, committed_at FROM catalog_change
    WHERE kind = 'promotion' AND name = q.promotion_id AND previous_version IS NULL AND NOT deleted ORDER BY version DESC LIMIT 1) c ON true
WHERE p.promotion_id = q.promotion_id;
ALTER TABLE ledger_entry ADD COLUMN promotion_created_version bigint NOT NULL DEFAULT 0;
