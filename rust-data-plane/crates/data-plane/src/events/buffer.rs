use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pricing::Instant;
use tokio::sync::Notify;

use crate::answered::{Answered, QuoteId};
use crate::trace::Trace;
use crate::wire::{put_varint, varint_length};

/// Tag of `QuotesPriced.quotes`: field 2, length-delimited.
const QUOTES: u8 = 2 << 3 | 2;
/// Tags of `PricedQuote`: its quote, traceparent and tracestate, all length-delimited.
const QUOTE: u8 = 1 << 3 | 2;
const TRACEPARENT: u8 = 2 << 3 | 2;
const TRACESTATE: u8 = 3 << 3 | 2;
/// A record is sent once its value is this long. One more quote, which may be some 25 kB, still fits any broker.
const FULL: usize = 64 << 10;

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(0) };
}

/// The buffers of all workers. Each thread adds to one, so that no lock is contended while quotes are answered.
pub(super) struct Buffers(Box<[Buffer]>);

/// Events of one worker that leave together. On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Buffer {
    open: Mutex<Open>,
    /// Tells that a record has been begun.
    pub(super) begun: Notify,
}

/// A record in the making: an encoded `QuotesPriced`.
#[derive(Default)]
pub(super) struct Open {
    pub(super) value: Vec<u8>,
    pub(super) quotes: usize,
    /// Its first quote, and when that was priced.
    pub(super) first: Option<(QuoteId, Instant)>,
}

impl Buffers {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Buffer::default()).collect())
    }

    /// Makes the buffer of a worker the calling thread's.
    pub(super) fn take(&self, worker: usize) -> &Buffer {
        MINE.set(worker);
        self.mine()
    }

    /// The calling thread's.
    pub(super) fn mine(&self) -> &Buffer {
        &self.0[MINE.get() % self.0.len()]
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Buffer> {
        self.0.iter()
    }
}

impl Buffer {
    /// Only who reads the number of events, and the drain, ever make a worker wait for it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Adds the event of a quote, `encoded`. `prefix` is what a value begins with.
    pub(super) fn add(&mut self, prefix: &[u8], quote: &Answered, encoded: &[u8], trace: &Trace<'_>) {
        if self.first.is_none() {
            self.value.extend_from_slice(prefix);
            self.first = Some((quote.id, quote.at));
        }
        self.quotes += 1;
        let (parent, state) = (trace.context.traceparent(), trace.state().unwrap_or_default());
        let field = |length: usize| 1 + varint_length(length as u64) + length;
        let length = field(encoded.len()) + field(parent.len()) + if state.is_empty() { 0 } else { field(state.len()) };
        self.value.push(QUOTES);
        put_varint(length as u64, &mut self.value);
        self.put(QUOTE, encoded);
        self.put(TRACEPARENT, &parent);
        if !state.is_empty() {
            self.put(TRACESTATE, state.as_bytes());
        }
    }

    fn put(&mut self, tag: u8, bytes: &[u8]) {
        self.value.push(tag);
        put_varint(bytes.len() as u64, &mut self.value);
        self.value.extend_from_slice(bytes);
    }

    pub(super) fn is_full(&self) -> bool {
        self.value.len() >= FULL
    }

    /// Begins anew, in the same memory.
    pub(super) fn clear(&mut self) {
        self.value.clear();
        (self.quotes, self.first) = (0, None);
    }
}
