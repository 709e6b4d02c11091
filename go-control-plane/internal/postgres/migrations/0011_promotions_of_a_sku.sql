-- How many promotions a sku has, and how many are for all skus, is limited: see catalog.MaxPromotionsOfSKU.
CREATE INDEX promotion_skus ON promotion USING gin (skus);
CREATE INDEX promotion_for_all_skus ON promotion (promotion_id) WHERE skus = '{}';
