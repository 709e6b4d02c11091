use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use contracts::hybrid::usage::v1::UsageWindow;
use kafka::Message;
use kafka::message::{Header, OwnedMessage};
use telemetry::{Link, TraceState};

use crate::dead::Dead;
use crate::event::{self, Poison, Priced};
use crate::windows::Windows;

/// A batch is closed when it is this old or this large.
const MAX_AGE: Duration = Duration::from_millis(200);
pub(crate) const MAX_RECORDS: usize = 10_000;
/// It holds at most those of one more record.
const MAX_QUOTES: usize = 10_000;
/// Quotes that a batch's span links to.
const MAX_LINKS: usize = 32;

/// The records consumed since the last transaction.
#[derive(Default)]
pub(crate) struct Batch {
    windows: Windows,
    dead: Vec<Dead>,
    /// The next offset to read, by partition.
    next: BTreeMap<i32, i64>,
    records: usize,
    /// Quotes in them. A record that cannot be read counts for one.
    quotes: usize,
    /// The record of a batch that may have only one.
    alone: Option<OwnedMessage>,
    opened: Option<(Instant, SystemTime)>,
    sampled: Vec<Link>,
    others: Vec<Link>,
}

/// A batch that is ready for its transaction, which may be attempted more than once.
pub(crate) struct Closed {
    pub(crate) windows: Vec<UsageWindow>,
    pub(crate) dead: Vec<Dead>,
    /// Whether the dead letters go without what the records are made of, so that a broker takes them.
    pub(crate) bare: bool,
    alone: Option<OwnedMessage>,
    /// Which quote of the record each window is of, where the quotes of the only record are counted apart.
    apart: Option<Vec<usize>>,
    pub(crate) next: BTreeMap<i32, i64>,
    pub(crate) records: usize,
    pub(crate) quotes: usize,
    pub(crate) links: Vec<Link>,
    pub(crate) start: SystemTime,
}

impl Closed {
    /// Whether each window is of one quote, so that a refusal tells whose it is.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// Gives up on a record that a broker refuses for what it is: the quotes of a batch of one record are counted apart, so that
    /// it shows which of them is at fault, and a dead letter loses the record's own bytes. False when nothing is left to be given
    /// up, or the batch has other records.
    pub(crate) fn give_up(&mut self) -> bool {
        if self.records != 1 || self.bare {
            return false;
        }
        if self.apart.is_none() && !self.windows.is_empty() && self.alone.is_some() {
            self.count_apart();
            return true;
        }
        self.bare = !self.dead.is_empty();
        self.bare
    }

    fn count_apart(&mut self) {
        let Some(message) = &self.alone else { return };
        // It was read before.
        let Ok(record) = event::read(&message.headers(), message.payload()) else { return };
        let (mut windows, mut indices) = (Vec::new(), Vec::new());
        record.each(|index, priced| {
            let mut own = Windows::default();
            if priced.quote.is_ok_and(|quote| own.add(quote)) {
                windows.extend(own.take());
                indices.push(index);
            }
        });
        (self.windows, self.apart) = (windows, Some(indices));
    }

    /// Makes a dead letter of the quote whose window, the one at `position`, a broker has refused.
    pub(crate) fn set_aside(&mut self, position: usize, reason: &str) {
        let (Some(message), Some(indices)) = (&self.alone, &mut self.apart) else { return };
        let headers = message.headers();
        // It was read before.
        let Ok(record) = event::read(&headers, message.payload()) else { return };
        let index = indices.remove(position);
        self.windows.remove(position);
        let poison = Poison::Refused(reason.into());
        let dead = record.quote(index, |quote| Dead::quote(message, &headers, &record, index, &quote, poison));
        self.dead.push(dead);
    }

    /// The `tracestate` that all the quotes it links to have. Quotes of several traces have none in common.
    pub(crate) fn state(&self) -> Option<&TraceState<'static>> {
        let state = self.links.first()?.state.as_ref();
        state.filter(|_| self.links.iter().all(|link| link.state.as_ref() == state))
    }
}

impl Batch {
    /// Adds a record; one that is to stay `alone` in its batch is kept as it came.
    pub(crate) fn add(&mut self, message: &impl Message, alone: bool) {
        self.alone = alone.then(|| message.detach());
        self.opened.get_or_insert_with(|| (Instant::now(), SystemTime::now()));
        self.records += 1;
        self.next.insert(message.partition(), message.offset() + 1);
        let headers = message.headers();
        let record = match event::read(&headers, message.payload()) {
            Ok(record) => record,
            Err(poison) => {
                self.quotes += 1;
                return self.dead.push(Dead::record(message, poison));
            }
        };
        self.quotes += record.len();
        record.each(|index, priced| {
            let poison = match &priced.quote {
                Ok(quote) if self.windows.add(quote) => return self.link(&priced, &headers),
                // It has a time, and its amounts are summed up: its pieces are too many.
                Ok(_) => Poison::TotalsMismatch,
                Err(poison) => poison.clone(),
            };
            self.dead.push(Dead::quote(message, &headers, &record, index, &priced, poison));
        });
    }

