//! The sums: every quote is in exactly one record, and no amount is lost or made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::UsageWindow;
use metering::{Quote, WINDOW_SECONDS, Windows};
use proptest::prelude::*;
use prost_types::Timestamp;

/// (window, currency, jurisdiction, sku, promotion, its created version) → lines, quantity, discount, net, tax, gross
type Lines = BTreeMap<(i64, String, String, String, String, i64), [i128; 6]>;
/// (window, currency, jurisdiction) → quotes
type Quotes = BTreeMap<(i64, String, String), i128>;

fn quote() -> impl Strategy<Value = QuoteResponse> {
    let amount = || prop_oneof![4 => 0i64..1_000, 1 => 0i64..=i64::MAX / 4];
    let line = ("[ab]", "[pq]?", 0i64..3, 1i64..1_000_000, amount(), amount(), amount(), amount()).prop_map(
        |(
            sku,
            promotion_id,
            promotion_created_version,
            quantity,
            discount_minor,
            net_minor,
            tax_minor,
            gross_minor,
        )| PricedLine {
            sku,
            promotion_id,
            promotion_created_version,
            quantity,
            discount_minor,
            net_minor,
            tax_minor,
            gross_minor,
            ..Default::default()
        },
    );
    let currency = prop_oneof![Just("EUR"), Just("USD")];
    let jurisdiction = prop_oneof![Just("DE"), Just("FR")];
    (currency, jurisdiction, -25i64..25, 0i32..1_000_000_000, prop::collection::vec(line, 1..4)).prop_map(
        |(currency, jurisdiction, seconds, nanos, lines)| QuoteResponse {
            currency_code: currency.into(),
            jurisdiction: jurisdiction.into(),
            priced_at: Some(Timestamp { seconds, nanos }),
            lines,
            ..Default::default()
        },
    )
}

fn add(sums: &mut [i128; 6], more: [i64; 6]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += i128::from(more);
    }
}

fn of_quotes(quotes: &[QuoteResponse]) -> (Lines, Quotes) {
    let (mut lines, mut counts) = (Lines::new(), Quotes::new());
    for quote in quotes {
        let window = quote.priced_at.unwrap().seconds.div_euclid(WINDOW_SECONDS) * WINDOW_SECONDS;
        let key = (window, quote.currency_code.clone(), quote.jurisdiction.clone());
        *counts.entry(key.clone()).or_default() += 1;
        for l in &quote.lines {
            let (window, currency, jurisdiction) = key.clone();
            let promotion = (l.promotion_id.clone(), l.promotion_created_version);
            let sums =
                lines.entry((window, currency, jurisdiction, l.sku.clone(), promotion.0, promotion.1)).or_default();
            add(sums, [1, l.quantity, l.discount_minor, l.net_minor, l.tax_minor, l.gross_minor]);
        }
    }
    (lines, counts)
}

