use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lifecycle::connections::Places;
use lifecycle::{Drain, Failure, Readiness, Settings, State};
use serde_json::json;
use snapshot_client::{Backoff, Client, Node, Snapshots};
use telemetry::{Service, Telemetry};
use tokio::sync::oneshot;

use crate::config::{Config, PROGRAM};
use crate::events::Events;
use crate::grpc::Pricing;
use crate::http;
use crate::metrics;
use crate::quotes::Quotes;
use crate::room::Room;
use crate::server::{Answering, DRAIN_DEADLINE, Worker, listeners};

pub(crate) const BACKOFF_BASE: Duration = Duration::from_millis(100);
pub(crate) const BACKOFF_CAP: Duration = Duration::from_secs(5);
/// Bytes that the process holds for callers who have not sent the rest of a request, or do not take their answer.
const ROOM: usize = 128 << 20;
/// How often it is checked whether all threads run.
const THREADS_CHECK: Duration = Duration::from_secs(1);
/// How long telemetry may take to flush at the end.
const TELEMETRY_DEADLINE: Duration = Duration::from_secs(2);

/// A running data plane.
pub struct Process {
    telemetry: Telemetry,
    events: Arc<Events>,
    watcher: (Arc<AtomicBool>, JoinHandle<()>),
    follower: (oneshot::Sender<()>, JoinHandle<()>),
    workers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Runs until a signal, then drains.
    pub fn run(settings: Settings) -> Result<(), Failure> {
        let config = Config::from_settings(settings)?;
        let service = Service { name: PROGRAM.name, version: PROGRAM.version, instance: Some(&config.node_id) };
        let telemetry = Telemetry::start(telemetry::Config::from_env(service));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let drain = Drain::new();
            let signal = drain.on_signal(config.drain_delay)?;
            Self::start(config, telemetry, &drain)?.serve(signal, &drain).await
        })
    }

    /// Serves until the signal, or until a thread has ended by a fault, which only a new process mends; then drains.
    async fn serve(self, signal: impl Future<Output = ()>, drain: &Drain) -> Result<(), Failure> {
        let ended = tokio::select! {
            () = signal => None,
            name = self.first_to_end() => Some(name),
        };
        if let Some(name) = ended {
            tracing::error!(thread = name, "a thread has ended; a new process is needed");
            drain.start();
        }
        self.finish();
        ended.map_or(Ok(()), |name| Err(Failure::other(io::Error::other(format!("the thread of {name} has ended")))))
    }

    fn start(config: Config, telemetry: Telemetry, drain: &Drain) -> Result<Self, Failure> {
        telemetry::init_logging(&telemetry).map_err(Failure::setting)?;
        let grpc =
            listeners(config.grpc, config.workers).map_err(|error| Failure::port("GRPC_PORT", config.grpc, &error))?;
        let http_listeners =
            listeners(config.http, config.workers).map_err(|error| Failure::port("HTTP_PORT", config.http, &error))?;

        let meter = telemetry.meter();
        let events = Arc::new(Events::new(&config.node_id, &config.kafka, config.workers).map_err(Failure::other)?);
        events.register(&meter);
        let watcher = watch(&events)?;

        let node = Node { id: config.node_id.clone(), software_version: PROGRAM.version.into() };
        let backoff = Backoff::new(BACKOFF_BASE, BACKOFF_CAP).map_err(Failure::other)?;
        let client = Client::new(node, config.control_plane, &config.state_dir, backoff, config.budget_max_staleness)
            .map_err(|error| Failure::setting(format!("STATE_DIR cannot be used: {error}")))?;
        let snapshots = client.snapshots();
        metrics::register_snapshots(&meter, &snapshots);
        let follower = follow(client)?;

        let readiness = readiness(drain, &snapshots, &events);
        let quotes = Quotes::new(snapshots, Arc::clone(&events), telemetry.tracer(), config.delay);
        let pricing = Pricing::new(quotes.clone(), drain.draining(), &meter);
        let room = Room::new(ROOM);
        let routes = http::routes(quotes, room.clone(), readiness.clone(), &meter);
        let answering = Answering::default();
        let refused = Arc::default();
        metrics::register_refused(&meter, &refused);
        let places = || Places::new(config.connections, &refused);
        let (grpc_places, http_places) = (places(), places());
        let workers = grpc.into_iter().zip(http_listeners).enumerate().map(|(number, (grpc, http))| {
            Worker {
                grpc: (grpc, grpc_places.clone()),
                http: (http, http_places.clone()),
                pricing: pricing.clone(),
                events: Arc::clone(&events),
                routes: routes.clone(),
                readiness: readiness.clone(),
                draining: drain.draining(),
                answering: answering.clone(),
                room: room.clone(),
            }
            .spawn(number)
        });
        let workers = workers.collect::<Result<_, _>>()?;
        drop(answering);
        tracing::info!(node = config.node_id, grpc = %config.grpc, http = %config.http, workers = config.workers, "serving");
        if let Some(delay) = config.delay {
            tracing::warn!(delay_us = delay.as_micros() as u64, "every quote is delayed on purpose");
        }
        Ok(Self { telemetry, events, watcher, follower, workers })
    }

    /// Returns the name of a thread that has ended before the drain, which only a fault makes it do.
    async fn first_to_end(&self) -> &'static str {
        let ended = || {
            let threads = self.workers.iter().map(|worker| ("a worker", worker));
            let threads = threads.chain([("the snapshots", &self.follower.1), ("the events", &self.watcher.1)]);
            threads.filter(|(_, thread)| thread.is_finished()).map(|(name, _)| name).next()
        };
        loop {
            if let Some(name) = ended() {
                return name;
            }
            tokio::time::sleep(THREADS_CHECK).await;
        }
    }

    /// Finishes what is in flight, then flushes events, then telemetry.
    fn finish(self) {
        let until = Instant::now() + DRAIN_DEADLINE;
        for worker in self.workers {
            // A panic has been printed by its thread.
            let _ = worker.join();
        }
        let left = self.events.flush(until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1)));
        if left > 0 {
            tracing::error!(events = left, "events were not delivered before the end and are lost");
        }
        // It fails only when the follower has ended already.
        let _ = self.follower.0.send(());
        let _ = self.follower.1.join();
        self.watcher.0.store(true, Ordering::Relaxed);
        self.watcher.1.thread().unpark();
        let _ = self.watcher.1.join();
        tracing::info!("drained");
        self.telemetry.shutdown(TELEMETRY_DEADLINE);
    }
}

