use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::config::{Config, ConfigError};
use crate::export;
use crate::lines::Lines;
use crate::metrics::Meter;
use crate::queue::Queue;
use crate::record::Record;
use crate::span::Span;
use crate::tracer::Tracer;

/// The process's telemetry, until it is shut down.
pub struct Telemetry {
    tracer: Tracer,
    meter: Meter,
    logs: Option<Arc<Queue<Record>>>,
    lines: Arc<Lines>,
    exporter: Option<Exporter>,
    warnings: Vec<ConfigError>,
}

struct Exporter {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    fn start(
        config: Config,
        spans: mpsc::Receiver<Span>,
        logs: mpsc::Receiver<Record>,
        meter: Meter,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("telemetry".into())
            .spawn(move || runtime.block_on(export::run(config, spans, logs, meter, stopped)))?;
        Ok(Self { stop, thread })
    }
}

impl Telemetry {
    /// Starts to export, where the configuration names an endpoint. The endpoint need not answer yet. Where no thread can be
    /// started nothing is exported, which `init_logging` logs as a warning.
    pub fn start(mut config: Config) -> Self {
        let meter = Meter::default();
        let sampler = config.sampler;
        let mut warnings = std::mem::take(&mut config.warnings);
        let lines = Arc::<Lines>::default();
        let (spans, span_receiver) = Queue::new(config.spans.queue);
        let (logs, log_receiver) = Queue::new(config.logs.queue);
        let exporter = match config.endpoints.is_empty() {
            true => None,
            false => Exporter::start(config, span_receiver, log_receiver, meter.clone())
                .inspect_err(|error| {
                    warnings.push(ConfigError::new("OTEL_EXPORTER_OTLP_ENDPOINT", format!("is not used: {error}")));
                })
                .ok(),
        };
        if exporter.is_none() {
            return Self { tracer: Tracer::new(sampler, None), meter, logs: None, lines, exporter, warnings };
        }
        for (name, description, dropped) in [
            ("hybrid.telemetry.spans.dropped", "Spans that found the queue full", {
                let spans = Arc::clone(&spans);
                Box::new(move || spans.dropped()) as Box<dyn Fn() -> u64 + Send>
            }),
            ("hybrid.telemetry.logs.dropped", "Log records that found the queue full", {
                let logs = Arc::clone(&logs);
                Box::new(move || logs.dropped()) as Box<dyn Fn() -> u64 + Send>
            }),
            ("hybrid.telemetry.lines.dropped", "Lines of the log on stderr that nobody read in time", {
                let lines = Arc::clone(&lines);
                Box::new(move || lines.dropped()) as Box<dyn Fn() -> u64 + Send>
            }),
        ] {
            meter.observed_counter(name, "{record}", description, dropped);
        }
        Self { tracer: Tracer::new(sampler, Some(spans)), meter, logs: Some(logs), lines, exporter, warnings }
    }

    /// Starts and takes spans.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Makes instruments.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    pub(crate) fn warnings(&self) -> &[ConfigError] {
        &self.warnings
    }

    pub(crate) fn log_queue(&self) -> Option<Arc<Queue<Record>>> {
        self.logs.clone()
    }

    pub(crate) fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines)
    }

    /// Exports what is left, for at most `deadline`.
    pub fn shutdown(self, deadline: Duration) {
        let Some(exporter) = self.exporter else { return };
        let until = Instant::now() + deadline;
        // It fails only when the thread has ended already.
        let _ = exporter.stop.send(true);
        while !exporter.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
