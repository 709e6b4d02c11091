//! Times quotes that Rust asks the pricing core for, as it is and through its C interface. Prints one JSON object.

use std::error::Error;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::ptr;
use std::time::Instant;

use hybrid_pricing::{
    HYBRID_OK, HybridInstant, HybridLine, HybridPricedLine, HybridRequest, HybridText, HybridTotals,
    hybrid_catalog_finish, hybrid_catalog_new, hybrid_catalog_put_item, hybrid_catalog_put_promotion,
    hybrid_catalog_put_tax_rule, hybrid_quote, hybrid_snapshot_free,
};
use hybrid_pricing::{HybridPromotion, HybridSnapshot};
use pricing::{Discount, Item, Promotion, PromotionTerms, Request, Snapshot, TaxRule, quote};

const SKU: &str = "lab-mug";
const CURRENCY: &str = "EUR";
const JURISDICTION: &str = "LAB";
const PRICE: i64 = 1_999;
const TAX: i64 = 190_000;
const OFF: i64 = 100_000;
const BUDGET: i64 = 1_000_000_000_000;
const QUANTITY: i64 = 3;
const NOW: i64 = 1_790_000_000;

fn main() -> ExitCode {
    let calls = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 1_000_000,
        Some(Ok(calls)) if calls > 0 => calls,
        Some(_) => {
            eprintln!("native-pricing: the number of calls must be above zero");
            return ExitCode::from(2);
        }
    };
    match native(calls).and_then(|native| Ok((native, border(calls)?))) {
        Ok((native, border)) => {
            println!("{{\"nativeNanos\":{native},\"borderNanos\":{border}}}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("native-pricing: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Nanoseconds of a call: the shortest of five runs, because everything else on a machine can only add to it.
fn best(calls: u32, mut call: impl FnMut() -> bool) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..calls {
            if !call() {
                return Err("a quote was refused".into());
            }
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    Ok(best)
}

fn native(calls: u32) -> Result<f64, Box<dyn Error>> {
    let mut catalog = Snapshot::default().edit();
    catalog.put_item(Item::new(SKU, CURRENCY, PRICE, "")?);
    catalog.put_tax_rule(TaxRule::new(JURISDICTION, "standard", TAX)?);
    catalog.put_promotion(Promotion::new(&PromotionTerms {
        promotion_id: "lab",
        created_version: 0,
        discount: Some(Discount::PercentOffPpm(OFF)),
        skus: &[SKU.to_owned()],
        coupon: "",
        min_quantity: 0,
        starts_at: None,
        ends_at: None,
        currency: CURRENCY,
        budget_minor: BUDGET,
        exhausted: false,
    })?);
    let snapshot = catalog.finish(1);
    best(calls, || {
        let lines = [(black_box(SKU), QUANTITY)];
        let request = Request {
            currency_code: black_box(CURRENCY),
            jurisdiction: black_box(JURISDICTION),
            lines: lines.into_iter(),
            coupons: &[] as &[&str],
        };
        black_box(quote(&snapshot, request, pricing::Instant { seconds: NOW, nanos: 0 })).is_ok()
    })
}

fn border(calls: u32) -> Result<f64, Box<dyn Error>> {
    let snapshot = snapshot()?;
    let lines = [HybridLine { sku: text(SKU), quantity: QUANTITY }];
    let request = HybridRequest {
        currency_code: text(CURRENCY),
        jurisdiction: text(JURISDICTION),
        lines: lines.as_ptr(),
        lines_length: lines.len(),
        coupons: ptr::null(),
        coupons_length: 0,
        now: HybridInstant { seconds: NOW, nanos: 0 },
    };
    let (mut line, mut totals) = (MaybeUninit::<HybridPricedLine>::uninit(), MaybeUninit::<HybridTotals>::uninit());
    let nanos = best(calls, || {
        // SAFETY: the snapshot is freed below; everything else is of this function.
        let code = unsafe {
            hybrid_quote(snapshot, black_box(&request), line.as_mut_ptr(), 1, totals.as_mut_ptr(), ptr::null_mut())
        };
        code == HYBRID_OK
    });
    // SAFETY: it came from `snapshot`, and nobody reads it any more.
    unsafe { hybrid_snapshot_free(snapshot) };
    nanos
}

fn snapshot() -> Result<*mut HybridSnapshot, Box<dyn Error>> {
    let skus = [text(SKU)];
    let promotion = HybridPromotion {
        promotion_id: text("lab"),
        created_version: 0,
        percent_off_ppm: OFF,
        amount_off_minor: 0,
        skus: skus.as_ptr(),
        skus_length: skus.len(),
        coupon: text(""),
        min_quantity: 0,
        starts_at: ptr::null(),
        ends_at: ptr::null(),
        budget_currency: text(CURRENCY),
        budget_minor: BUDGET,
        exhausted: false,
    };
    let catalog = hybrid_catalog_new();
    // SAFETY: the catalog is new, and what is lent to it lives until the end of this function.
    let codes = unsafe {
        [
            hybrid_catalog_put_item(catalog, text(SKU), text(CURRENCY), PRICE, text(""), ptr::null_mut()),
            hybrid_catalog_put_tax_rule(catalog, text(JURISDICTION), text("standard"), TAX, ptr::null_mut()),
            hybrid_catalog_put_promotion(catalog, &promotion, ptr::null_mut()),
        ]
    };
    // SAFETY: the catalog has not been finished before.
    let snapshot = unsafe { hybrid_catalog_finish(catalog, 1) };
    if codes == [HYBRID_OK; 3] { Ok(snapshot) } else { Err(format!("the catalog was refused: {codes:?}").into()) }
}

fn text(text: &'static str) -> HybridText {
    HybridText { data: text.as_ptr(), length: text.len() }
}
