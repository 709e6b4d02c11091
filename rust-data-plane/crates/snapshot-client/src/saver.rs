use std::io;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::disk::Store;

/// Changes within this time are saved together.
pub(crate) const SAVE_AFTER: Duration = Duration::from_millis(200);
/// A save that took a while is followed by a pause of this many times as long, so that a large state is not written all the time.
const PAUSE: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often it is noted on disk that the state is still the newest.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// How long a save may take at the end.
const LAST_SAVE: Duration = Duration::from_secs(2);

/// Saves on threads of their own, so that a disk that hangs delays neither the stream nor the end of the process.
pub(crate) struct Saver {
    store: Store,
    due: Option<Instant>,
    /// When the state was last known to be the newest.
    confirmed_at: SystemTime,
    noted: Instant,
    not_before: Instant,
    running: Option<(Instant, oneshot::Receiver<io::Result<()>>)>,
}

impl Saver {
    pub(crate) fn new(store: Store) -> Self {
        let now = Instant::now();
        Self { store, due: None, confirmed_at: SystemTime::now(), noted: now, not_before: now, running: None }
    }

    /// The state has changed, and is to be saved after some time.
    pub(crate) fn schedule(&mut self, after: Duration) {
        self.due.get_or_insert(Instant::now() + after);
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some()
    }

    /// The state is known to be the newest, which the time of the file says.
    pub(crate) fn confirmed(&mut self, at: SystemTime) {
        self.confirmed_at = at;
        if self.running.is_none() && self.due.is_none() && self.noted.elapsed() > NOTE_EVERY {
            self.noted = Instant::now();
            self.start(move |store| store.note(at));
        }
    }

    /// Returns when the state is to be encoded and given to `save`. Nothing is lost when it is cancelled.
    pub(crate) async fn ready(&mut self) {
        self.idle().await;
        match self.due {
            Some(at) => sleep_until(at.max(self.not_before)).await,
            None => std::future::pending().await,
        }
    }

    /// Begins to save an encoded state.
    pub(crate) fn save(&mut self, encoded: Vec<u8>) {
        self.due = None;
        self.noted = Instant::now();
        let at = self.confirmed_at;
        self.start(move |store| store.save(&encoded, at));
    }

    /// Waits for what is being saved, but not for ever.
    pub(crate) async fn finish(&mut self) {
        if timeout(LAST_SAVE, self.idle()).await.is_err() {
            tracing::error!("the disk did not take the snapshot in time");
        }
    }

    fn start(&mut self, write: impl FnOnce(&Store) -> io::Result<()> + Send + 'static) {
        let (done, running) = oneshot::channel();
        let store = self.store.clone();
        let thread = std::thread::Builder::new().name("snapshot-save".into()).spawn(move || {
            // The receiver is gone once the process ends.
            let _ = done.send(write(&store));
        });
        match thread {
            Ok(_) => self.running = Some((Instant::now(), running)),
            Err(error) => tracing::error!(%error, "the snapshot could not be saved"),
        }
    }

    async fn idle(&mut self) {
        let Some((began, running)) = &mut self.running else { return };
        let result = running.await;
        self.not_before = Instant::now() + (began.elapsed() * PAUSE).min(LONGEST_PAUSE);
        self.running = None;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the snapshot could not be saved"),
            Err(error) => tracing::error!(%error, "the snapshot could not be saved"),
        }
    }
}
