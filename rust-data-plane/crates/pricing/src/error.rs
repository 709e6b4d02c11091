use thiserror::Error;

/// Why a resource of the catalog cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {text}")]
pub struct Invalid {
    /// Path of the field at fault, within the resource.
    pub field: &'static str,
    /// Machine-readable reason, UPPER_SNAKE_CASE.
    pub code: &'static str,
    /// For people.
    pub text: &'static str,
}

impl Invalid {
    pub(crate) const fn new(field: &'static str, code: &'static str, text: &'static str) -> Self {
        Self { field, code, text }
    }
}

/// The gRPC codes that a quote can fail with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "gRPC defines them")]
pub enum Code {
    InvalidArgument = 3,
    NotFound = 5,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unavailable = 14,
}

impl Code {
    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// Why a quote has no answer: one row each of the table in `pricing.proto`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum QuoteError {
    #[error("this node has never had a snapshot of the catalog")]
    SnapshotMissing,
    #[error("a currency is three of A-Z")]
    CurrencyInvalid,
    #[error("a jurisdiction is 2 to 16 characters of A-Z 0-9 -")]
    JurisdictionInvalid,
    #[error("a basket has 1 to 200 lines, not {0}")]
    LinesInvalid(usize),
    #[error("a quote takes up to 16 coupons, not {0}")]
    TooManyCoupons(usize),
    #[error("a coupon is 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor ..")]
    CouponInvalid { index: usize },
    #[error("a sku is 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor ..")]
    SkuInvalid { line: usize },
    #[error("a quantity is 1 to 1,000,000")]
    QuantityInvalid { line: usize },
    #[error("the catalog has no such sku")]
    SkuUnknown { line: usize },
    #[error("the item is priced in another currency than the quote's")]
    CurrencyMismatch { line: usize },
    #[error("the jurisdiction has no tax rule for the category of lines[{line}]")]
    TaxRuleUnknown { line: usize },
    #[error("an amount of the line is too large")]
    LineOverflow { line: usize },
    #[error("a total is too large")]
    TotalOverflow,
}

impl QuoteError {
    /// The `ErrorInfo.reason`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::SnapshotMissing => "SNAPSHOT_MISSING",
            Self::CurrencyInvalid => "CURRENCY_INVALID",
            Self::JurisdictionInvalid => "JURISDICTION_INVALID",
            Self::LinesInvalid(_) => "LINES_INVALID",
            Self::TooManyCoupons(_) | Self::CouponInvalid { .. } => "COUPONS_INVALID",
            Self::SkuInvalid { .. } => "SKU_INVALID",
            Self::QuantityInvalid { .. } => "QUANTITY_INVALID",
            Self::SkuUnknown { .. } => "SKU_UNKNOWN",
            Self::CurrencyMismatch { .. } => "CURRENCY_MISMATCH",
            Self::TaxRuleUnknown { .. } => "TAX_RULE_UNKNOWN",
            Self::LineOverflow { .. } | Self::TotalOverflow => "AMOUNT_OVERFLOW",
        }
    }

    /// The gRPC code.
    pub const fn code(&self) -> Code {
        match self {
            Self::SnapshotMissing => Code::Unavailable,
            Self::CurrencyInvalid
            | Self::JurisdictionInvalid
            | Self::LinesInvalid(_)
            | Self::TooManyCoupons(_)
            | Self::CouponInvalid { .. }
            | Self::SkuInvalid { .. }
            | Self::QuantityInvalid { .. } => Code::InvalidArgument,
            Self::SkuUnknown { .. } | Self::TaxRuleUnknown { .. } => Code::NotFound,
            Self::CurrencyMismatch { .. } => Code::FailedPrecondition,
            Self::LineOverflow { .. } | Self::TotalOverflow => Code::OutOfRange,
        }
    }

    /// Path of the request's field at fault; empty where there is none.
    pub fn field(&self) -> String {
        match self {
            Self::SnapshotMissing => String::new(),
            Self::CurrencyInvalid => "currency_code".into(),
            Self::JurisdictionInvalid | Self::TaxRuleUnknown { .. } => "jurisdiction".into(),
            Self::LinesInvalid(_) | Self::TotalOverflow => "lines".into(),
            Self::TooManyCoupons(_) => "coupons".into(),
            Self::CouponInvalid { index } => format!("coupons[{index}]"),
            Self::SkuInvalid { line } | Self::SkuUnknown { line } | Self::CurrencyMismatch { line } => {
                format!("lines[{line}].sku")
            }
            Self::QuantityInvalid { line } => format!("lines[{line}].quantity"),
            Self::LineOverflow { line } => format!("lines[{line}]"),
        }
    }
}
