use std::fmt;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::context::{SpanId, TraceId, unhex};
use crate::span::{Attribute, Value};

/// One log record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) at: SystemTime,
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) span_id: Option<SpanId>,
    pub(crate) attributes: Vec<Attribute>,
}

impl Record {
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let mut record = Self {
            at: SystemTime::now(),
            level: *event.metadata().level(),
            message: String::new(),
            trace_id: None,
            span_id: None,
            attributes: Vec::new(),
        };
        event.record(&mut record);
        record
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), &value) {
            ("message", Value::Text(text)) => self.message = text.as_ref().to_owned(),
            ("trace_id", Value::Text(text)) => self.trace_id = unhex(text.as_bytes()).ok().map(TraceId),
            ("span_id", Value::Text(text)) => self.span_id = unhex(text.as_bytes()).ok().map(SpanId),
            (name, _) => self.attributes.push((name, value)),
        }
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned().into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