fn watch(events: &Arc<Events>) -> std::io::Result<(Arc<AtomicBool>, JoinHandle<()>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let (events, stopped) = (Arc::clone(events), Arc::clone(&stop));
    let thread = std::thread::Builder::new().name("events-watch".into()).spawn(move || events.watch(&stopped))?;
    Ok((stop, thread))
}

/// The stream of snapshots has its own thread, so that preparing a large one delays no quote.
pub(crate) fn follow(client: Client) -> std::io::Result<(oneshot::Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("snapshots".into()).spawn(move || {
        runtime.block_on(client.run(async {
            let _ = stopped.await;
        }));
    })?;
    Ok((stop, thread))
}

fn readiness(drain: &Drain, snapshots: &Snapshots, events: &Arc<Events>) -> Readiness {
    let readiness = Readiness::new(drain.draining());
    let held = snapshots.clone();
    readiness.gate("snapshot", move || match held.load().as_ref() {
        Some(snapshot) => State::done(format!("version {}, {} items", snapshot.version(), snapshot.items())),
        None => State::pending("no snapshot yet, neither from the control plane nor on disk"),
    });
    let events = Arc::clone(events);
    readiness.inform("kafka", move || events.state());
    let held = snapshots.clone();
    readiness.inform("control-plane", move || match (held.discounts_suspended(), held.is_stale()) {
        (true, _) => {
            State::pending("no discount is granted, because how much of the budgets is spent is not known any more")
        }
        (false, true) => {
            State::pending(format!("nobody confirms that version {} is the newest", held.applied_version()))
        }
        (false, false) => State::done(""),
    });
    let held = snapshots.clone();
    readiness.note("snapshot", move || {
        json!({
            "version": held.applied_version(),
            "offeredVersion": held.offered_version(),
            "stale": held.is_stale(),
            "ageSeconds": held.age().map(|age| age.as_secs_f64()),
            "rejected": held.rejected(),
            "discountsSuspended": held.discounts_suspended(),
        })
    });
    readiness
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use harness::free_address;
    use tonic::transport::Endpoint;

    use super::*;

    fn start(drain: &Drain, state_dir: &std::path::Path) -> Process {
        let config = Config {
            node_id: "node-1".into(),
            http: free_address(),
            grpc: free_address(),
            state_dir: state_dir.to_owned(),
            control_plane: Endpoint::from_static("http://127.0.0.1:1"),
            kafka: "127.0.0.1:1".into(),
            workers: 1,
            connections: 1,
            budget_max_staleness: Duration::from_secs(300),
            drain_delay: Duration::ZERO,
            delay: None,
        };
        let service = Service { name: PROGRAM.name, version: PROGRAM.version, instance: None };
        Process::start(config, Telemetry::start(telemetry::Config::from_env(service)), drain).unwrap()
    }

    #[tokio::test]
    async fn a_thread_that_dies_ends_the_process_as_a_failure() {
        let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new());
        let mut process = start(&drain, folder.path());
        process.workers.push(std::thread::spawn(|| panic!("a fault of a worker")));
        // Exit code 1, which the host answers with a new process.
        let failure = process.serve(pending(), &drain).await.unwrap_err();
        assert!(matches!(&failure, Failure::Other(error) if error.to_string().contains("a worker")), "{failure}");
    }

    #[tokio::test]
    async fn a_signal_ends_the_process_well() {
        let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::new());
        let process = start(&drain, folder.path());
        drain.start();
        process.serve(ready(()), &drain).await.unwrap();
    }
}
