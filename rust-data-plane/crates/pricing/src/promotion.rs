use crate::error::Invalid;
use crate::item::MAX_PRICE_MINOR;
use crate::money::{self, PPM};
use crate::names::{self, Currency};
use crate::table::Keyed;
use crate::time::Instant;

const MAX_SKUS: usize = 1_000;

/// What one line is reduced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discount {
    /// Parts per million of the line's list amount.
    PercentOffPpm(i64),
    /// Minor units off each piece, never more than the list amount.
    AmountOffMinor(i64),
}

impl Discount {
    /// What it takes off; `None` when an amount does not fit.
    fn of(self, list_minor: i64, quantity: i64) -> Option<i64> {
        match self {
            Self::PercentOffPpm(ppm) => money::share(list_minor, ppm),
            Self::AmountOffMinor(amount) => {
                let off = i128::from(amount) * i128::from(quantity);
                i64::try_from(off.min(i128::from(list_minor))).ok()
            }
        }
    }
}

/// The terms of a promotion, as offered.
#[derive(Clone, Debug, Default)]
pub struct PromotionTerms<'a> {
    /// Its natural key.
    pub promotion_id: &'a str,
    /// The catalog version that created it; 0 if that is not known.
    pub created_version: i64,
    /// What it takes off a line.
    pub discount: Option<Discount>,
    /// The skus it applies to; empty means all.
    pub skus: &'a [String],
    /// Empty, or the coupon that a quote must bring.
    pub coupon: &'a str,
    /// Smallest quantity of a line that gets it; 0 means 1.
    pub min_quantity: i64,
    /// First instant at which it applies.
    pub starts_at: Option<Instant>,
    /// First instant at which it applies no more.
    pub ends_at: Option<Instant>,
    /// Currency of its budget.
    pub currency: &'a str,
    /// Its budget in minor units.
    pub budget_minor: i64,
    /// Whether the budget is used up.
    pub exhausted: bool,
}

/// A discount that can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    id: Box<str>,
    created_version: i64,
    pub(crate) skus: Box<[Box<str>]>,
    discount: Discount,
    coupon: Box<str>,
    min_quantity: i64,
    starts_at: Option<Instant>,
    ends_at: Option<Instant>,
    currency: Currency,
    exhausted: bool,
}

impl Promotion {
    /// A promotion on these terms.
    pub fn new(terms: &PromotionTerms<'_>) -> Result<Self, Invalid> {
        const KEY: &str = "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor ..";
        if !names::is_key(terms.promotion_id) {
            return Err(Invalid::new("promotion_id", "PROMOTION_ID_INVALID", KEY));
        }
        let discount =
            terms.discount.ok_or(Invalid::new("discount", "DISCOUNT_MISSING", "must be a percentage or an amount"))?;
        let (value, limit, field) = match discount {
            Discount::PercentOffPpm(ppm) => (ppm, PPM, "percent_off_ppm"),
            Discount::AmountOffMinor(amount) => (amount, MAX_PRICE_MINOR, "amount_off_minor"),
        };
        if !(1..=limit).contains(&value) {
            return Err(Invalid::new(field, "DISCOUNT_OUT_OF_RANGE", "must be above zero and within its limit"));
        }
        if terms.skus.len() > MAX_SKUS {
            return Err(Invalid::new("skus", "SKUS_TOO_MANY", "must be at most 1,000"));
        }
        if !terms.skus.iter().all(|sku| names::is_key(sku)) {
            return Err(Invalid::new("skus", "SKU_INVALID", KEY));
        }
        if !terms.coupon.is_empty() && !names::is_key(terms.coupon) {
            return Err(Invalid::new("coupon", "COUPON_INVALID", KEY));
        }
        if terms.min_quantity < 0 {
            return Err(Invalid::new("min_quantity", "MIN_QUANTITY_INVALID", "must not be negative"));
        }
        let currency = Currency::parse(terms.currency).ok_or(Invalid::new(
            "budget.currency_code",
            "CURRENCY_INVALID",
            "must be three of A-Z",
        ))?;
        if terms.budget_minor < 0 {
            return Err(Invalid::new("budget.minor_units", "BUDGET_INVALID", "must not be negative"));
        }
        let mut skus: Vec<Box<str>> = terms.skus.iter().map(|sku| sku.as_str().into()).collect();
        skus.sort_unstable();
        skus.dedup();
        Ok(Self {
            id: terms.promotion_id.into(),
            created_version: terms.created_version,
            skus: skus.into(),
            discount,
            coupon: terms.coupon.into(),
            min_quantity: terms.min_quantity.max(1),
            starts_at: terms.starts_at,
            ends_at: terms.ends_at,
            currency,
            exhausted: terms.exhausted,
        })
    }

    /// Its natural key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The catalog version that created it, which tells it from others that had its id before.
    pub fn created_version(&self) -> i64 {
        self.created_version
    }

    /// Whether a line of `quantity` pieces gets it, the sku apart.
    pub(crate) fn applies<C: AsRef<str>>(
        &self,
        currency: Currency,
        quantity: i64,
        coupons: &[C],
        now: Instant,
    ) -> bool {
        !self.exhausted
            && self.currency == currency
            && quantity >= self.min_quantity
            && self.starts_at.is_none_or(|start| start <= now)
            && self.ends_at.is_none_or(|end| now < end)
            && (self.coupon.is_empty() || coupons.iter().any(|coupon| coupon.as_ref() == &*self.coupon))
    }

    /// What it takes off a line; `None` when an amount does not fit.
    pub(crate) fn discount(&self, list_minor: i64, quantity: i64) -> Option<i64> {
        self.discount.of(list_minor, quantity)
    }
}

impl Keyed for Promotion {
    fn key(&self) -> &str {
        &self.id
    }
}
