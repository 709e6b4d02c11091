use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice, str};

use pricing::{Invalid, QuoteError};

/// Success.
pub const HYBRID_OK: i32 = 0;
/// An argument is null, not UTF-8, or of no kind that the function knows.
pub const HYBRID_INVALID_ARGUMENT: i32 = 3;
/// A panic inside. The snapshot can still be used.
pub const HYBRID_INTERNAL: i32 = 13;

/// Text that its owner lends. `data` may be null when `length` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HybridText {
    /// UTF-8.
    pub data: *const u8,
    /// In bytes.
    pub length: usize,
}

impl HybridText {
    /// Text that lives as long as what it was taken from.
    pub(crate) const fn of(text: &str) -> Self {
        Self { data: text.as_ptr(), length: text.len() }
    }

    pub(crate) const EMPTY: Self = Self { data: ptr::null(), length: 0 };
}

/// Why a call failed. The texts are constants of the library, or empty.
#[repr(C)]
#[derive(Debug)]
pub struct HybridError {
    /// A code of gRPC.
    pub code: i32,
    /// The position in the request's lines or coupons of what is at fault; -1 where there is none.
    pub index: i64,
    /// Machine-readable, UPPER_SNAKE_CASE.
    pub reason: HybridText,
    /// The field at fault, with `[]` where `index` belongs: `lines[].sku`.
    pub field: HybridText,
}

/// What a call failed with.
pub(crate) struct Failure {
    code: i32,
    index: i64,
    reason: &'static str,
    field: &'static str,
}

impl Failure {
    pub(crate) const fn argument(field: &'static str) -> Self {
        Self { code: HYBRID_INVALID_ARGUMENT, index: -1, reason: "ARGUMENT_INVALID", field }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self { code: HYBRID_INVALID_ARGUMENT, index: -1, reason: invalid.code, field: invalid.field }
    }
}

impl From<QuoteError> for Failure {
    fn from(error: QuoteError) -> Self {
        use QuoteError as E;
        let (index, field) = match &error {
            E::SnapshotMissing => (None, ""),
            E::CurrencyInvalid => (None, "currency_code"),
            E::JurisdictionInvalid | E::TaxRuleUnknown { .. } => (None, "jurisdiction"),
            E::LinesInvalid(_) | E::TotalOverflow => (None, "lines"),
            E::TooManyCoupons(_) => (None, "coupons"),
            E::CouponInvalid { index } => (Some(*index), "coupons[]"),
            E::SkuInvalid { line } | E::SkuUnknown { line } | E::CurrencyMismatch { line } => {
                (Some(*line), "lines[].sku")
            }
            E::QuantityInvalid { line } => (Some(*line), "lines[].quantity"),
            E::LineOverflow { line } => (Some(*line), "lines[]"),
        };
        let index = index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1);
        Self { code: error.code() as i32, index, reason: error.reason(), field }
    }
}

/// Runs a call, and tells its failure, a panic included, by its code and in `error`.
///
/// # Safety
/// `error` is null or valid for writes.
pub(crate) unsafe fn guard(error: *mut HybridError, call: impl FnOnce() -> Result<(), Failure>) -> i32 {
    // What a call was about to change is a catalog in the making, whose maps stay valid, or a buffer of plain numbers.
    let result = catch_unwind(AssertUnwindSafe(call));
    let failure = match result {
        Ok(Ok(())) => return HYBRID_OK,
        Ok(Err(failure)) => failure,
        Err(_) => Failure { code: HYBRID_INTERNAL, index: -1, reason: "PANIC", field: "" },
    };
    if !error.is_null() {
        let Failure { code, index, reason, field } = failure;
        let told = HybridError { code, index, reason: HybridText::of(reason), field: HybridText::of(field) };
        // SAFETY: it is not null, so the caller promises that it is valid for writes.
        unsafe { error.write(told) };
    }
    failure.code
}

/// The elements that a caller lends. None if the pointer is null.
///
/// # Safety
/// `data` is null, or points to `length` valid values that nobody changes for as long as they are borrowed.
pub(crate) unsafe fn lent<'a, T>(data: *const T, length: usize) -> Option<&'a [T]> {
    if length == 0 {
        return Some(&[]);
    }
    if data.is_null() || length > isize::MAX as usize / size_of::<T>().max(1) {
        return None;
    }
    // SAFETY: it is not null, its size fits, and the caller promises the rest.
    Some(unsafe { slice::from_raw_parts(data, length) })
}

/// Text that a caller lends.
///
/// # Safety
/// As for [`lent`].
pub(crate) unsafe fn text<'a>(text: HybridText, field: &'static str) -> Result<&'a str, Failure> {
    // SAFETY: the caller promises it.
    let bytes = unsafe { lent(text.data, text.length) }.ok_or(Failure::argument(field))?;
    // Names are ASCII, which is cheaper to see.
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { str::from_utf8_unchecked(bytes) });
    }
    str::from_utf8(bytes).map_err(|_| Failure::argument(field))
}

/// Text that [`text`] has read before.
///
/// # Safety
/// As for [`text`], which has read it without a failure.
pub(crate) unsafe fn seen<'a>(text: HybridText) -> &'a str {
    if text.length == 0 {
        return "";
    }
    // SAFETY: the caller promises that it is lent, and that it has been seen to be UTF-8.
    unsafe { str::from_utf8_unchecked(slice::from_raw_parts(text.data, text.length)) }
}
