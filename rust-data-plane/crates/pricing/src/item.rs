use crate::error::Invalid;
use crate::names::{self, Currency};
use crate::table::Keyed;

/// The largest price of one piece, and the largest amount off one, in minor units.
pub const MAX_PRICE_MINOR: i64 = 1_000_000_000_000;

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    sku: Box<str>,
    pub(crate) currency: Currency,
    pub(crate) unit_price_minor: i64,
    pub(crate) category: Box<str>,
}

impl Item {
    /// An item that can be priced; an empty `category` means "standard".
    pub fn new(sku: &str, currency: &str, unit_price_minor: i64, category: &str) -> Result<Self, Invalid> {
        let category = names::category(category);
        if !names::is_key(sku) {
            return Err(Invalid::new(
                "sku",
                "SKU_INVALID",
                "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor ..",
            ));
        }
        let currency = Currency::parse(currency).ok_or(Invalid::new(
            "unit_price.currency_code",
            "CURRENCY_INVALID",
            "must be three of A-Z",
        ))?;
        if !(0..=MAX_PRICE_MINOR).contains(&unit_price_minor) {
            return Err(Invalid::new(
                "unit_price.minor_units",
                "PRICE_OUT_OF_RANGE",
                "must be 0 to 1,000,000,000,000 minor units",
            ));
        }
        if !names::is_category(category) {
            return Err(Invalid::new(
                "tax_category",
                "TAX_CATEGORY_INVALID",
                "must be 1 to 32 characters of a-z 0-9 -",
            ));
        }
        Ok(Self { sku: sku.into(), currency, unit_price_minor, category: category.into() })
    }
}

impl Keyed for Item {
    fn key(&self) -> &str {
        &self.sku
    }
}
