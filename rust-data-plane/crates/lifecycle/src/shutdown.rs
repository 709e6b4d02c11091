use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// How far the end of a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// It is not ready, and still serves.
    Leaving,
    Draining,
}

/// Starts the drain of a process, for all its parts.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<Phase>);

/// Whether the process is about to drain, and whether its drain has begun.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<Phase>);

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    /// A handle for one part of the process.
    pub fn draining(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Begins the drain.
    pub fn start(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// Makes the process not ready, while it serves on.
    pub fn leave(&self) {
        self.0.send_if_modified(|phase| std::mem::replace(phase, (*phase).max(Phase::Leaving)) != *phase);
    }

    /// Begins the drain at the first SIGTERM or SIGINT, and then completes the future that it returns. For `delay` before that
    /// the process is not ready and still serves, so that who chooses among processes by their readiness learns of it in time. A
    /// second signal ends the process at once, with exit code 1.
    ///
    /// # Errors
    /// The signals cannot be handled, or no thread can be started.
    pub fn on_signal(&self, delay: Duration) -> io::Result<impl Future<Output = ()> + use<>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _entered = runtime.enter();
            Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? }
        };
        let (drain, (begun, begins)) = (self.clone(), oneshot::channel());
        // A thread of its own, so that the second signal is seen however busy the others are.
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                let signal = signals.next().await;
                tracing::info!(signal, delay_seconds = delay.as_secs(), "draining");
                drain.leave();
                if let Ok(signal) = tokio::time::timeout(delay, signals.next()).await {
                    tracing::warn!(signal, "ending without draining");
                    std::process::exit(1)
                }
                drain.start();
                // The receiver may be gone, if the process ends for another reason.
                let _ = begun.send(());
                let signal = signals.next().await;
                tracing::warn!(signal, "ending without draining");
                std::process::exit(1)
            })
        })?;
        Ok(async {
            // The thread sends before it ends.
            let _ = begins.await;
        })
    }
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

impl Draining {
    /// Whether the process is not ready any more, because its drain has begun or is about to begin.
    pub fn now(&self) -> bool {
        *self.0.borrow() >= Phase::Leaving
    }

    /// Returns once the drain has begun, or can no longer begin.
    pub async fn begun(mut self) {
        let _ = self.0.wait_for(|phase| *phase == Phase::Draining).await;
    }
}
