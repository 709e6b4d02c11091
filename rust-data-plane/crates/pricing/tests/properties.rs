//! What holds for every catalog and basket: among it, that the answer is a naive reference's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use pricing::{
    Discount, Instant, Item, MAX_PRICE_MINOR, Promotion, PromotionTerms, QuoteError, Request, Snapshot, TaxRule, quote,
};
use proptest::prelude::*;

const NOW: i64 = 1_000;
const SKUS: [&str; 4] = ["a", "b", "c", "d"];
const CURRENCIES: [&str; 2] = ["EUR", "USD"];
const COUPONS: [&str; 2] = ["X", "Y"];

#[derive(Clone, Debug)]
struct Promo {
    id: String,
    discount: Discount,
    skus: Vec<String>,
    coupon: String,
    min_quantity: i64,
    starts: Option<i64>,
    ends: Option<i64>,
    currency: &'static str,
    exhausted: bool,
}

#[derive(Clone, Debug)]
struct World {
    /// sku → (currency, price, category)
    items: BTreeMap<&'static str, (&'static str, i64, &'static str)>,
    /// category → rate in DE
    rates: BTreeMap<&'static str, i64>,
    promotions: BTreeMap<String, Promo>,
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![0i64..1_000, 0i64..=MAX_PRICE_MINOR, Just(MAX_PRICE_MINOR)]
}

fn promo() -> impl Strategy<Value = Promo> {
    let discount = prop_oneof![
        (1i64..=1_000_000).prop_map(Discount::PercentOffPpm),
        price().prop_map(|amount| Discount::AmountOffMinor(amount.max(1))),
    ];
    let skus = prop::collection::vec(prop::sample::select(&SKUS[..]).prop_map(str::to_owned), 0..3);
    let coupon = prop_oneof![3 => Just(String::new()), 1 => prop::sample::select(&COUPONS[..]).prop_map(str::to_owned)];
    let instant = || prop_oneof![2 => Just(None), 1 => (NOW - 2..NOW + 3).prop_map(Some)];
    (
        "[a-c]{1,2}",
        discount,
        skus,
        coupon,
        0i64..4,
        (instant(), instant()),
        prop::sample::select(&CURRENCIES[..]),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(id, discount, skus, coupon, min_quantity, (starts, ends), currency, exhausted)| Promo {
            id,
            discount,
            skus,
            coupon,
            min_quantity,
            starts,
            ends,
            currency,
            exhausted,
        })
}

fn world() -> impl Strategy<Value = World> {
    let item = (
        prop::sample::select(&SKUS[..]),
        (prop_oneof![9 => Just("EUR"), 1 => Just("USD")], price(), prop_oneof![Just("standard"), Just("reduced")]),
    );
    let rate = (prop_oneof![Just("standard"), Just("reduced")], 0i64..=1_000_000);
    (prop::collection::vec(item, 1..6), prop::collection::vec(rate, 1..4), prop::collection::vec(promo(), 0..6))
        .prop_map(|(items, rates, promotions)| World {
            items: items.into_iter().collect(),
            rates: rates.into_iter().collect(),
            promotions: promotions.into_iter().map(|promo| (promo.id.clone(), promo)).collect(),
        })
}

