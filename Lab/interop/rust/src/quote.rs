use std::slice;

use pricing::{Request, Snapshot, quote};

use crate::border::{Failure, HybridError, HybridText, guard, lent, seen, text};
use crate::catalog::HybridInstant;

/// One state of the catalog, compiled for quotes. Any number of threads may read it.
#[derive(Debug)]
pub struct HybridSnapshot(pub(crate) Snapshot);

/// What is asked.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HybridRequest {
    /// ISO 4217.
    pub currency_code: HybridText,
    /// Where the goods are taxed.
    pub jurisdiction: HybridText,
    /// 1 to 200.
    pub lines: *const HybridLine,
    /// Number of lines.
    pub lines_length: usize,
    /// Up to 16.
    pub coupons: *const HybridText,
    /// Number of coupons.
    pub coupons_length: usize,
    /// As of when it is priced.
    pub now: HybridInstant,
}

/// A quantity of one item.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HybridLine {
    /// The item.
    pub sku: HybridText,
    /// Pieces.
    pub quantity: i64,
}

/// One line, priced, in minor units of the request's currency.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HybridPricedLine {
    /// Of one piece.
    pub unit_price_minor: i64,
    /// What the promotion takes off.
    pub discount_minor: i64,
    /// Without tax.
    pub net_minor: i64,
    /// The tax.
    pub tax_minor: i64,
    /// With tax.
    pub gross_minor: i64,
    /// Parts per million.
    pub tax_rate_ppm: i64,
    /// The promotion that was granted, or empty. It belongs to the snapshot, and lives as long as that.
    pub promotion_id: HybridText,
    /// The catalog version that created it; 0 if there is none.
    pub promotion_created_version: i64,
}

/// Sums over the lines.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HybridTotals {
    /// Version of the snapshot that priced every line.
    pub snapshot_version: i64,
    /// What promotions take off.
    pub discount_minor: i64,
    /// Without tax.
    pub net_minor: i64,
    /// The tax.
    pub tax_minor: i64,
    /// With tax.
    pub gross_minor: i64,
}

/// Frees a snapshot. Null is ignored.
///
/// # Safety
/// `snapshot` is null or came from [`crate::hybrid_catalog_finish`], is not freed yet, and nobody reads it or what it lent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_snapshot_free(snapshot: *mut HybridSnapshot) {
    if !snapshot.is_null() {
        // SAFETY: the caller promises that it is a box of ours which nobody else has.
        drop(unsafe { Box::from_raw(snapshot) });
    }
}

/// Prices a basket: fills in `lines`, which has room for `lines_capacity` of them, and `totals`. When it fails they are not
/// changed. Fails with `ARGUMENT_INVALID` on field `lines_capacity` where there is less room than the request has lines.
///
/// # Safety
/// `snapshot` is null or not freed; `request` is null or valid with everything that it points to; `lines` is null or valid for
/// writes of `lines_capacity` lines, `totals` and `error` are null or valid for writes, and none of them overlaps another.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_quote(
    snapshot: *const HybridSnapshot,
    request: *const HybridRequest,
    lines: *mut HybridPricedLine,
    lines_capacity: usize,
    totals: *mut HybridTotals,
    error: *mut HybridError,
) -> i32 {
    let price = || {
        // SAFETY: the caller promises that they are null or valid.
        let (snapshot, request, totals) = unsafe { (snapshot.as_ref(), request.as_ref(), totals.as_mut()) };
        let snapshot = snapshot.ok_or(Failure::argument("snapshot"))?;
        let request = request.ok_or(Failure::argument("request"))?;
        let totals = totals.ok_or(Failure::argument("totals"))?;
        let out = match request.lines_length {
            0 => &mut [],
            length if lines.is_null() || lines_capacity < length => return Err(Failure::argument("lines_capacity")),
            // SAFETY: it is not null, and the caller promises that it is valid for writes of so many lines.
            length => unsafe { slice::from_raw_parts_mut(lines, length) },
        };
        // SAFETY: the caller promises that everything in the request is lent.
        unsafe { answer(&snapshot.0, request, out, totals) }
    };
    // SAFETY: the caller promises it.
    unsafe { guard(error, price) }
}

/// # Safety
/// Everything that the request points to is valid.
unsafe fn answer(
    snapshot: &Snapshot,
    request: &HybridRequest,
    out: &mut [HybridPricedLine],
    totals: &mut HybridTotals,
) -> Result<(), Failure> {
    // SAFETY: the caller promises it.
    let (lines, coupons) =
        unsafe { (lent(request.lines, request.lines_length), lent(request.coupons, request.coupons_length)) };
    let lines = lines.ok_or(Failure::argument("lines"))?;
    let coupons = coupons.ok_or(Failure::argument("coupons"))?;
    // SAFETY: the caller promises it.
    let coupons = coupons.iter().map(|&coupon| unsafe { text(coupon, "coupons") }).collect::<Result<Vec<_>, _>>()?;
    for line in lines {
        // SAFETY: the caller promises it.
        unsafe { text(line.sku, "lines[].sku") }?;
    }
    // SAFETY: the caller promises it.
    let (currency_code, jurisdiction) =
        unsafe { (text(request.currency_code, "currency_code")?, text(request.jurisdiction, "jurisdiction")?) };
    let asked = Request {
        currency_code,
        jurisdiction,
        // SAFETY: that they are text has been seen above, and the caller promises that nobody changes them.
        lines: lines.iter().map(|line| (unsafe { seen(line.sku) }, line.quantity)),
        coupons: &coupons,
    };
    let quote = quote(snapshot, asked, request.now.into())?;
    for (place, line) in out.iter_mut().zip(&quote.lines) {
        *place = HybridPricedLine {
            unit_price_minor: line.unit_price_minor,
            discount_minor: line.discount_minor,
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            gross_minor: line.gross_minor,
            tax_rate_ppm: line.tax_rate_ppm,
            promotion_id: line.promotion_id.map_or(HybridText::EMPTY, HybridText::of),
            promotion_created_version: line.promotion_created_version,
        };
    }
    *totals = HybridTotals {
        snapshot_version: quote.snapshot_version,
        discount_minor: quote.totals.discount_minor,
        net_minor: quote.totals.net_minor,
        tax_minor: quote.totals.tax_minor,
        gross_minor: quote.totals.gross_minor,
    };
    Ok(())
}
