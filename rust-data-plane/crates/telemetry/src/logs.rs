//! Log records: as lines of key=value on stderr, and as OTLP.

use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::ConfigError;
use crate::lines::{Line, Lines};
use crate::queue::Queue;
use crate::record::Record;
use crate::sink::TARGET;

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
    let layer = LogLayer { level, queue: telemetry.log_queue(), lines: telemetry.lines() };
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
    lines: Arc<Lines>,
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
        let record = Record::of(event);
        self.lines.write(&Line(&record).to_string());
        if let Some(queue) = self.queue.as_ref().filter(|_| event.metadata().target() != TARGET) {
            queue.offer(record);
        }
    }
}
