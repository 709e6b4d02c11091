//! Log records: as lines of key=value on stderr, and as OTLP.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::ConfigError;
use crate::context::{SpanId, TraceId, unhex};
use crate::pipeline::Queue;
use crate::sink::TARGET;
use crate::span::{Attribute, Value};

/// One record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) at: SystemTime,
    pub(crate) level: Level,
    pub(crate) message: String,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) span_id: Option<SpanId>,
    pub(crate) attributes: Vec<Attribute>,
}

/// Installs the process's logging: `LOG_LEVEL` (error, warn, info, debug, trace; default info) to stderr, and to the
/// telemetry's exporter where there is one. Then logs what of the telemetry's configuration could not be used.
///
/// Only the first call in a process installs the logging.
///
/// # Errors
/// `LOG_LEVEL` is set to something else.
pub fn init_logging(telemetry: &crate::Telemetry) -> Result<(), ConfigError> {
    let level = match std::env::var("LOG_LEVEL").as_deref() {
        Err(_) | Ok("") => LevelFilter::INFO,
        Ok(name) => {
            name.parse().map_err(|_| ConfigError::new("LOG_LEVEL", "must be error, warn, info, debug or trace"))?
        }
    };
    let layer = LogLayer { level, queue: telemetry.log_queue() };
    // An error means that a logger is installed already.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    for warning in telemetry.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(())
}

struct LogLayer {
    level: LevelFilter,
    queue: Option<Arc<Queue<Record>>>,
}

impl LogLayer {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        // Below warnings, the transports log every frame, those of the log's own export included.
        let chatty = ["h2", "hyper", "rustls", "tonic", "tower"].iter().any(|name| metadata.target().starts_with(name));
        let level = if chatty { self.level.min(LevelFilter::WARN) } else { self.level };
        *metadata.level() <= level
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record {
            at: SystemTime::now(),
            level: *event.metadata().level(),
            message: String::new(),
            trace_id: None,
            span_id: None,
            attributes: Vec::new(),
        };
        event.record(&mut record);
        // A closed stderr does not end the program.
        let _ = writeln!(std::io::stderr().lock(), "{}", Line(&record));
        if let Some(queue) = self.queue.as_ref().filter(|_| event.metadata().target() != TARGET) {
            queue.offer(record);
        }
    }
}

impl Record {
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

struct Line<'a>(&'a Record);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        write!(
            f,
            "time={} level={}",
            prost_types::Timestamp::from(record.at),
            record.level.as_str().to_ascii_lowercase()
        )?;
        pair(f, "msg", &record.message)?;
        for (name, value) in &record.attributes {
            match value {
                Value::Text(text) => pair(f, name, text)?,
                Value::Int(n) => write!(f, " {name}={n}")?,
                Value::Double(n) => write!(f, " {name}={n}")?,
                Value::Bool(b) => write!(f, " {name}={b}")?,
            }
        }
        if let Some(trace_id) = record.trace_id {
            write!(f, " trace_id={trace_id}")?;
        }
        if let Some(span_id) = record.span_id {
            write!(f, " span_id={span_id}")?;
        }
        Ok(())
    }
}

/// Quoted where it would not read as one word; a record is always one line.
fn pair(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    write!(f, " {name}=")?;
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'=') {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let record = Record {
            at: SystemTime::UNIX_EPOCH,
            level: Level::WARN,
            message: "two\nlines \"quoted\"".into(),
            trace_id: Some(TraceId([0xab; 16])),
            span_id: None,
            attributes: vec![("n", Value::Int(3)), ("word", "plain".into())],
        };
        assert_eq!(
            Line(&record).to_string(),
            "time=1970-01-01T00:00:00Z level=warn msg=\"two\\nlines \\\"quoted\\\"\" n=3 word=plain \
             trace_id=abababababababababababababababab"
        );
    }
}
