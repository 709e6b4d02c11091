use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::{UsageLine, UsageWindow};
// Its hash of short keys costs a fraction of that of the standard library.
use hashbrown::HashMap;
use prost_types::Timestamp;

/// Length of a window; windows are aligned to it since the Unix epoch.
pub const WINDOW_SECONDS: i64 = 10;
/// The seconds of the Unix epoch that a `google.protobuf.Timestamp` can have in a window, whose first and last are shorter: the
/// years 1 to 9999, without the very first second, which the ledger takes for no time at all.
const SECONDS: (i64, i64) = (-62_135_596_799, 253_402_300_799);
/// A record has at most this many lines, so that a broker takes it: about 0.4 MB where all names are long.
const MAX_LINES: usize = 2_000;

/// Sums of quotes, by window, currency and jurisdiction. Each quote goes into exactly one record.
#[derive(Debug, Default)]
pub struct Windows {
    open: HashMap<Key, Window>,
    /// Windows that are full.
    full: Vec<UsageWindow>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    start: i64,
    currency_code: String,
    jurisdiction: String,
}

#[derive(Debug, Default)]
struct Window {
    quotes: i64,
    lines: HashMap<Name, Sums>,
}

/// Sku, promotion id, and the promotion's created version: an id that was given again is another promotion.
type Name = (String, String, i64);

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    lines: i64,
    quantity: i64,
    discount: i64,
    net: i64,
    tax: i64,
    gross: i64,
}

impl Sums {
    fn of(line: &PricedLine) -> Self {
        Self {
            lines: 1,
            quantity: line.quantity,
            discount: line.discount_minor,
            net: line.net_minor,
            tax: line.tax_minor,
            gross: line.gross_minor,
        }
    }

    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            lines: self.lines.checked_add(other.lines)?,
            quantity: self.quantity.checked_add(other.quantity)?,
            discount: self.discount.checked_add(other.discount)?,
            net: self.net.checked_add(other.net)?,
            tax: self.tax.checked_add(other.tax)?,
            gross: self.gross.checked_add(other.gross)?,
        })
    }
}

impl Window {
    /// Whether the quote with these lines fits: no sum leaves int64, and the record stays within its size.
    fn takes(&self, lines: &[(Name, Sums)]) -> bool {
        self.lines.len() + lines.len() <= MAX_LINES
            && self.quotes < i64::MAX
            && lines.iter().all(|(name, sums)| self.lines.get(name).is_none_or(|held| held.plus(*sums).is_some()))
    }
}

impl Windows {
    /// Adds a quote. False, and nothing changed, when its own lines do not sum up within int64 or it has no time.
    pub fn add(&mut self, quote: QuoteResponse) -> bool {
        let Some(priced_at) = quote.priced_at else { return false };
        let Some(lines) = summed(quote.lines) else { return false };
        let key = Key {
            start: priced_at.seconds.div_euclid(WINDOW_SECONDS).saturating_mul(WINDOW_SECONDS),
            currency_code: quote.currency_code,
            jurisdiction: quote.jurisdiction,
        };
        if self.open.get(&key).is_some_and(|window| !window.takes(&lines))
            && let Some((key, window)) = self.open.remove_entry(&key)
        {
            self.full.push(record(key, window));
        }
        let window = self.open.entry(key).or_default();
        window.quotes += 1;
        for (name, sums) in lines {
            let held = window.lines.entry(name).or_default();
            // `takes` has seen that it fits.
            *held = held.plus(sums).unwrap_or(*held);
        }
        true
    }

    /// All records, and none is left.
    pub fn take(&mut self) -> Vec<UsageWindow> {
        let mut records = std::mem::take(&mut self.full);
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_by(|(one, _), (other, _)| one.cmp(other));
        records.extend(open.into_iter().map(|(key, window)| record(key, window)));
        records
    }
}

/// The lines of a quote with each name once; none where a sum leaves int64.
fn summed(lines: Vec<PricedLine>) -> Option<Vec<(Name, Sums)>> {
    let mut lines: Vec<(Name, Sums)> = lines
        .into_iter()
        .map(|line| {
            let sums = Sums::of(&line);
            ((line.sku, line.promotion_id, line.promotion_created_version), sums)
        })
        .collect();
    lines.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let mut fits = true;
    lines.dedup_by(|(name, sums), (held_name, held)| {
        let same = name == held_name;
        if same {
            match held.plus(*sums) {
                Some(more) => *held = more,
                None => fits = false,
            }
        }
        same
    });
    fits.then_some(lines)
}

fn record(key: Key, window: Window) -> UsageWindow {
    let mut lines: Vec<UsageLine> = window
        .lines
        .into_iter()
        .map(|((sku, promotion_id, promotion_created_version), sums)| UsageLine {
            sku,
            promotion_id,
            lines: sums.lines,
            quantity: sums.quantity,
            discount_minor: sums.discount,
            net_minor: sums.net,
            tax_minor: sums.tax,
            gross_minor: sums.gross,
            promotion_created_version,
        })
        .collect();
    lines.sort_by(|one, other| {
        (&one.sku, &one.promotion_id, one.promotion_created_version).cmp(&(
            &other.sku,
            &other.promotion_id,
            other.promotion_created_version,
        ))
    });
    UsageWindow {
        window_start: Some(Timestamp { seconds: key.start.max(SECONDS.0), nanos: 0 }),
        window_end: Some(Timestamp { seconds: key.start.saturating_add(WINDOW_SECONDS).min(SECONDS.1), nanos: 0 }),
        currency_code: key.currency_code,
        jurisdiction: key.jurisdiction,
        quotes: window.quotes,
        lines,
    }
}
