use kafka::Message;
use kafka::message::{Header, OwnedMessage};
use telemetry::TraceContext;

use crate::event::{Poison, Priced, Record, cause};

/// What goes to the dead letters: a record, or one of the quotes in a record.
pub(crate) struct Dead {
    pub(crate) message: OwnedMessage,
    pub(crate) poison: Poison,
    /// Which quote of the record it is, counted from 0; none where all of the record is at fault.
    pub(crate) index: Option<usize>,
    /// The operation that caused it, where that is named.
    pub(crate) cause: Option<TraceContext>,
    /// The quote's own `traceparent` and `tracestate`.
    pub(crate) trace: Vec<(&'static str, Vec<u8>)>,
}

impl Dead {
    /// A whole record.
    pub(crate) fn record(message: &impl Message, poison: Poison) -> Self {
        let cause = cause(&message.headers()).map(|link| link.context);
        Self { message: message.detach(), poison, index: None, cause, trace: Vec::new() }
    }

    /// A quote of a record. What becomes of it has nothing of the record's other quotes, so that it can be sent again.
    pub(crate) fn quote(
        message: &impl Message,
        headers: &[Header<'_>],
        record: &Record<'_>,
        index: usize,
        quote: &Priced<'_>,
        poison: Poison,
    ) -> Self {
        let Some(value) = record.alone(quote) else { return Self::record(message, poison) };
        let cause = quote.cause(headers).map(|link| link.context);
        let trace = quote.trace.map_or(Vec::new(), |(parent, state)| {
            let trace = [("traceparent", parent), ("tracestate", state)].into_iter();
            trace.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.to_vec())).collect()
        });
        Self { message: message.detach_with(Some(&value)), poison, index: Some(index), cause, trace }
    }
}
