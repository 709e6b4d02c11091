use std::fmt::{self, Write as _};
use std::time::Duration;

use pricing::Instant;
use telemetry::Attribute;
use uuid::fmt::Hyphenated;

/// A quote that has been priced.
pub(crate) struct Answered {
    pub(crate) id: QuoteId,
    pub(crate) at: Instant,
    pub(crate) snapshot_version: i64,
}

/// A UUIDv7, as text.
#[derive(Clone, Copy)]
pub(crate) struct QuoteId([u8; Hyphenated::LENGTH]);

impl QuoteId {
    /// A new one, of an instant since the Unix epoch.
    pub(crate) fn new(now: Duration) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        contracts::time_ordered_id(now).hyphenated().encode_lower(&mut text);
        Self(text)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for QuoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| f.write_char(byte.into()))
    }
}

impl Answered {
    /// A quote that was priced then.
    #[cfg(test)]
    pub(crate) fn at(at: Instant) -> Self {
        Self { id: QuoteId::new(Duration::from_secs(at.seconds.unsigned_abs())), at, snapshot_version: 1 }
    }

    /// The attributes of a span for the quote, or for the reason of the error.
    pub(crate) fn attributes(result: Result<&Self, &'static str>) -> Vec<Attribute> {
        match result {
            Ok(quote) => vec![
                ("hybrid.quote.id", quote.id.to_string().into()),
                ("hybrid.snapshot.version", quote.snapshot_version.into()),
            ],
            Err(reason) => vec![("hybrid.error.reason", reason.into())],
        }
    }
}
