//! The pricing core behind a C ABI, for callers in the same process.
//!
//! Who calls owns every buffer, and lends it for the time of the call: nothing here keeps a pointer that it was given. The two
//! things that are made here, a catalog and a snapshot, are freed here. Text is UTF-8 with a length, without a zero at its end.
//! A function that can fail returns a code of gRPC, 0 for success, and says more in the [`HybridError`] of its caller. A panic
//! never crosses the border: it becomes `INTERNAL`.
//!
//! A snapshot may be read by any number of threads at once, and must not be freed meanwhile.

mod border;
mod catalog;
mod quote;

pub use border::{HYBRID_INTERNAL, HYBRID_INVALID_ARGUMENT, HYBRID_OK, HybridError, HybridText};
pub use catalog::{
    HybridCatalog, HybridInstant, HybridPromotion, hybrid_catalog_finish, hybrid_catalog_free, hybrid_catalog_new,
    hybrid_catalog_put_item, hybrid_catalog_put_promotion, hybrid_catalog_put_tax_rule,
};
pub use quote::{
    HybridLine, HybridPricedLine, HybridRequest, HybridSnapshot, HybridTotals, hybrid_quote, hybrid_snapshot_free,
};

/// The version of this interface. A caller that was built for another one must not go on.
pub const HYBRID_PRICING_VERSION: u32 = 1;

/// The version of the interface that is loaded, which is to be [`HYBRID_PRICING_VERSION`] of the header.
#[unsafe(no_mangle)]
pub extern "C" fn hybrid_pricing_version() -> u32 {
    HYBRID_PRICING_VERSION
}

/// Panics inside, to show what a caller sees of that: `INTERNAL`.
///
/// # Safety
/// `error` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_pricing_panic(error: *mut HybridError) -> i32 {
    #[expect(clippy::panic, reason = "it is what the function is for")]
    let panics = || panic!("asked for by the caller");
    // SAFETY: the caller promises it.
    unsafe { border::guard(error, panics) }
}

/// Sleeps for so many milliseconds, to show what a caller sees of that: nothing, for as long.
#[unsafe(no_mangle)]
pub extern "C" fn hybrid_pricing_hang(milliseconds: u32) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds.into()));
}
