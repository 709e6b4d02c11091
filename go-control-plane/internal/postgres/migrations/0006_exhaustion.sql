-- Promotions that booking has brought to their budget and that are not marked yet: few, and for a short time.
CREATE INDEX promotion_due ON promotion (promotion_id) WHERE spent_minor >= budget_minor AND NOT exhausted;
