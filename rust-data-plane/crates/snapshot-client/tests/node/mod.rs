use std::path::Path;
use std::time::Duration;

use fake_control_plane::{ControlPlane, Session, digest, item, tax_rule, whole};
use pricing::{Instant, Request};
use snapshot_client::{Backoff, Client, Node, Snapshots};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A node that runs until it is stopped.
pub(crate) struct Running {
    pub(crate) snapshots: Snapshots,
    stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(url: &str, folder: &Path) -> Self {
        Self::build("test", url, folder)
    }

    /// Starts another build of the node.
    pub(crate) fn build(software_version: &str, url: &str, folder: &Path) -> Self {
        Self::launch(software_version, url, folder, Duration::from_secs(300))
    }

    pub(crate) fn launch(software_version: &str, url: &str, folder: &Path, max_staleness: Duration) -> Self {
        let node = Node { id: "node-1".into(), software_version: software_version.into() };
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100)).unwrap();
        let client = Client::new(node, url.parse().unwrap(), folder, backoff, max_staleness).unwrap();
        let snapshots = client.snapshots();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(client.run(async {
            let _ = stopped.await;
        }));
        Self { snapshots, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }

    /// Gross of one piece, without tax in DE.
    pub(crate) fn price(&self, sku: &str) -> Result<i64, &'static str> {
        let snapshot = self.snapshots.load();
        let snapshot = snapshot.as_ref().ok_or("SNAPSHOT_MISSING")?;
        let request = Request::<_, &str> {
            currency_code: "EUR",
            jurisdiction: "DE",
            lines: [(sku, 1)].into_iter(),
            coupons: &[],
        };
        pricing::quote(snapshot, request, Instant { seconds: 0, nanos: 0 })
            .map(|quote| quote.totals.gross_minor)
            .map_err(|error| error.reason())
    }
}

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}

/// Accepts a stream and brings the node to version 2: a mug, and no tax.
pub(crate) async fn bring_up(control: &ControlPlane) -> Session {
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    session.update(whole("first", 2, vec![item("mug", 1000, 1), tax_rule("DE", 0, 2)])).await.unwrap();
    let ack = session.ack().await.unwrap();
    assert_eq!((ack.nonce.as_str(), ack.version, ack.rejects.len()), ("first", 2, 0));
    assert_eq!(ack.digest, digest(&[("item/mug", 1), ("tax_rule/DE/standard", 2)]));
    session
}
