//! The pricing twin in Rust, as it is written first: stock tonic on tokio's default runtime. The data plane is the careful form
//! of the same service; Lab/twins/README.md says where they differ.

mod config;
mod events;
mod service;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use contracts::hybrid::pricing::v1::pricing_service_server::{PricingServiceServer, SERVICE_NAME};
use lifecycle::{Drain, Failure, GrpcHealth, Readiness, Settings, State};
use snapshot_client::{Backoff, Client, Node, Snapshots};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::config::{Config, PROGRAM};
use crate::events::Events;
use crate::service::Pricing;

const MAX_MESSAGE: usize = 1 << 20;
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long calls, and then events, may take to finish at the end.
const DRAIN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    lifecycle::main(PROGRAM, |settings| tokio::runtime::Runtime::new()?.block_on(run(settings)))
}

async fn run(settings: Settings) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let config = Config::from_settings(settings)?;
    let drain = Drain::new();
    let signal = drain.on_signal(Duration::ZERO)?;
    let listener =
        TcpListener::bind(config.grpc).await.map_err(|error| Failure::port("GRPC_PORT", config.grpc, &error))?;
    let events = Arc::new(Events::new(&config).map_err(Failure::other)?);

    let node = Node { id: config.node_id.clone(), software_version: PROGRAM.version.into() };
    let backoff = Backoff::new(BACKOFF.0, BACKOFF.1).map_err(Failure::other)?;
    let client = Client::new(node, config.control_plane, &config.state_dir, backoff, config.max_staleness)
        .map_err(|error| Failure::setting(format!("STATE_DIR cannot be used: {error}")))?;
    let snapshots = client.snapshots();
    let (stop, stopped) = oneshot::channel::<()>();
    let following = tokio::spawn(client.run(async {
        let _ = stopped.await;
    }));

    let pricing = PricingServiceServer::new(Pricing::new(snapshots.clone(), Arc::clone(&events)));
    let readiness = readiness(&drain, snapshots);
    let server = Server::builder()
        .add_service(pricing.max_decoding_message_size(MAX_MESSAGE))
        .add_service(GrpcHealth::server(readiness, &[SERVICE_NAME]));
    tracing::info!(node = config.node_id, grpc = %config.grpc, "serving");
    let draining = drain.draining();
    let forced = async {
        draining.begun().await;
        tokio::time::sleep(DRAIN).await;
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::select! {
        served = server.serve_with_incoming_shutdown(incoming, signal) => served.map_err(Failure::other)?,
        () = forced => tracing::warn!("calls were cut off at the end of the drain"),
    }
    let lost = tokio::task::spawn_blocking(move || events.flush(DRAIN)).await.unwrap_or_default();
    if lost > 0 {
        tracing::error!(events = lost, "events were lost");
    }
    // It fails only when the follower has ended already.
    let _ = stop.send(());
    let _ = following.await;
    Ok(())
}

fn readiness(drain: &Drain, snapshots: Snapshots) -> Readiness {
    let readiness = Readiness::new(drain.draining());
    readiness.gate("snapshot", move || match snapshots.load().as_ref() {
        Some(snapshot) => State::done(format!("version {}", snapshot.version())),
        None => State::pending("no snapshot yet"),
    });
    readiness
}
