//! What stands exactly on a limit, and just beyond it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use pricing::{Currency, Instant, Item, QuoteError, Request, Snapshot, TaxRule, quote};

const NOW: Instant = Instant { seconds: 0, nanos: 0 };

fn shop() -> Snapshot {
    let mut edit = Snapshot::default().edit();
    edit.put_item(Item::new("mug", "EUR", 100, "").unwrap());
    edit.put_tax_rule(TaxRule::new("DE", "", 190_000).unwrap());
    edit.finish(7)
}

fn ask(lines: usize, coupons: &[String], quantity: i64) -> Result<i64, QuoteError> {
    let lines = vec![("mug", quantity); lines];
    let asked = Request { currency_code: "EUR", jurisdiction: "DE", lines: lines.into_iter(), coupons };
    quote(&shop(), asked, NOW).map(|quote| quote.snapshot_version)
}

#[test]
fn a_quote_has_200_lines_and_16_coupons_at_most() {
    let coupons = |count| (0..count).map(|number| format!("c{number}")).collect::<Vec<_>>();
    assert_eq!(ask(200, &coupons(16), 1), Ok(7));
    assert_eq!(ask(201, &[], 1), Err(QuoteError::LinesInvalid(201)));
    assert_eq!(ask(0, &[], 1), Err(QuoteError::LinesInvalid(0)));
    assert_eq!(ask(1, &coupons(17), 1), Err(QuoteError::TooManyCoupons(17)));
    assert_eq!(ask(1, &[], 1_000_000), Ok(7));
    assert!(ask(1, &[], 1_000_001).is_err() && ask(1, &[], 0).is_err());
}

#[test]
fn a_category_is_1_to_32_of_lower_case_digits_and_hyphens() {
    let of = |length| "a".repeat(length);
    for (category, expected) in
        [("a-z09", true), (&of(32), true), (&of(33), false), ("A", false), ("a_b", false), ("a b", false), ("ä", false)]
    {
        assert_eq!(Item::new("mug", "EUR", 1, category).is_ok(), expected, "{category:?}");
        assert_eq!(TaxRule::new("DE", category, 1).is_ok(), expected, "{category:?}");
    }
    assert!(Item::new("mug", "EUR", 1, "").is_ok(), "no category is the standard one");
}

#[test]
fn a_currency_shows_its_code() {
    assert_eq!(format!("{:?}", Currency::parse("EUR").unwrap()), "EUR");
}

#[test]
fn a_snapshot_says_its_version_and_what_it_holds() {
    assert_eq!((shop().version(), shop().items(), shop().promotions()), (7, 1, 0));
}
