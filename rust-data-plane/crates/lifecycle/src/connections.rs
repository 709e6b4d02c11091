//! Connections of a port: how many there may be, and when silent ones are closed.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How often it is checked whether a connection is silent.
const CHECK: Duration = Duration::from_secs(10);
/// After this many checks without a byte, a connection is closed.
pub const SILENT_CHECKS: u32 = 3;
/// The pause after the system had no resources for another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How many connections a port serves at once, all workers together.
#[derive(Clone, Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
    check: Duration,
}

impl Places {
    /// Places of one port. `refused` counts the connections of all ports that found none.
    pub fn new(count: usize, refused: &Arc<AtomicU64>) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), refused: Arc::clone(refused), check: CHECK }
    }

    /// Places whose connections are checked at other intervals than each 10 s, so that a test need not wait minutes.
    #[must_use]
    pub fn checked_every(self, check: Duration) -> Self {
        Self { check, ..self }
    }

    /// How often it is checked whether a connection is silent.
    pub fn check(&self) -> Duration {
        self.check
    }

    /// The next connection, with its place. A connection that finds no place is closed at once.
    pub async fn accept(&self, listener: &TcpListener) -> (Watched<TcpStream>, Arc<Activity>) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    // An error here shows at the first use of the stream.
                    let _ = stream.set_nodelay(true);
                    let activity = Arc::new(Activity::default());
                    return (Watched { stream, activity: Arc::clone(&activity), _place: place }, activity);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

/// Whether the error concerns only the connection that was being accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What has happened on a connection since it was last checked.
#[derive(Debug, Default)]
pub struct Activity {
    read: AtomicBool,
    written: AtomicBool,
    /// The last write had to wait: the peer reads too slowly, or not at all.
    full: AtomicBool,
    /// Tells that a write has gone on.
    drained: Notify,
    asked: AtomicBool,
    open: AtomicUsize,
}

impl Activity {
    /// Whether the peer has sent something since the last check.
    pub fn has_read(&self) -> bool {
        self.read.swap(false, Ordering::Relaxed)
    }

    /// Whether a byte has gone either way since the last check.
    pub fn has_moved(&self) -> bool {
        self.read.swap(false, Ordering::Relaxed) | self.written.swap(false, Ordering::Relaxed)
    }

    /// Whether a write waits that has waited since the last check.
    pub fn is_stuck(&self) -> bool {
        !self.written.swap(false, Ordering::Relaxed) & self.is_full()
    }

    /// Whether a write waits because the peer does not read.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Returns when no write waits.
    pub async fn drained(&self) {
        loop {
            let mut drained = pin!(self.drained.notified());
            // From here on nothing is missed.
            drained.as_mut().enable();
            if !self.is_full() {
                return;
            }
            drained.await;
        }
    }

    fn note_write(&self, done: bool) {
        if !done {
            return self.full.store(true, Ordering::Relaxed);
        }
        self.written.store(true, Ordering::Relaxed);
        if self.is_full() {
            self.full.store(false, Ordering::Relaxed);
            self.drained.notify_waiters();
        }
    }

    /// A request has arrived.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether a request has arrived since the last check, or is being answered.
    pub fn is_used(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed) | (self.open.load(Ordering::Relaxed) > 0)
    }

    /// Counts a call that is not answered at once, until it is dropped.
    pub fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }
}

/// A call that is being answered.
pub struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that notes its activity.
///
/// It does not report vectored writes: h2 then copies answers of up to 1 KiB into one buffer, and writes them together.
pub struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    _place: OwnedSemaphorePermit,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.activity.read.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.note_write(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
