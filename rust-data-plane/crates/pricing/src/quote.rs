use std::sync::Arc;

use crate::error::QuoteError;
use crate::item::Item;
use crate::money;
use crate::names::{self, Currency};
use crate::promotion::Promotion;
use crate::snapshot::Snapshot;
use crate::tax::TaxTable;
use crate::time::Instant;

const MAX_LINES: usize = 200;
const MAX_COUPONS: usize = 16;
const MAX_QUANTITY: i64 = 1_000_000;

/// What is asked: the lines as pairs of sku and quantity.
#[derive(Clone, Debug)]
pub struct Request<'r, L, C> {
    /// ISO 4217.
    pub currency_code: &'r str,
    /// Where the goods are taxed.
    pub jurisdiction: &'r str,
    /// 1 to 200.
    pub lines: L,
    /// Up to 16.
    pub coupons: &'r [C],
}

/// The answer, in minor units of the request's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote<'s> {
    /// Version of the snapshot that priced every line.
    pub snapshot_version: i64,
    /// In the order of the request.
    pub lines: Vec<PricedLine<'s>>,
    /// Sums over the lines.
    pub totals: Totals,
}

/// One line, priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "pricing.proto defines them")]
pub struct PricedLine<'s> {
    pub unit_price_minor: i64,
    pub discount_minor: i64,
    pub net_minor: i64,
    pub tax_minor: i64,
    pub gross_minor: i64,
    pub tax_rate_ppm: i64,
    /// The promotion that was granted.
    pub promotion_id: Option<&'s str>,
    /// The catalog version that created it; 0 if there is none.
    pub promotion_created_version: i64,
}

/// Sums over lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "pricing.proto defines them")]
pub struct Totals {
    pub discount_minor: i64,
    pub net_minor: i64,
    pub tax_minor: i64,
    pub gross_minor: i64,
}

impl Totals {
    fn add(&self, line: &PricedLine<'_>) -> Option<Self> {
        Some(Self {
            discount_minor: self.discount_minor.checked_add(line.discount_minor)?,
            net_minor: self.net_minor.checked_add(line.net_minor)?,
            tax_minor: self.tax_minor.checked_add(line.tax_minor)?,
            gross_minor: self.gross_minor.checked_add(line.gross_minor)?,
        })
    }
}

/// Prices the basket under `snapshot`, as of `now`. The first error in the order of `pricing.proto` is the answer.
pub fn quote<'s, 'r, L, C>(
    snapshot: &'s Snapshot,
    request: Request<'r, L, C>,
    now: Instant,
) -> Result<Quote<'s>, QuoteError>
where
    L: ExactSizeIterator<Item = (&'r str, i64)>,
    C: AsRef<str>,
{
    let currency = Currency::parse(request.currency_code).ok_or(QuoteError::CurrencyInvalid)?;
    if !names::is_jurisdiction(request.jurisdiction) {
        return Err(QuoteError::JurisdictionInvalid);
    }
    if !(1..=MAX_LINES).contains(&request.lines.len()) {
        return Err(QuoteError::LinesInvalid(request.lines.len()));
    }
    if request.coupons.len() > MAX_COUPONS {
        return Err(QuoteError::TooManyCoupons(request.coupons.len()));
    }
    if let Some(index) = request.coupons.iter().position(|coupon| !names::is_key(coupon.as_ref())) {
        return Err(QuoteError::CouponInvalid { index });
    }

    let basket = Basket { snapshot, currency, taxes: snapshot.taxes(request.jurisdiction), now };
    let mut lines = Vec::with_capacity(request.lines.len());
    let mut totals = Some(Totals::default());
    for (index, (sku, quantity)) in request.lines.enumerate() {
        let line = basket.line(index, sku, quantity, request.coupons)?;
        totals = totals.and_then(|totals| totals.add(&line));
        lines.push(line);
    }
    let totals = totals.ok_or(QuoteError::TotalOverflow)?;
    Ok(Quote { snapshot_version: snapshot.version(), lines, totals })
}

/// What all lines of a quote share.
struct Basket<'s> {
    snapshot: &'s Snapshot,
    currency: Currency,
    taxes: Option<&'s TaxTable>,
    now: Instant,
}

impl<'s> Basket<'s> {
    fn line<C: AsRef<str>>(
        &self,
        line: usize,
        sku: &str,
        quantity: i64,
        coupons: &[C],
    ) -> Result<PricedLine<'s>, QuoteError> {
        if !names::is_key(sku) {
            return Err(QuoteError::SkuInvalid { line });
        }
        if !(1..=MAX_QUANTITY).contains(&quantity) {
            return Err(QuoteError::QuantityInvalid { line });
        }
        let (item, listed) = self.snapshot.item(sku).ok_or(QuoteError::SkuUnknown { line })?;
        if item.currency != self.currency {
            return Err(QuoteError::CurrencyMismatch { line });
        }
        let rate_ppm =
            self.taxes.and_then(|taxes| taxes.rate(&item.category)).ok_or(QuoteError::TaxRuleUnknown { line })?;
        self.price(item, listed, quantity, rate_ppm, coupons).ok_or(QuoteError::LineOverflow { line })
    }

    /// `None` when an amount does not fit.
    fn price<C: AsRef<str>>(
        &self,
        item: &'s Item,
        listed: &'s [Arc<Promotion>],
        quantity: i64,
        tax_rate_ppm: i64,
        coupons: &[C],
    ) -> Option<PricedLine<'s>> {
        let list = item.unit_price_minor.checked_mul(quantity)?;
        let mut best: Option<(i64, &'s Promotion)> = None;
        for promotion in listed.iter().chain(self.snapshot.everywhere()) {
            if !promotion.applies(self.currency, quantity, coupons, self.now) {
                continue;
            }
            let discount = promotion.discount(list, quantity)?;
            let better = match best {
                None => discount > 0,
                Some((most, other)) => discount > most || (discount == most && promotion.id() < other.id()),
            };
            if better {
                best = Some((discount, &**promotion));
            }
        }
        let discount_minor = best.map_or(0, |(discount, _)| discount);
        let net_minor = list.checked_sub(discount_minor)?;
        let tax_minor = money::share(net_minor, tax_rate_ppm)?;
        Some(PricedLine {
            unit_price_minor: item.unit_price_minor,
            discount_minor,
            net_minor,
            tax_minor,
            gross_minor: net_minor.checked_add(tax_minor)?,
            tax_rate_ppm,
            promotion_id: best.map(|(_, promotion)| promotion.id()),
            promotion_created_version: best.map_or(0, |(_, promotion)| promotion.created_version()),
        })
    }
}
