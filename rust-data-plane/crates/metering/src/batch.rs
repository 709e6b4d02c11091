use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use contracts::hybrid::usage::v1::UsageWindow;
use kafka::Message;
use kafka::message::{BorrowedMessage, Header, OwnedMessage};
use telemetry::{Link, TraceState};

use crate::event::{self, Poison};
use crate::windows::Windows;

/// A batch is closed when it is this old or this large.
const MAX_AGE: Duration = Duration::from_millis(200);
pub(crate) const MAX_RECORDS: usize = 10_000;
/// Quotes that a batch's span links to.
const MAX_LINKS: usize = 32;

/// The records consumed since the last transaction.
#[derive(Default)]
pub(crate) struct Batch {
    windows: Windows,
    dead: Vec<(OwnedMessage, Poison)>,
    /// The next offset to read, by partition.
    next: BTreeMap<i32, i64>,
    records: usize,
    /// The record of a batch that may have only one.
    alone: Option<OwnedMessage>,
    opened: Option<(Instant, SystemTime)>,
    sampled: Vec<Link>,
    others: Vec<Link>,
}

/// A batch that is ready for its transaction, which may be attempted more than once.
pub(crate) struct Closed {
    pub(crate) windows: Vec<UsageWindow>,
    pub(crate) dead: Vec<(OwnedMessage, Poison)>,
    /// Whether the dead letters go without what the records are made of, so that a broker takes them.
    pub(crate) bare: bool,
    alone: Option<OwnedMessage>,
    pub(crate) next: BTreeMap<i32, i64>,
    pub(crate) records: usize,
    pub(crate) links: Vec<Link>,
    pub(crate) start: SystemTime,
}

impl Closed {
    /// Gives up on a record that a broker refuses for what it is: a batch of one becomes a dead letter, and a dead letter loses
    /// the record's own bytes. False when nothing is left to be given up, or the batch has other records.
    pub(crate) fn give_up(&mut self, reason: &str) -> bool {
        if self.records != 1 || self.bare {
            return false;
        }
        match self.alone.take() {
            Some(message) if self.dead.is_empty() => {
                self.windows.clear();
                self.dead.push((message, Poison::Refused(reason.into())));
                true
            }
            _ => {
                self.bare = !self.dead.is_empty();
                self.bare
            }
        }
    }

    /// The `tracestate` that all the quotes it links to have. Quotes of several traces have none in common.
    pub(crate) fn state(&self) -> Option<&TraceState<'static>> {
        let state = self.links.first()?.state.as_ref();
        state.filter(|_| self.links.iter().all(|link| link.state.as_ref() == state))
    }
}

impl Batch {
    /// Adds a record; one that is to stay `alone` in its batch is kept as it came.
    pub(crate) fn add(&mut self, message: &BorrowedMessage<'_>, alone: bool) {
        self.alone = alone.then(|| message.detach());
        self.opened.get_or_insert_with(|| (Instant::now(), SystemTime::now()));
        self.records += 1;
        self.next.insert(message.partition(), message.offset() + 1);
        let headers = message.headers();
        match event::read(&headers, message.payload()) {
            Ok(quote) => {
                // `read` has seen that the quote's sums fit and that it has a time.
                if self.windows.add(quote) {
                    self.link(&headers);
                } else {
                    self.dead.push((message.detach(), Poison::TotalsMismatch));
                }
            }
            Err(poison) => self.dead.push((message.detach(), poison)),
        }
    }

    fn link(&mut self, headers: &[Header<'_>]) {
        // Once these are full no other can take their place.
        if self.sampled.len() == MAX_LINKS {
            return;
        }
        let Some(link) = event::cause(headers) else { return };
        let links = if link.context.sampled { &mut self.sampled } else { &mut self.others };
        if links.len() < MAX_LINKS {
            links.push(link);
        }
    }

    /// How long it may still wait for records; `None` when it must be closed. It holds at most `limit`.
    pub(crate) fn patience(&self, limit: usize) -> Option<Duration> {
        match self.opened {
            _ if self.records >= limit => None,
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
            next: batch.next,
            records: batch.records,
            links,
            start,
        })
    }

    /// Discards the batch.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
