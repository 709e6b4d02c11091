//! Traces, metrics and logs over OTLP.
//!
//! Callers only ever touch atomics and bounded queues: what does not fit is dropped and counted. A thread of its own, with a
//! runtime of its own, does the rest. It stands in for the `opentelemetry` crates and follows their environment variables.

mod config;
mod context;
mod export;
mod histogram;
mod lines;
mod logs;
mod metrics;
mod pipeline;
mod queue;
mod record;
mod sampler;
mod sink;
mod span;
mod state;
mod tls;
mod tracer;
mod transport;

pub use config::{Config, ConfigError, Service};
pub use context::{ParseError, SpanId, TraceContext, TraceId};
pub use logs::init_logging;
pub use metrics::{Counter, Histogram, Histograms, Meter};
pub use pipeline::Telemetry;
pub use sampler::Sampler;
pub use span::{Attribute, Kind, Link, Span, Status, Value};
pub use state::TraceState;
pub use tracer::Tracer;

/// Nanoseconds since the Unix epoch.
pub fn unix_nanos(at: std::time::SystemTime) -> u64 {
    at.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