fn basket() -> impl Strategy<Value = (Vec<(&'static str, i64)>, Vec<&'static str>)> {
    let quantity = prop_oneof![1i64..5, 1i64..=1_000_000, Just(1_000_000)];
    (
        prop::collection::vec((prop::sample::select(&SKUS[..]), quantity), 1..8),
        prop::collection::vec(prop::sample::select(&COUPONS[..]), 0..3),
    )
}

fn at(seconds: i64) -> Instant {
    Instant { seconds, nanos: 0 }
}

/// One that differs between ids.
fn created_version(id: &str) -> i64 {
    id.bytes().map(i64::from).sum::<i64>() + 1
}

fn promotion(promo: &Promo) -> Promotion {
    Promotion::new(&PromotionTerms {
        promotion_id: &promo.id,
        created_version: created_version(&promo.id),
        discount: Some(promo.discount),
        skus: &promo.skus,
        coupon: &promo.coupon,
        min_quantity: promo.min_quantity,
        starts_at: promo.starts.map(at),
        ends_at: promo.ends.map(at),
        currency: promo.currency,
        budget_minor: 1,
        exhausted: promo.exhausted,
    })
    .unwrap()
}

fn snapshot(world: &World) -> Snapshot {
    let mut edit = Snapshot::default().edit();
    for (sku, (currency, price, category)) in &world.items {
        edit.put_item(Item::new(sku, currency, *price, category).unwrap());
    }
    for (category, rate) in &world.rates {
        edit.put_tax_rule(TaxRule::new("DE", category, *rate).unwrap());
    }
    for promo in world.promotions.values() {
        edit.put_promotion(promotion(promo));
    }
    edit.finish(7)
}

/// (discount, net, tax, gross, promotion) of each line and their sums, in i128; or the reason of the error.
type Answer = Result<(Vec<(i128, i128, i128, i128, String)>, [i128; 4]), &'static str>;

fn round_ppm(amount: i128, ppm: i128) -> i128 {
    let (quotient, rest) = (amount * ppm / 1_000_000, amount * ppm % 1_000_000);
    if rest * 2 >= 1_000_000 { quotient + 1 } else { quotient }
}

fn reference(world: &World, basket: &[(&str, i64)], coupons: &[&str]) -> Answer {
    let mut lines = Vec::new();
    for &(sku, quantity) in basket {
        let (currency, price, category) = world.items.get(sku).ok_or("SKU_UNKNOWN")?;
        if *currency != "EUR" {
            return Err("CURRENCY_MISMATCH");
        }
        let rate = *world.rates.get(category).ok_or("TAX_RULE_UNKNOWN")?;
        let list = i128::from(*price) * i128::from(quantity);
        let mut offers: Vec<(i128, &str)> = world
            .promotions
            .values()
            .filter(|p| !p.exhausted && p.currency == "EUR" && quantity >= p.min_quantity.max(1))
            .filter(|p| p.starts.is_none_or(|s| s <= NOW) && p.ends.is_none_or(|e| NOW < e))
            .filter(|p| p.skus.is_empty() || p.skus.iter().any(|s| s == sku))
            .filter(|p| p.coupon.is_empty() || coupons.contains(&p.coupon.as_str()))
            .map(|p| match p.discount {
                Discount::PercentOffPpm(ppm) => (round_ppm(list, i128::from(ppm)), p.id.as_str()),
                Discount::AmountOffMinor(amount) => {
                    (list.min(i128::from(amount) * i128::from(quantity)), p.id.as_str())
                }
            })
            .filter(|(discount, _)| *discount > 0)
            .collect();
        offers.sort_by(|(one, id), (other, other_id)| other.cmp(one).then(id.cmp(other_id)));
        let (discount, id) = offers.first().copied().unwrap_or((0, ""));
        let net = list - discount;
        let tax = round_ppm(net, i128::from(rate));
        lines.push((discount, net, tax, net + tax, id.to_owned()));
    }
    let sums = lines.iter().fold([0; 4], |sums, (discount, net, tax, gross, _)| {
        [sums[0] + discount, sums[1] + net, sums[2] + tax, sums[3] + gross]
    });
    if sums.iter().any(|&sum| i64::try_from(sum).is_err()) { Err("AMOUNT_OVERFLOW") } else { Ok((lines, sums)) }
}

fn price_with(snapshot: &Snapshot, basket: &[(&str, i64)], coupons: &[&str]) -> Answer {
    let request = Request { currency_code: "EUR", jurisdiction: "DE", lines: basket.iter().copied(), coupons };
    let quote = quote(snapshot, request, at(NOW)).map_err(|error: QuoteError| error.reason())?;
    assert_eq!(quote.snapshot_version, snapshot.version());
    let lines = quote.lines.iter().map(|line| {
        assert_eq!(line.promotion_created_version, line.promotion_id.map_or(0, created_version));
        let [discount, net, tax, gross] =
            [line.discount_minor, line.net_minor, line.tax_minor, line.gross_minor].map(i128::from);
        (discount, net, tax, gross, line.promotion_id.unwrap_or("").to_owned())
    });
    let totals = &quote.totals;
    let sums = [totals.discount_minor, totals.net_minor, totals.tax_minor, totals.gross_minor].map(i128::from);
    Ok((lines.collect(), sums))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn answers_as_the_reference((world, (basket, coupons)) in (world(), basket())) {
        prop_assert_eq!(price_with(&snapshot(&world), &basket, &coupons), reference(&world, &basket, &coupons));
    }

    #[test]
    fn a_changed_snapshot_answers_as_one_made_anew(
        (before, after, (basket, coupons)) in (world(), world(), basket())
    ) {
        let mut edit = snapshot(&before).edit();
        for sku in before.items.keys().filter(|sku| !after.items.contains_key(*sku)) {
            edit.remove_item(sku);
        }
        for category in before.rates.keys().filter(|category| !after.rates.contains_key(*category)) {
            edit.remove_tax_rule("DE", category);
        }
        for id in before.promotions.keys().filter(|id| !after.promotions.contains_key(*id)) {
            edit.remove_promotion(id);
        }
        for (sku, (currency, price, category)) in &after.items {
            edit.put_item(Item::new(sku, currency, *price, category).unwrap());
        }
        for (category, rate) in &after.rates {
            edit.put_tax_rule(TaxRule::new("DE", category, *rate).unwrap());
        }
        for promo in after.promotions.values() {
            edit.put_promotion(promotion(promo));
        }
        let changed = edit.finish(8);
        prop_assert_eq!(changed.items(), after.items.len());
        prop_assert_eq!(changed.promotions(), after.promotions.len());
        prop_assert_eq!(price_with(&changed, &basket, &coupons), reference(&after, &basket, &coupons));
    }

    #[test]
    fn an_edit_leaves_its_origin_alone((world, (basket, coupons)) in (world(), basket())) {
        let origin = snapshot(&world);
        let before = price_with(&origin, &basket, &coupons);
        let mut edit = origin.edit();
        SKUS.iter().for_each(|sku| edit.remove_item(sku));
        edit.finish(8);
        prop_assert_eq!(price_with(&origin, &basket, &coupons), before);
    }

    #[test]
    fn nothing_panics(
        world in world(),
        currency in ".{0,4}",
        jurisdiction in ".{0,20}",
        basket in prop::collection::vec((".{0,70}", any::<i64>()), 0..210),
        coupons in prop::collection::vec(".{0,70}", 0..20),
    ) {
        let lines = basket.iter().map(|(sku, quantity)| (sku.as_str(), *quantity));
        let request =
            Request { currency_code: &currency, jurisdiction: &jurisdiction, lines, coupons: &coupons };
        let _ = quote(&snapshot(&world), request, at(NOW));
    }
}
