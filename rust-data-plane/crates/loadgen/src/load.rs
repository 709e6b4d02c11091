use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::grpc::health::v1::HealthCheckRequest;
use contracts::grpc::health::v1::health_client::HealthClient;
use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use snapshot_client::Backoff;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{self, MissedTickBehavior, interval, timeout_at};
use tonic::{Code, Request, Status};

use crate::connection::Connection;
use crate::pace::Pacer;
use crate::plan::{Call, Plan, Target};
use crate::report::{Amounts, Counts, Report, Tally, report};

const BACKOFF_BASE: Duration = Duration::from_millis(50);
const BACKOFF_CAP: Duration = Duration::from_secs(1);
/// From the last connection to the first call.
const HEAD_START: Duration = Duration::from_millis(20);
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since the first call was due.
    pub elapsed: Duration,
    /// Of all targets, the warm-up included.
    pub counts: Counts,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { sent, answered, failed, late, .. } = &self.counts;
        write!(f, "{:4.0}s  sent {sent}  answered {answered}  late {late}", self.elapsed.as_secs_f64())?;
        failed.iter().try_for_each(|(code, count)| write!(f, "  {code} {count}"))
    }
}

/// A server, the connections to it, and what became of its calls.
struct Lane {
    target: Target,
    connections: Vec<Connection>,
    tally: Mutex<Tally>,
}

impl Lane {
    fn tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs `plan`, and calls `progress` once a second.
///
/// When `stop` completes nothing more is sent, and what is in flight is waited for. When `abandon` completes that is no
/// longer waited for either, and is reported as CANCELLED.
///
/// # Errors
/// A thread cannot be started.
pub async fn run(
    plan: Plan,
    stop: impl Future<Output = ()>,
    abandon: impl Future<Output = ()>,
    mut progress: impl FnMut(&Progress),
) -> io::Result<Report> {
    let backoff = Backoff::new(BACKOFF_BASE, BACKOFF_CAP).map_err(io::Error::other)?;
    let lanes: Arc<[Lane]> = plan
        .targets
        .iter()
        .map(|target| Lane {
            target: target.clone(),
            connections: (0..plan.connections)
                .map(|_| Connection::new(target.clone(), plan.timeout, backoff.clone()))
                .collect(),
            tally: Mutex::new(Tally::new()),
        })
        .collect();
    let (mut stop, mut abandon) = (std::pin::pin!(stop), std::pin::pin!(abandon));
    let mut stopping = tokio::select! {
        () = attempted(&lanes) => false,
        () = &mut stop => true,
    };

    let (warm_up, measured) = (plan.warm_up_calls(), plan.measured_calls());
    let start = Instant::now() + HEAD_START;
    let measured_from = start + Duration::from_secs_f64(warm_up as f64 / plan.rate);
    let rate = plan.rate;
    // Held by the pacer and by every call, so the channel ends when all of them have.
    let (in_flight, mut ended) = mpsc::channel::<()>(1);
    let calls = if stopping { 0 } else { warm_up.saturating_add(measured) };
    let (runtime, calling) = (Handle::current(), Arc::clone(&lanes));
    let plan = Arc::new(plan);
    let pacer = Pacer::start(start, rate, calls, move |n, due| {
        let (lanes, plan, in_flight) = (Arc::clone(&calling), Arc::clone(&plan), in_flight.clone());
        runtime.spawn(async move {
            one(&lanes, &plan, n, due).await;
            drop(in_flight);
        });
    })?;

    let mut ticks = interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.reset();
    loop {
        tokio::select! {
            _ = ended.recv() => break,
            () = &mut stop, if !stopping => {
                stopping = true;
                pacer.stop();
            }
            () = &mut abandon => {
                pacer.stop();
                break;
            }
            _ = ticks.tick() => progress(&Progress { elapsed: start.elapsed(), counts: total(&lanes) }),
        }
    }
    progress(&Progress { elapsed: start.elapsed(), counts: total(&lanes) });
    let tallies: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.target.to_string(), lane.tally(|tally| std::mem::replace(tally, Tally::new()))))
        .collect();
    Ok(report(&tallies, measured_from, rate))
}

async fn attempted(lanes: &[Lane]) {
    for connection in lanes.iter().flat_map(|lane| &lane.connections) {
        connection.attempted().await;
    }
}

fn total(lanes: &[Lane]) -> Counts {
    let mut total = Counts::default();
    lanes.iter().for_each(|lane| total.add(&lane.tally(|tally| tally.total())));
    total
}

/// Makes the call number `n`.
async fn one(lanes: &[Lane], plan: &Plan, n: u64, due: Instant) {
    let measured = n >= plan.warm_up_calls();
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let lane = &lanes[n % lanes.len()];
    let connection = &lane.connections[n / lanes.len() % lane.connections.len()];
    lane.tally(|tally| tally.sent(measured, due, Instant::now()));
    let deadline = due + plan.timeout;
    let answer = timeout_at(time::Instant::from_std(deadline), send(&plan.call, lane, connection, deadline)).await;
    let latency = due.elapsed();
    let result = match answer {
        // tonic's own timer races with this one, and reports its expiry as CANCELLED.
        Ok(Err(status)) if status.code() == Code::Cancelled && Instant::now() >= deadline => {
            Err(Code::DeadlineExceeded)
        }
        Ok(result) => result.map_err(|status| status.code()),
        Err(_) => Err(Code::DeadlineExceeded),
    };
    lane.tally(|tally| tally.ended(measured, latency, result));
}

async fn send(call: &Call, lane: &Lane, connection: &Connection, deadline: Instant) -> Result<Amounts, Status> {
    let (connection, origin) = (connection.clone(), lane.target.origin().clone());
    let timeout = deadline.saturating_duration_since(Instant::now());
    match call {
        Call::Quote { request, traceparent } => {
            let mut request = Request::new(request.clone());
            request.set_timeout(timeout);
            if let Some(traceparent) = traceparent {
                request.metadata_mut().insert("traceparent", traceparent.clone());
            }
            let quote = PricingServiceClient::with_origin(connection, origin).quote(request).await?;
            Ok(Amounts::from(quote.get_ref()))
        }
        Call::Health => {
            let mut request = Request::new(HealthCheckRequest::default());
            request.set_timeout(timeout);
            HealthClient::with_origin(connection, origin).check(request).await?;
            Ok(Amounts::default())
        }
    }
}