    fn link(&mut self, quote: &Priced<'_>, headers: &[Header<'_>]) {
        // Once these are full no other can take their place.
        if self.sampled.len() == MAX_LINKS || (self.others.len() == MAX_LINKS && !quote.may_be_sampled(headers)) {
            return;
        }
        let Some(link) = quote.cause(headers) else { return };
        let links = if link.context.sampled { &mut self.sampled } else { &mut self.others };
        if links.len() < MAX_LINKS {
            links.push(link);
        }
    }

    /// How long it may still wait for records; `None` when it must be closed. It holds at most `limit` records.
    pub(crate) fn patience(&self, limit: usize) -> Option<Duration> {
        match self.opened {
            _ if self.records >= limit || self.quotes >= MAX_QUOTES => None,
            None => Some(MAX_AGE),
            Some((opened, _)) => MAX_AGE.checked_sub(opened.elapsed()).filter(|left| !left.is_zero()),
        }
    }

    /// Closes the batch; `None` if it is empty.
    pub(crate) fn close(&mut self) -> Option<Closed> {
        let mut batch = std::mem::take(self);
        let (_, start) = batch.opened?;
        let mut links = batch.sampled;
        links.extend(batch.others);
        links.truncate(MAX_LINKS);
        Some(Closed {
            windows: batch.windows.take(),
            dead: batch.dead,
            bare: false,
            alone: batch.alone,
            apart: None,
            next: batch.next,
            records: batch.records,
            quotes: batch.quotes,
            links,
            start,
        })
    }

    /// Discards the batch.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
    use contracts::hybrid::usage::v1::{PricedQuote, QuotePriced, QuotesPriced};
    use prost::Message as _;
    use prost_types::Timestamp;

    use super::*;

    /// A record of so many quotes, each with a gross of 1.
    fn record(quotes: usize) -> OwnedMessage {
        let line = PricedLine { sku: "mug".into(), quantity: 1, gross_minor: 1, ..Default::default() };
        let quote = QuoteResponse {
            quote_id: "quote".into(),
            currency_code: "EUR".into(),
            jurisdiction: "DE".into(),
            priced_at: Some(Timestamp::default()),
            gross_minor: 1,
            lines: vec![line],
            ..Default::default()
        };
        let quotes = vec![PricedQuote { quote: Some(quote), ..Default::default() }; quotes];
        let value = QuotesPriced { node_id: "node".into(), quotes }.encode_to_vec();
        let headers = [
            ("ce_specversion", &b"1.0"[..]),
            ("ce_id", b"id"),
            ("ce_source", b"/test"),
            ("ce_type", b"hybrid.pricing.quotes.priced.v1"),
        ];
        OwnedMessage::unsent("hybrid.quotes.v1", b"id", &value, headers)
    }

    #[test]
    fn a_batch_ends_at_its_quotes_as_at_its_records() {
        let mut batch = Batch::default();
        batch.add(&record(MAX_QUOTES - 1), false);
        assert!(batch.patience(MAX_RECORDS).is_some() && batch.patience(1).is_none());
        batch.add(&record(1), false);
        assert!(batch.patience(MAX_RECORDS).is_none());
        let closed = batch.close().unwrap();
        assert_eq!((closed.records, closed.quotes, closed.windows[0].quotes), (2, MAX_QUOTES, MAX_QUOTES as i64));
    }

    #[test]
    fn a_sampled_quote_is_linked_to_however_many_others_came_before() {
        let traced = |flags: &str| {
            let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            let headers = [
                ("ce_specversion", &b"1.0"[..]),
                ("ce_id", b"id"),
                ("ce_source", b"/test"),
                ("ce_type", b"hybrid.pricing.quote.priced.v1"),
                ("traceparent", parent.as_bytes()),
            ];
            let quote = QuotesPriced::decode(record(1).payload().unwrap()).unwrap().quotes.remove(0).quote;
            let value = QuotePriced { quote, ..Default::default() }.encode_to_vec();
            OwnedMessage::unsent("hybrid.quotes.v1", b"id", &value, headers)
        };
        let mut batch = Batch::default();
        for _ in 0..=MAX_LINKS {
            batch.add(&traced("00"), false);
        }
        batch.add(&traced("01"), false);
        let links = batch.close().unwrap().links;
        assert_eq!((links.len(), links[0].context.sampled), (MAX_LINKS, true));
    }

    #[test]
    fn quotes_of_a_record_that_is_refused_are_given_up_one_by_one() {
        let mut batch = Batch::default();
        batch.add(&record(3), true);
        let mut closed = batch.close().unwrap();
        assert!(!closed.is_apart() && closed.windows.len() == 1);
        assert!(closed.give_up() && closed.is_apart());
        assert_eq!(closed.windows.iter().map(|window| window.quotes).collect::<Vec<_>>(), [1, 1, 1]);
        closed.set_aside(1, "too large");
        closed.set_aside(1, "too large");
        assert_eq!(closed.dead.iter().map(|dead| dead.index).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert_eq!(closed.windows.len(), 1);
        // Then only what the dead letters are made of is left.
        assert!(closed.give_up() && closed.bare && !closed.give_up());
    }
}
