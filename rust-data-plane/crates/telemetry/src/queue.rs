use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// A bounded queue that never makes its writer wait.
pub(crate) struct Queue<T> {
    sender: mpsc::Sender<T>,
    dropped: AtomicU64,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> (Arc<Self>, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Arc::new(Self { sender, dropped: AtomicU64::new(0) }), receiver)
    }

    pub(crate) fn offer(&self, record: T) {
        if self.sender.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
