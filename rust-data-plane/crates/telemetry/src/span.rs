use std::borrow::Cow;
use std::time::SystemTime;

use crate::context::{SpanId, TraceContext};
use crate::state::TraceState;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "says what it is")]
pub enum Value {
    Text(Cow<'static, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// What is known of a span, a metric or a log record.
pub type Attribute = (&'static str, Value);

macro_rules! into_value {
    ($($from:ty => $variant:ident),* $(,)?) => { $(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )* };
}
into_value!(&'static str => Text, String => Text, i64 => Int, i32 => Int, u32 => Int, f64 => Double, bool => Bool);

/// The role of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "OpenTelemetry defines them")]
pub enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// How a span ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "OpenTelemetry defines them")]
pub enum Status {
    Unset,
    Ok,
    Error(String),
}

/// Another span that has to do with this one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "OpenTelemetry defines them")]
pub struct Link {
    pub context: TraceContext,
    pub state: Option<TraceState<'static>>,
}

/// A finished span.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "OpenTelemetry defines them")]
pub struct Span {
    pub context: TraceContext,
    pub state: Option<TraceState<'static>>,
    pub parent: Option<SpanId>,
    pub name: Cow<'static, str>,
    pub kind: Kind,
    pub start: SystemTime,
    pub end: SystemTime,
    pub attributes: Vec<Attribute>,
    pub links: Vec<Link>,
    pub status: Status,
}
