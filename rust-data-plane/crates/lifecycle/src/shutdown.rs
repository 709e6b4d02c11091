use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Ends a process in one place: all parts wait for the same word.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<bool>);

/// Whether the process is to end.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<bool>);

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Not yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// What the parts hold.
    pub fn draining(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Says the word.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    /// Says the word at the first SIGTERM or SIGINT, and returns then.
    pub async fn on_signal(&self) -> std::io::Result<()> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "draining");
        self.start();
        Ok(())
    }
}

impl Draining {
    /// Whether the word was said.
    pub fn now(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the word was said, or nobody is left to say it.
    pub async fn begun(mut self) {
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}
