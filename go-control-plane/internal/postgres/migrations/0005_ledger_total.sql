-- The sums over all that is booked, kept by each booking. They are exact: a sum of int64 need not fit int64.
CREATE TABLE ledger_total (
    currency_code  text COLLATE "C" NOT NULL,
    jurisdiction   text COLLATE "C" NOT NULL,
    quotes         numeric NOT NULL,
    discount_minor numeric NOT NULL,
    net_minor      numeric NOT NULL,
    tax_minor      numeric NOT NULL,
    gross_minor    numeric NOT NULL,
    PRIMARY KEY (currency_code, jurisdiction)
);
INSERT INTO ledger_total
SELECT q.currency_code, q.jurisdiction, q.quotes, coalesce(e.discount, 0), coalesce(e.net, 0), coalesce(e.tax, 0), coalesce(e.gross, 0)
FROM (SELECT currency_code, jurisdiction, sum(quotes) AS quotes FROM usage_record GROUP BY 1, 2) q
LEFT JOIN (SELECT currency_code, jurisdiction, sum(discount_minor) AS discount, sum(net_minor) AS net,
                  sum(tax_minor) AS tax, sum(gross_minor) AS gross FROM ledger_entry GROUP BY 1, 2) e
USING (currency_code, jurisdiction);
