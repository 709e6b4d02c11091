use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use h2::{Ping, PingPong};
use lifecycle::Draining;
use lifecycle::connections::{Activity, SILENT_CHECKS};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// A connection without a call for this many checks is asked to finish: after five minutes.
const UNUSED_CHECKS: u32 = 30;

/// What a connection and its watch tell each other.
pub(super) struct Watch {
    pub(super) activity: Arc<Activity>,
    /// How often it is looked at.
    pub(super) check: Duration,
    /// Receives once the peer has begun to speak HTTP/2.
    pub(super) pings: oneshot::Receiver<PingPong>,
    /// Asks the connection to finish.
    pub(super) finish: oneshot::Sender<()>,
    pub(super) connection: AbortHandle,
    pub(super) draining: Draining,
}

impl Watch {
    /// Watches until the connection ends. It is asked to finish at the drain and when nobody uses it; a peer that has not
    /// begun to speak HTTP/2, does not answer a ping, does not read, or does not let the connection finish, is cut off.
    pub(super) async fn run(mut self) {
        let (mut ping, mut finish) = (None, Some(self.finish));
        let (mut silent, mut stuck, mut unused) = (0, 0, 0);
        let mut draining = std::pin::pin!(self.draining.begun());
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.check) => {}
                () = &mut draining, if finish.is_some() => {
                    // It fails only where the connection has ended.
                    let _ = finish.take().map(|finish| finish.send(()));
                    continue;
                }
            }
            if self.connection.is_finished() {
                return;
            }
            if ping.is_none() {
                ping = self.pings.try_recv().ok();
            }
            let Some(ping) = &mut ping else { return self.connection.abort() };
            silent = if self.activity.has_read() { 0 } else { silent + 1 };
            stuck = if self.activity.is_stuck() { stuck + 1 } else { 0 };
            unused = if self.activity.is_used() { 0 } else { unused + 1 };
            if silent.max(stuck) >= SILENT_CHECKS || unused >= UNUSED_CHECKS + SILENT_CHECKS {
                return self.connection.abort();
            }
            if silent > 0 {
                send(ping).await;
            }
            if unused >= UNUSED_CHECKS {
                let _ = finish.take().map(|finish| finish.send(()));
            }
        }
    }
}

/// Sends a ping, unless one is under way.
async fn send(ping: &mut PingPong) {
    poll_fn(|cx| {
        // Takes the answer to an earlier one.
        let _ = ping.poll_pong(cx);
        std::task::Poll::Ready(())
    })
    .await;
    let _ = ping.send_ping(Ping::opaque());
}
