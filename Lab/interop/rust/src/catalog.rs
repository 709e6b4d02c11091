use pricing::{Discount, Edit, Instant, Item, Promotion, PromotionTerms, Snapshot, TaxRule};

use crate::border::{Failure, HybridError, HybridText, guard, lent, text};
use crate::quote::HybridSnapshot;

/// A catalog in the making. For one thread at a time.
#[derive(Debug)]
pub struct HybridCatalog(Edit);

/// A point in time.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HybridInstant {
    /// Since the Unix epoch.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: i32,
}

impl From<HybridInstant> for Instant {
    fn from(at: HybridInstant) -> Self {
        Self { seconds: at.seconds, nanos: at.nanos }
    }
}

/// The terms of a promotion; what they mean stands in `hybrid/catalog/v1/catalog.proto`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HybridPromotion {
    /// Its natural key.
    pub promotion_id: HybridText,
    /// The catalog version that created it; 0 if that is not known.
    pub created_version: i64,
    /// Parts per million off a line; 0 if it takes an amount off.
    pub percent_off_ppm: i64,
    /// Minor units off each piece; 0 if it takes a percentage off.
    pub amount_off_minor: i64,
    /// The skus it applies to; none means all.
    pub skus: *const HybridText,
    /// Number of skus.
    pub skus_length: usize,
    /// Empty, or the coupon that a quote must bring.
    pub coupon: HybridText,
    /// Smallest quantity of a line that gets it; 0 means 1.
    pub min_quantity: i64,
    /// First instant at which it applies; null means always so far.
    pub starts_at: *const HybridInstant,
    /// First instant at which it applies no more; null means for ever.
    pub ends_at: *const HybridInstant,
    /// Currency of its budget.
    pub budget_currency: HybridText,
    /// Its budget in minor units.
    pub budget_minor: i64,
    /// Whether the budget is used up.
    pub exhausted: bool,
}

/// An empty catalog. It is finished or freed.
#[unsafe(no_mangle)]
pub extern "C" fn hybrid_catalog_new() -> *mut HybridCatalog {
    Box::into_raw(Box::new(HybridCatalog(Snapshot::default().edit())))
}

/// Frees a catalog that is not to be finished. Null is ignored.
///
/// # Safety
/// `catalog` is null or came from [`hybrid_catalog_new`], and is neither freed nor finished yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_catalog_free(catalog: *mut HybridCatalog) {
    if !catalog.is_null() {
        // SAFETY: the caller promises that it is a box of ours which nobody else has.
        drop(unsafe { Box::from_raw(catalog) });
    }
}

/// Turns a catalog into a snapshot of this version, and frees the catalog. Null if it is null.
///
/// # Safety
/// As for [`hybrid_catalog_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_catalog_finish(catalog: *mut HybridCatalog, version: i64) -> *mut HybridSnapshot {
    if catalog.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the caller promises that it is a box of ours which nobody else has.
    let catalog = unsafe { Box::from_raw(catalog) };
    Box::into_raw(Box::new(HybridSnapshot(catalog.0.finish(version))))
}

/// Adds an item, or puts it in the place of the one with its sku. An empty `tax_category` means `standard`.
///
/// # Safety
/// `catalog` is null or not freed and used by no other thread; the texts are lent; `error` is null or valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_catalog_put_item(
    catalog: *mut HybridCatalog,
    sku: HybridText,
    currency_code: HybridText,
    price_minor: i64,
    tax_category: HybridText,
    error: *mut HybridError,
) -> i32 {
    let put = || {
        // SAFETY: the caller promises what `editing` and `text` ask for.
        let (edit, sku, currency, category) = unsafe {
            (
                editing(catalog)?,
                text(sku, "sku")?,
                text(currency_code, "unit_price")?,
                text(tax_category, "tax_category")?,
            )
        };
        edit.put_item(Item::new(sku, currency, price_minor, category)?);
        Ok(())
    };
    // SAFETY: the caller promises it.
    unsafe { guard(error, put) }
}

/// Adds a tax rule, or puts it in the place of the one with its jurisdiction and category.
///
/// # Safety
/// As for [`hybrid_catalog_put_item`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_catalog_put_tax_rule(
    catalog: *mut HybridCatalog,
    jurisdiction: HybridText,
    category: HybridText,
    rate_ppm: i64,
    error: *mut HybridError,
) -> i32 {
    let put = || {
        // SAFETY: the caller promises what `editing` and `text` ask for.
        let (edit, jurisdiction, category) =
            unsafe { (editing(catalog)?, text(jurisdiction, "jurisdiction")?, text(category, "category")?) };
        edit.put_tax_rule(TaxRule::new(jurisdiction, category, rate_ppm)?);
        Ok(())
    };
    // SAFETY: the caller promises it.
    unsafe { guard(error, put) }
}

/// Adds a promotion, or puts it in the place of the one with its id.
///
/// # Safety
/// As for [`hybrid_catalog_put_item`]; `promotion` is null or valid for reads, with everything that it points to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hybrid_catalog_put_promotion(
    catalog: *mut HybridCatalog,
    promotion: *const HybridPromotion,
    error: *mut HybridError,
) -> i32 {
    let put = || {
        // SAFETY: the caller promises what `editing` asks for, and that a promotion is valid.
        let (edit, terms) = unsafe { (editing(catalog)?, promotion.as_ref().ok_or(Failure::argument("promotion"))?) };
        // SAFETY: the caller promises that everything in it is lent.
        edit.put_promotion(unsafe { read(terms) }?);
        Ok(())
    };
    // SAFETY: the caller promises it.
    unsafe { guard(error, put) }
}

/// # Safety
/// Everything that it points to is valid.
unsafe fn read(terms: &HybridPromotion) -> Result<Promotion, Failure> {
    // SAFETY: the caller promises it.
    let skus = unsafe { lent(terms.skus, terms.skus_length) }.ok_or(Failure::argument("skus"))?;
    // SAFETY: the caller promises it.
    let skus =
        skus.iter().map(|&sku| unsafe { text(sku, "skus") }.map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
    let discount = match (terms.percent_off_ppm, terms.amount_off_minor) {
        (0, 0) => None,
        (ppm, 0) => Some(Discount::PercentOffPpm(ppm)),
        (0, amount) => Some(Discount::AmountOffMinor(amount)),
        _ => return Err(Failure::argument("discount")),
    };
    // SAFETY: the caller promises that they are null or valid.
    let (starts_at, ends_at) = unsafe { (terms.starts_at.as_ref(), terms.ends_at.as_ref()) };
    // SAFETY: the caller promises that the texts are lent.
    let (promotion_id, coupon, currency) = unsafe {
        (
            text(terms.promotion_id, "promotion_id")?,
            text(terms.coupon, "coupon")?,
            text(terms.budget_currency, "budget")?,
        )
    };
    let promotion = Promotion::new(&PromotionTerms {
        promotion_id,
        created_version: terms.created_version,
        discount,
        skus: &skus,
        coupon,
        min_quantity: terms.min_quantity,
        starts_at: starts_at.map(|&at| at.into()),
        ends_at: ends_at.map(|&at| at.into()),
        currency,
        budget_minor: terms.budget_minor,
        exhausted: terms.exhausted,
    })?;
    Ok(promotion)
}

/// # Safety
/// `catalog` is null, or not freed and used by nobody else for as long as it is borrowed.
unsafe fn editing<'a>(catalog: *mut HybridCatalog) -> Result<&'a mut Edit, Failure> {
    // SAFETY: the caller promises it.
    unsafe { catalog.as_mut() }.map(|catalog| &mut catalog.0).ok_or(Failure::argument("catalog"))
}
