//! The vectors that every language runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use pricing::{
    Discount, Instant, Item, Promotion, PromotionTerms, QuoteError, Request, Snapshot, TaxRule, money, quote,
};
use serde_json::{Value, json};

fn cases(folder: &str) -> Vec<(PathBuf, Value)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap().join("../../../protos/testdata").join(folder);
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            cases.extend(file["cases"].as_array().unwrap().iter().map(|case| (path.clone(), case.clone())));
        }
    }
    assert!(!cases.is_empty(), "no vectors in {}", folder.display());
    cases
}

fn int(value: &Value) -> i64 {
    match value {
        Value::Null => 0,
        Value::String(text) => text.parse().unwrap(),
        number => number.as_i64().unwrap(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings(value: &Value) -> Vec<String> {
    list(value).iter().map(|value| text(value).to_owned()).collect()
}

fn instant(value: &Value) -> Option<Instant> {
    let at: prost_types::Timestamp = value.as_str()?.parse().unwrap();
    Some(Instant { seconds: at.seconds, nanos: at.nanos })
}

fn snapshot(catalog: &Value) -> Snapshot {
    let mut edit = Snapshot::default().edit();
    for item in list(&catalog["items"]) {
        let price = &item["unitPrice"];
        let (sku, category) = (text(&item["sku"]), text(&item["taxCategory"]));
        edit.put_item(Item::new(sku, text(&price["currencyCode"]), int(&price["minorUnits"]), category).unwrap());
    }
    for rule in list(&catalog["taxRules"]) {
        let (jurisdiction, category) = (text(&rule["jurisdiction"]), text(&rule["category"]));
        edit.put_tax_rule(TaxRule::new(jurisdiction, category, int(&rule["ratePpm"])).unwrap());
    }
    for promotion in list(&catalog["promotions"]) {
        let discount = match (&promotion["percentOffPpm"], &promotion["amountOffMinor"]) {
            (Value::Null, amount) => Discount::AmountOffMinor(int(amount)),
            (percent, _) => Discount::PercentOffPpm(int(percent)),
        };
        let terms = PromotionTerms {
            promotion_id: text(&promotion["promotionId"]),
            created_version: 0,
            discount: Some(discount),
            skus: &strings(&promotion["skus"]),
            coupon: text(&promotion["coupon"]),
            min_quantity: int(&promotion["minQuantity"]),
            starts_at: instant(&promotion["startsAt"]),
            ends_at: instant(&promotion["endsAt"]),
            currency: text(&promotion["budget"]["currencyCode"]),
            budget_minor: int(&promotion["budget"]["minorUnits"]),
            exhausted: promotion["exhausted"].as_bool().unwrap_or(false),
        };
        edit.put_promotion(Promotion::new(&terms).unwrap());
    }
    edit.finish(1)
}

/// As `response` or `error` of a vector, with every field.
fn answer(case: &Value) -> Value {
    let snapshot = snapshot(&case["catalog"]);
    let request = &case["request"];
    let lines = list(&request["lines"]);
    let coupons = strings(&request["coupons"]);
    let asked = Request {
        currency_code: text(&request["currencyCode"]),
        jurisdiction: text(&request["jurisdiction"]),
        lines: lines.iter().map(|line| (text(&line["sku"]), int(&line["quantity"]))),
        coupons: &coupons,
    };
    match quote(&snapshot, asked, instant(&case["now"]).expect("now")) {
        Err(error) => error_json(&error),
        Ok(quote) => {
            let priced: Vec<Value> = lines
                .iter()
                .zip(&quote.lines)
                .map(|(asked, line)| {
                    full_line(&json!({
                        "sku": asked["sku"], "quantity": int(&asked["quantity"]),
                        "unitPriceMinor": line.unit_price_minor, "discountMinor": line.discount_minor,
                        "netMinor": line.net_minor, "taxMinor": line.tax_minor, "grossMinor": line.gross_minor,
                        "taxRatePpm": line.tax_rate_ppm, "promotionId": line.promotion_id.unwrap_or(""),
                    }))
                })
                .collect();
            json!({
                "currencyCode": request["currencyCode"], "jurisdiction": request["jurisdiction"], "lines": priced,
                "discountMinor": quote.totals.discount_minor, "netMinor": quote.totals.net_minor,
                "taxMinor": quote.totals.tax_minor, "grossMinor": quote.totals.gross_minor,
            })
        }
    }
}

fn error_json(error: &QuoteError) -> Value {
    json!({"code": error.code().name(), "reason": error.reason(), "field": error.field()})
}

fn full_line(line: &Value) -> Value {
    let mut full = json!({"sku": text(&line["sku"]), "promotionId": text(&line["promotionId"])});
    for field in ["quantity", "unitPriceMinor", "discountMinor", "netMinor", "taxMinor", "grossMinor", "taxRatePpm"] {
        full[field] = int(&line[field]).into();
    }
    full
}

fn expected(case: &Value) -> Value {
    if let Some(error) = case.get("error") {
        return json!({"code": error["code"], "reason": error["reason"], "field": text(&error["field"])});
    }
    let response = &case["response"];
    let mut full = json!({
        "currencyCode": response["currencyCode"], "jurisdiction": response["jurisdiction"],
        "lines": list(&response["lines"]).iter().map(full_line).collect::<Vec<_>>(),
    });
    for field in ["discountMinor", "netMinor", "taxMinor", "grossMinor"] {
        full[field] = int(&response[field]).into();
    }
    full
}

#[test]
fn pricing_vectors() {
    for (path, case) in cases("pricing") {
        assert_eq!(answer(&case), expected(&case), "{}: {}", path.display(), case["name"]);
    }
}

#[test]
fn money_vectors() {
    for (path, case) in cases("money") {
        let result = money::share(int(&case["amount"]), int(&case["ratePpm"]));
        let expected = (case.get("overflow") != Some(&Value::Bool(true))).then(|| int(&case["result"]));
        assert_eq!(result, expected, "{}: {case}", path.display());
    }
}
