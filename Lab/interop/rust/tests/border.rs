//! What the border promises to a caller in C.
#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    reason = "the tests are the caller, who keeps the promises"
)]

use std::mem::MaybeUninit;
use std::{ptr, slice, str};

use hybrid_pricing::*;

fn text(text: &str) -> HybridText {
    HybridText { data: text.as_ptr(), length: text.len() }
}

fn read(text: HybridText) -> String {
    if text.length == 0 {
        return String::new();
    }
    str::from_utf8(unsafe { slice::from_raw_parts(text.data, text.length) }).unwrap().to_owned()
}

fn failure(call: impl FnOnce(*mut HybridError) -> i32) -> (i32, i64, String, String) {
    let mut error = MaybeUninit::uninit();
    let code = call(error.as_mut_ptr());
    assert_ne!(code, HYBRID_OK);
    let error = unsafe { error.assume_init() };
    assert_eq!(error.code, code);
    (code, error.index, read(error.reason), read(error.field))
}

fn snapshot() -> *mut HybridSnapshot {
    let catalog = hybrid_catalog_new();
    unsafe {
        assert_eq!(hybrid_catalog_put_item(catalog, text("mug"), text("EUR"), 1_000, text(""), ptr::null_mut()), 0);
        assert_eq!(hybrid_catalog_put_tax_rule(catalog, text("DE"), text("standard"), 190_000, ptr::null_mut()), 0);
        hybrid_catalog_finish(catalog, 7)
    }
}

fn request(lines: &[HybridLine]) -> HybridRequest {
    HybridRequest {
        currency_code: text("EUR"),
        jurisdiction: text("DE"),
        lines: lines.as_ptr(),
        lines_length: lines.len(),
        coupons: ptr::null(),
        coupons_length: 0,
        now: HybridInstant { seconds: 1_790_000_000, nanos: 0 },
    }
}

const UNTOUCHED: HybridTotals =
    HybridTotals { snapshot_version: -1, discount_minor: -1, net_minor: -1, tax_minor: -1, gross_minor: -1 };

fn quote(
    snapshot: *const HybridSnapshot,
    request: &HybridRequest,
    room: usize,
    error: *mut HybridError,
) -> (i32, HybridTotals) {
    let mut lines: Vec<MaybeUninit<HybridPricedLine>> = (0..room).map(|_| MaybeUninit::uninit()).collect();
    let mut totals = UNTOUCHED;
    let code = unsafe { hybrid_quote(snapshot, request, lines.as_mut_ptr().cast(), room, &raw mut totals, error) };
    (code, totals)
}

#[test]
fn a_basket_is_priced_from_many_threads() {
    struct Shared(*mut HybridSnapshot);
    unsafe impl Sync for Shared {}
    let shared = Shared(snapshot());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let shared = &shared;
                for quantity in 1..500 {
                    let lines = [HybridLine { sku: text("mug"), quantity }];
                    let (code, totals) = quote(shared.0, &request(&lines), 1, ptr::null_mut());
                    assert_eq!((code, totals.gross_minor, totals.snapshot_version), (HYBRID_OK, 1_190 * quantity, 7));
                }
            });
        }
    });
    unsafe { hybrid_snapshot_free(shared.0) };
}

#[test]
fn a_failure_says_what_is_at_fault_and_changes_nothing() {
    let snapshot = snapshot();
    let lines = [HybridLine { sku: text("mug"), quantity: 1 }, HybridLine { sku: text("nope"), quantity: 1 }];
    let told = failure(|error| {
        let (code, totals) = quote(snapshot, &request(&lines), 2, error);
        assert_eq!(totals.gross_minor, UNTOUCHED.gross_minor);
        code
    });
    assert_eq!(told, (5, 1, "SKU_UNKNOWN".into(), "lines[].sku".into()));
    unsafe { hybrid_snapshot_free(snapshot) };
}

#[test]
fn arguments_that_cannot_be_used_are_refused() {
    let snapshot = snapshot();
    let lines = [HybridLine { sku: text("mug"), quantity: 1 }, HybridLine { sku: text("mug"), quantity: 1 }];
    let asked = request(&lines);
    let refused = |field: &str| (HYBRID_INVALID_ARGUMENT, -1, "ARGUMENT_INVALID".into(), field.into());
    assert_eq!(failure(|error| quote(ptr::null(), &asked, 2, error).0), refused("snapshot"));
    assert_eq!(failure(|error| quote(snapshot, &asked, 1, error).0), refused("lines_capacity"));
    let bad = [0x6d, 0xff, 0x67];
    let not_utf8 = HybridText { data: bad.as_ptr(), length: bad.len() };
    let lines = [HybridLine { sku: not_utf8, quantity: 1 }];
    assert_eq!(failure(|error| quote(snapshot, &request(&lines), 1, error).0), refused("lines[].sku"));
    let null = HybridRequest { lines: ptr::null(), lines_length: 1, ..asked };
    assert_eq!(failure(|error| quote(snapshot, &null, 1, error).0), refused("lines"));
    let huge = HybridText { data: bad.as_ptr(), length: usize::MAX };
    let huge = HybridRequest { currency_code: huge, ..asked };
    assert_eq!(failure(|error| quote(snapshot, &huge, 2, error).0), refused("currency_code"));
    let none = HybridRequest { lines: ptr::null(), lines_length: 0, ..asked };
    let mut totals = UNTOUCHED;
    let told = failure(|error| unsafe { hybrid_quote(snapshot, &none, ptr::null_mut(), 0, &raw mut totals, error) });
    assert_eq!(told, (HYBRID_INVALID_ARGUMENT, -1, "LINES_INVALID".into(), "lines".into()));
    unsafe { hybrid_snapshot_free(snapshot) };

    let catalog = hybrid_catalog_new();
    let put = |catalog, price, error| unsafe {
        hybrid_catalog_put_item(catalog, text("mug"), text("EUR"), price, text(""), error)
    };
    assert_eq!(failure(|error| put(ptr::null_mut(), 1, error)), refused("catalog"));
    let (code, _, reason, field) = failure(|error| put(catalog, -1, error));
    assert_eq!((code, field.as_str()), (HYBRID_INVALID_ARGUMENT, "unit_price.minor_units"), "{reason}");
    unsafe { hybrid_catalog_free(catalog) };
    unsafe { hybrid_catalog_free(ptr::null_mut()) };
    unsafe { hybrid_snapshot_free(ptr::null_mut()) };
    assert!(unsafe { hybrid_catalog_finish(ptr::null_mut(), 1) }.is_null());
}

#[test]
fn a_panic_stays_inside() {
    assert_eq!(
        failure(|error| unsafe { hybrid_pricing_panic(error) }),
        (HYBRID_INTERNAL, -1, "PANIC".into(), String::new())
    );
    assert_eq!(unsafe { hybrid_pricing_panic(ptr::null_mut()) }, HYBRID_INTERNAL);
}

#[test]
fn the_version_is_the_headers() {
    assert_eq!(hybrid_pricing_version(), HYBRID_PRICING_VERSION);
}
