use std::hash::{Hash, Hasher};

use contracts::hybrid::usage::v1::{UsageLine, UsageWindow};
// Its hash of short keys costs a fraction of that of the standard library, and it finds keys by what they borrow from.
use hashbrown::{Equivalent, HashMap};
use prost_types::Timestamp;

use crate::quote::{Line, Name, Quote, Sums};

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
    open: HashMap<Key<String>, Window>,
    /// Windows that are full.
    full: Vec<UsageWindow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<T> {
    start: i64,
    currency_code: T,
    jurisdiction: T,
}

#[derive(Debug, Default)]
struct Window {
    quotes: i64,
    lines: HashMap<Name<String>, Sums>,
}

// What is borrowed has the hash of the key that it is equivalent to.

impl<T: AsRef<[u8]>> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.start);
        state.write(self.currency_code.as_ref());
        state.write(self.jurisdiction.as_ref());
    }
}

impl Equivalent<Key<String>> for Key<&[u8]> {
    fn equivalent(&self, key: &Key<String>) -> bool {
        self.start == key.start
            && self.currency_code == key.currency_code.as_bytes()
            && self.jurisdiction == key.jurisdiction.as_bytes()
    }
}

impl<T: AsRef<[u8]>> Hash for Name<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.sku.as_ref());
        state.write_i64(self.promotion_created_version);
        state.write(self.promotion_id.as_ref());
    }
}

impl Equivalent<Name<String>> for Name<&[u8]> {
    fn equivalent(&self, name: &Name<String>) -> bool {
        self.promotion_created_version == name.promotion_created_version
            && self.sku == name.sku.as_bytes()
            && self.promotion_id == name.promotion_id.as_bytes()
    }
}

impl Key<&[u8]> {
    fn owned(self) -> Key<String> {
        let Self { start, currency_code, jurisdiction } = self;
        Key { start, currency_code: owned(currency_code), jurisdiction: owned(jurisdiction) }
    }
}

impl Name<&[u8]> {
    fn owned(self) -> Name<String> {
        let Self { sku, promotion_id, promotion_created_version } = self;
        Name { sku: owned(sku), promotion_id: owned(promotion_id), promotion_created_version }
    }
}

/// A text of a quote, which is UTF-8.
fn owned(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

impl Window {
    /// Adds the lines of a quote. False, and nothing changed, when a sum would leave int64 or the record its size.
    fn add(&mut self, lines: &[Line<'_>]) -> bool {
        let Some(quotes) = self.quotes.checked_add(1) else { return false };
        for (added, line) in lines.iter().enumerate() {
            if !self.add_line(line) {
                lines[..added].iter().for_each(|line| self.take_back(line));
                return false;
            }
        }
        self.quotes = quotes;
        true
    }

    fn add_line(&mut self, line: &Line<'_>) -> bool {
        if let Some(held) = self.lines.get_mut(&line.name) {
            return held.plus(line.sums).map(|sums| *held = sums).is_some();
        }
        let has_room = self.lines.len() < MAX_LINES;
        if has_room {
            self.lines.insert(line.name.owned(), line.sums);
        }
        has_room
    }

    fn take_back(&mut self, line: &Line<'_>) {
        if let Some(held) = self.lines.get_mut(&line.name) {
            *held = held.minus(line.sums);
            if held.lines == 0 {
                self.lines.remove(&line.name);
            }
        }
    }
}

impl Windows {
    /// Adds a quote. False, and nothing changed, when its own lines do not sum up within int64 or it has no time.
    pub fn add(&mut self, quote: &Quote<'_>) -> bool {
        let Some(priced_at) = quote.priced_at else { return false };
        let key = Key {
            start: priced_at.seconds.div_euclid(WINDOW_SECONDS).saturating_mul(WINDOW_SECONDS),
            currency_code: quote.currency_code,
            jurisdiction: quote.jurisdiction,
        };
        if self.open.get_mut(&key).is_some_and(|window| window.add(&quote.lines)) {
            return true;
        }
        let mut window = Window::default();
        if !window.add(&quote.lines) {
            return false;
        }
        if let Some(full) = self.open.insert(key.owned(), window) {
            self.full.push(record(key.owned(), full));
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

fn record(key: Key<String>, window: Window) -> UsageWindow {
    let mut lines: Vec<_> = window.lines.into_iter().collect();
    lines.sort_by(|(one, _), (other, _)| one.cmp(other));
    let line = |(name, sums): (Name<String>, Sums)| UsageLine {
        sku: name.sku,
        promotion_id: name.promotion_id,
        lines: sums.lines,
        quantity: sums.quantity,
        discount_minor: sums.discount,
        net_minor: sums.net,
        tax_minor: sums.tax,
        gross_minor: sums.gross,
        promotion_created_version: name.promotion_created_version,
    };
    UsageWindow {
        window_start: Some(Timestamp { seconds: key.start.max(SECONDS.0), nanos: 0 }),
        window_end: Some(Timestamp { seconds: key.start.saturating_add(WINDOW_SECONDS).min(SECONDS.1), nanos: 0 }),
        currency_code: key.currency_code,
        jurisdiction: key.jurisdiction,
        quotes: window.quotes,
        lines: lines.into_iter().map(line).collect(),
    }
}
