use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::export;
use crate::logs::Record;
use crate::metrics::Meter;
use crate::span::Tracer;

/// Records that may wait, of each kind.
const CAPACITY: usize = 8_192;

/// A bounded queue that never makes its writer wait.
pub(crate) struct Queue<T> {
    sender: mpsc::Sender<T>,
    dropped: AtomicU64,
}

impl<T> Queue<T> {
    fn new() -> (Arc<Self>, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Arc::new(Self { sender, dropped: AtomicU64::new(0) }), receiver)
    }

    pub(crate) fn offer(&self, record: T) {
        if self.sender.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The process's telemetry, until it is shut down.
pub struct Telemetry {
    tracer: Tracer,
    meter: Meter,
    logs: Option<Arc<Queue<Record>>>,
    exporter: Option<Exporter>,
}

struct Exporter {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Telemetry {
    /// Starts to export, where the configuration names an endpoint. The endpoint need not answer yet.
    pub fn start(config: Config) -> std::io::Result<Self> {
        let meter = Meter::default();
        let sampler = config.sampler;
        if config.endpoint.is_none() {
            return Ok(Self { tracer: Tracer::new(sampler, None), meter, logs: None, exporter: None });
        }
        let (spans, span_receiver) = Queue::new();
        let (logs, log_receiver) = Queue::new();
        for (name, description, dropped) in [
            ("otel.spans.dropped", "Spans that found the queue full", {
                let spans = Arc::clone(&spans);
                Box::new(move || spans.dropped()) as Box<dyn Fn() -> u64 + Send>
            }),
            ("otel.logs.dropped", "Log records that found the queue full", {
                let logs = Arc::clone(&logs);
                Box::new(move || logs.dropped()) as Box<dyn Fn() -> u64 + Send>
            }),
        ] {
            meter.observed_counter(name, "{record}", description, dropped);
        }
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let instruments = meter.clone();
        let thread = std::thread::Builder::new().name("telemetry".into()).spawn(move || {
            runtime.block_on(export::run(config, span_receiver, log_receiver, instruments, stopped));
        })?;
        Ok(Self {
            tracer: Tracer::new(sampler, Some(spans)),
            meter,
            logs: Some(logs),
            exporter: Some(Exporter { stop, thread }),
        })
    }

    /// Starts and takes spans.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Makes instruments.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    pub(crate) fn log_queue(&self) -> Option<Arc<Queue<Record>>> {
        self.logs.clone()
    }

    /// Exports what is left, for at most `deadline`.
    pub fn shutdown(self, deadline: Duration) {
        let Some(exporter) = self.exporter else { return };
        let until = Instant::now() + deadline;
        // The thread may have ended; then there is nobody to stop.
        let _ = exporter.stop.send(true);
        while !exporter.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
