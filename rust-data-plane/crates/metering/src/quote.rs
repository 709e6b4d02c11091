use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use prost_types::Timestamp;

/// What is metered of a `QuoteResponse`, borrowed from it or from its encoding. Texts are UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract says it")]
pub struct Quote<'q> {
    pub quote_id: &'q [u8],
    pub priced_at: Option<Timestamp>,
    pub currency_code: &'q [u8],
    pub jurisdiction: &'q [u8],
    pub lines: Vec<Line<'q>>,
    pub discount_minor: i64,
    pub net_minor: i64,
    pub tax_minor: i64,
    pub gross_minor: i64,
}

/// A line of a quote: for what it counts, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "says what it is")]
pub struct Line<'q> {
    pub name: Name<&'q [u8]>,
    pub sums: Sums,
}

/// What is summed up together. The promotion's created version is a part: an id that was given again is another promotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the contract says it")]
pub struct Name<T> {
    pub sku: T,
    pub promotion_id: T,
    pub promotion_created_version: i64,
}

/// Sums over quote lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract says it")]
pub struct Sums {
    pub lines: i64,
    pub quantity: i64,
    pub discount: i64,
    pub net: i64,
    pub tax: i64,
    pub gross: i64,
}

impl Sums {
    /// Of a line that has nothing yet.
    pub(crate) const LINE: Self = Self { lines: 1, quantity: 0, discount: 0, net: 0, tax: 0, gross: 0 };

    /// Both together; none where a sum leaves int64.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            lines: self.lines.checked_add(other.lines)?,
            quantity: self.quantity.checked_add(other.quantity)?,
            discount: self.discount.checked_add(other.discount)?,
            net: self.net.checked_add(other.net)?,
            tax: self.tax.checked_add(other.tax)?,
            gross: self.gross.checked_add(other.gross)?,
        })
    }

    /// Without `other`, which was added before.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            lines: self.lines - other.lines,
            quantity: self.quantity - other.quantity,
            discount: self.discount - other.discount,
            net: self.net - other.net,
            tax: self.tax - other.tax,
            gross: self.gross - other.gross,
        }
    }
}

impl<'q> From<&'q PricedLine> for Line<'q> {
    fn from(line: &'q PricedLine) -> Self {
        Self {
            name: Name {
                sku: line.sku.as_bytes(),
                promotion_id: line.promotion_id.as_bytes(),
                promotion_created_version: line.promotion_created_version,
            },
            sums: Sums {
                quantity: line.quantity,
                discount: line.discount_minor,
                net: line.net_minor,
                tax: line.tax_minor,
                gross: line.gross_minor,
                ..Sums::LINE
            },
        }
    }
}

impl<'q> From<&'q QuoteResponse> for Quote<'q> {
    fn from(quote: &'q QuoteResponse) -> Self {
        Self {
            quote_id: quote.quote_id.as_bytes(),
            priced_at: quote.priced_at,
            currency_code: quote.currency_code.as_bytes(),
            jurisdiction: quote.jurisdiction.as_bytes(),
            lines: quote.lines.iter().map(Line::from).collect(),
            discount_minor: quote.discount_minor,
            net_minor: quote.net_minor,
            tax_minor: quote.tax_minor,
            gross_minor: quote.gross_minor,
        }
    }
}
