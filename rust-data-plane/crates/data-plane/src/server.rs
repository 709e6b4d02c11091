use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use lifecycle::connections::Places;
use lifecycle::{Draining, GrpcHealth, Readiness};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tonic::service::Routes;

use crate::events::Events;
use crate::grpc::Pricing;
use crate::http2;
use crate::room::Room;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;
/// What is in flight when the drain begins may take this long.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// One runtime on one thread with its own listeners. A request is served on the thread of its connection.
pub(crate) struct Worker {
    pub(crate) grpc: (StdListener, Places),
    pub(crate) http: (StdListener, Places),
    pub(crate) pricing: Pricing,
    pub(crate) events: Arc<Events>,
    pub(crate) routes: Router,
    pub(crate) readiness: Readiness,
    pub(crate) draining: Draining,
    /// Held while this worker has gRPC calls to answer.
    pub(crate) answering: Answering,
    pub(crate) room: Room,
}

/// Tells when no worker answers gRPC any more. Each worker holds one until then.
///
/// The kernel resets connections that wait at a listener when it is closed, and distributes new ones among all listeners
/// of a port. So no worker closes its HTTP listener before the last one has finished: health checks reach the process
/// throughout its drain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answering(watch::Sender<()>);

impl Answering {
    /// Gives up this worker's, and waits until every other worker has given up its own.
    async fn done(self) {
        let mut others = self.0.subscribe();
        drop(self);
        // Nothing is ever sent: it fails once the last sender is gone.
        let _ = others.changed().await;
    }
}

/// One listener for each worker on the same address; the kernel distributes connections among them.
pub(crate) fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    // Only the workers share the port. This fails if another process holds it, even one that would share it.
    drop(bind(address, false)?);
    (0..count).map(|_| bind(address, true)).collect()
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Worker {
    /// Serves on a thread of its own until the drain is over.
    pub(crate) fn spawn(self, number: usize) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            if let Err(error) = runtime.block_on(self.serve(number)) {
                tracing::error!(%error, "a worker cannot serve");
            }
        })
    }

    async fn serve(self, number: usize) -> io::Result<()> {
        let (grpc, grpc_places) = (TcpListener::from_std(self.grpc.0)?, self.grpc.1);
        let (http, http_places) = (TcpListener::from_std(self.http.0)?, self.http.1);
        let (grpc_done, after_grpc) = oneshot::channel::<()>();
        let (answering, deadline) = (self.answering, self.draining.clone());

        let routes = Routes::new(self.pricing.clone().server())
            .add_service(GrpcHealth::server(self.readiness, &["hybrid.pricing.v1.PricingService"]))
            .prepare();
        let server = http2::Server { pricing: self.pricing, routes, draining: self.draining, room: self.room };
        let grpc = async move {
            server.serve(grpc, grpc_places).await;
            answering.done().await;
            drop(grpc_done);
        };
        // Ends last, so that /readyz can report the drain.
        let http = lifecycle::serve_http(http, http_places, self.routes, async {
            let _ = after_grpc.await;
        });
        let forced = async {
            deadline.begun().await;
            tokio::time::sleep(DRAIN_DEADLINE).await;
        };
        tokio::select! {
            _ = async { tokio::join!(grpc, http) } => {}
            () = self.events.attend(number) => {}
            () = forced => tracing::warn!("requests were still in flight at the drain's deadline"),
        }
        Ok(())
    }
}
