use std::thread::JoinHandle;
use std::time::Duration;

use lifecycle::connections::Places;
use lifecycle::{Drain, Failure, Readiness, Settings, State};
use telemetry::{Service, Telemetry};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::{Config, PROGRAM};
use crate::metrics::Metrics;
use crate::stop::Stop;
use crate::worker::{Ended, Worker};

const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// The port serves health checks only.
const MAX_CONNECTIONS: usize = 100;
const WATCH: Duration = Duration::from_secs(1);
const TELEMETRY_DEADLINE: Duration = Duration::from_secs(2);

/// A running instance of metering.
pub struct Process;

impl Process {
    /// Runs until a signal, or until an error from which only a new process recovers.
    pub fn run(settings: Settings) -> Result<(), Failure> {
        let config = Config::from_settings(settings)?;
        // Processes may share the name of their instance, one after the other, but each has an id of its own.
        let service = Service { name: PROGRAM.name, version: PROGRAM.version, instance: None };
        let telemetry = Telemetry::start(telemetry::Config::from_env(service));
        telemetry::init_logging(&telemetry).map_err(Failure::setting)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(serve(config, &telemetry));
        if let Err(error) = &result {
            tracing::error!(%error, "ending");
        }
        telemetry.shutdown(TELEMETRY_DEADLINE);
        result
    }
}

async fn serve(config: Config, telemetry: &Telemetry) -> Result<(), Failure> {
    let listener =
        TcpListener::bind(config.http).await.map_err(|error| Failure::port("HTTP_PORT", config.http, &error))?;
    let stop = Stop::default();
    let drain = Drain::new();
    let signal = drain.on_signal(Duration::ZERO)?;
    let readiness = readiness(&drain, &stop, config.stand_in);
    let metrics = Metrics::new(&telemetry.meter());
    let places = Places::new(MAX_CONNECTIONS, &metrics.refused);
    let (tracer, stops, settings) = (telemetry.tracer(), stop.clone(), config.clone());
    let worker = move || Worker::new(&settings, tracer.clone(), metrics.clone(), stops.clone());
    let first = worker().map_err(Failure::other)?;
    let (ended, end) = oneshot::channel();
    let thread: JoinHandle<()> = std::thread::Builder::new().name("metering".into()).spawn(move || {
        let mut result = first.run();
        // Leaves the consumer group before another joins it, and before the end is reported.
        drop(first);
        while let Ok(Ended::TopicAnew) = result {
            result = worker().and_then(|next| next.run());
        }
        // The receiver is gone once the deadline has passed.
        let _ = ended.send(result);
    })?;
    tracing::info!(instance = config.instance, http = %config.http, "metering");

    let watched = stop.clone();
    let hung = async move {
        while !watched.hung() {
            tokio::time::sleep(WATCH).await;
        }
        Err(Failure::other(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "a call into Kafka does not come back; a new process is needed",
        )))
    };
    let work = async {
        tokio::pin!(end);
        tokio::select! {
            result = &mut end => return finished(result),
            () = signal => {}
        }
        stop.stop();
        match tokio::time::timeout(DRAIN_DEADLINE, &mut end).await {
            Ok(result) => finished(result),
            Err(_) => {
                tracing::warn!("the last batch was not committed in time; it is read again at the next start");
                Ok(())
            }
        }
    };
    let http = lifecycle::serve_http(listener, places, lifecycle::routes(readiness), std::future::pending());
    let result = tokio::select! {
        result = work => result,
        result = hung => result,
        () = http => Ok(()),
    };
    if thread.is_finished() {
        // A panic has been printed by its thread.
        let _ = thread.join();
    }
    result
}

fn finished(result: Result<kafka::error::KafkaResult<Ended>, oneshot::error::RecvError>) -> Result<(), Failure> {
    result.map_err(Failure::other)?.map(drop).map_err(Failure::other)
}

fn readiness(drain: &Drain, stop: &Stop, stand_in: bool) -> Readiness {
    let readiness = Readiness::new(drain.draining());
    let worker = stop.clone();
    readiness.gate("transactions", move || match worker.has_transactions() {
        true if stand_in => State::done("none: Kafka is the stand-in"),
        true => State::done("the broker takes transactions"),
        false => State::pending("the broker does not answer yet"),
    });
    let worker = stop.clone();
    readiness.gate("group", move || match worker.partitions() {
        Some(count) => State::done(format!("{count} partitions")),
        None => State::pending("the consumer group is not joined yet"),
    });
    let worker = stop.clone();
    readiness.gate("progress", move || match worker.stuck() {
        None => State::done(worker.lost().unwrap_or_default()),
        Some(reason) => State::pending(reason),
    });
    readiness
}