fn of_records(records: &[UsageWindow]) -> (Lines, Quotes) {
    let (mut lines, mut counts) = (Lines::new(), Quotes::new());
    for record in records {
        let window = record.window_start.unwrap().seconds;
        assert_eq!(record.window_end.unwrap().seconds, window + WINDOW_SECONDS);
        let key = (window, record.currency_code.clone(), record.jurisdiction.clone());
        *counts.entry(key.clone()).or_default() += i128::from(record.quotes);
        let names: Vec<_> =
            record.lines.iter().map(|l| (&l.sku, &l.promotion_id, l.promotion_created_version)).collect();
        assert!(names.is_sorted_by(|one, other| one < other), "{names:?}");
        for l in &record.lines {
            let (window, currency, jurisdiction) = key.clone();
            let promotion = (l.promotion_id.clone(), l.promotion_created_version);
            let sums =
                lines.entry((window, currency, jurisdiction, l.sku.clone(), promotion.0, promotion.1)).or_default();
            add(sums, [l.lines, l.quantity, l.discount_minor, l.net_minor, l.tax_minor, l.gross_minor]);
        }
    }
    (lines, counts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn records_sum_up_to_the_quotes(quotes in prop::collection::vec(quote(), 0..60)) {
        let mut windows = Windows::default();
        let taken: Vec<QuoteResponse> = quotes.into_iter().filter(|quote| windows.add(&Quote::from(quote))).collect();
        let records = windows.take();
        prop_assert_eq!(of_records(&records), of_quotes(&taken));
        prop_assert!(windows.take().is_empty());
    }

    #[test]
    fn only_a_quote_that_does_not_sum_up_itself_is_refused(quote in quote()) {
        let (lines, _) = of_quotes(std::slice::from_ref(&quote));
        let fits = lines.values().flatten().all(|&sum| i64::try_from(sum).is_ok());
        prop_assert_eq!(Windows::default().add(&Quote::from(&quote)), fits);
    }
}

#[test]
fn a_sum_that_would_not_fit_goes_on_in_another_record() {
    let line = PricedLine { sku: "a".into(), quantity: 1, gross_minor: i64::MAX - 1, ..Default::default() };
    let quote = QuoteResponse {
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        priced_at: Some(Timestamp::default()),
        lines: vec![line],
        ..Default::default()
    };
    let mut windows = Windows::default();
    assert!((0..3).all(|_| windows.add(&Quote::from(&quote))));
    let records = windows.take();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.quotes == 1 && record.lines[0].gross_minor == i64::MAX - 1));
}

#[test]
fn a_quote_that_goes_on_in_another_record_leaves_nothing_in_the_full_one() {
    let line = |sku: &str, gross_minor| PricedLine { sku: sku.into(), quantity: 1, gross_minor, ..Default::default() };
    let quote = |lines| QuoteResponse { priced_at: Some(Timestamp::default()), lines, ..Default::default() };
    let mut windows = Windows::default();
    for lines in [vec![line("a", 1), line("c", i64::MAX)], vec![line("a", 2), line("b", 3), line("c", 4)]] {
        assert!(windows.add(&Quote::from(&quote(lines))));
    }
    let records = windows.take();
    let sums = |record: &UsageWindow| -> Vec<_> {
        record.lines.iter().map(|line| (line.sku.clone(), line.lines, line.gross_minor)).collect()
    };
    assert_eq!(sums(&records[0]), [("a".into(), 1, 1), ("c".into(), 1, i64::MAX)]);
    assert_eq!(sums(&records[1]), [("a".into(), 1, 2), ("b".into(), 1, 3), ("c".into(), 1, 4)]);
}

#[test]
fn a_record_stays_small_enough_for_a_broker() {
    let mut windows = Windows::default();
    for n in 0..30 {
        let lines = (0..200).map(|m| PricedLine {
            sku: format!("{:0>64}", n * 200 + m),
            promotion_id: "p".repeat(64),
            quantity: 1_000_000,
            gross_minor: 1 << 50,
            net_minor: 1 << 50,
            ..Default::default()
        });
        assert!(windows.add(&Quote::from(&QuoteResponse {
            priced_at: Some(Timestamp::default()),
            lines: lines.collect(),
            ..Default::default()
        })));
    }
    let records = windows.take();
    assert_eq!(records.iter().map(|record| record.quotes).sum::<i64>(), 30);
    assert!(records.iter().all(|record| prost::Message::encoded_len(record) < 900_000));
}

#[test]
fn a_quote_of_any_clock_is_in_a_window_that_the_ledger_takes() {
    for seconds in [-62_135_596_800, -62_135_596_791, -1, 0, 253_402_300_789, 253_402_300_790, 253_402_300_799] {
        let mut windows = Windows::default();
        assert!(windows.add(&Quote::from(&QuoteResponse {
            currency_code: "EUR".into(),
            jurisdiction: "DE".into(),
            priced_at: Some(Timestamp { seconds, nanos: 999_999_999 }),
            ..Default::default()
        })));
        let record = windows.take().remove(0);
        let (start, end) = (record.window_start.unwrap().seconds, record.window_end.unwrap().seconds);
        assert!(-62_135_596_800 < start && start < end && end <= 253_402_300_799, "{seconds}: {start} to {end}");
    }
}
