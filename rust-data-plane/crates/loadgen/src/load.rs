use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use snapshot_client::Backoff;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::closed_loop::Callers;
use crate::lane::Lane;
use crate::open_loop::Pacer;
use crate::plan::{Arrivals, Plan};
use crate::report::{Counts, Measured, Report, Tally, report};

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
        failed.iter().try_for_each(|(failure, count)| write!(f, "  {failure} {count}"))
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
    let lanes: Arc<[Lane]> = plan.targets.iter().map(|target| Lane::new(target, &plan, &backoff)).collect();
    let plan = Arc::new(plan);
    let (mut stop, mut abandon) = (std::pin::pin!(stop), std::pin::pin!(abandon));
    let mut stopping = tokio::select! {
        () = attempted(&lanes, &plan) => false,
        () = &mut stop => true,
    };

    let start = Instant::now() + HEAD_START;
    let (sender, rate, warm_up, mut ended) = Sender::start(&lanes, &plan, start)?;
    if stopping {
        sender.stop();
    }
    let measured_from = start + warm_up;
    let mut cpu_before = None;

    let mut ticks = interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.reset();
    loop {
        tokio::select! {
            _ = ended.recv() => break,
            () = sleep_until(measured_from.into()), if cpu_before.is_none() => cpu_before = Some((Instant::now(), cpu_time())),
            () = &mut stop, if !stopping => {
                stopping = true;
                sender.stop();
            }
            () = &mut abandon => {
                sender.stop();
                break;
            }
            _ = ticks.tick() => progress(&Progress { elapsed: start.elapsed(), counts: total(&lanes) }),
        }
    }
    let generator_cores =
        cpu_before.map_or(0.0, |(at, before)| (cpu_time() - before).as_secs_f64() / at.elapsed().as_secs_f64());
    progress(&Progress { elapsed: start.elapsed(), counts: total(&lanes) });
    let tallies: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.target().to_string(), lane.tally(|tally| std::mem::replace(tally, Tally::new()))))
        .collect();
    Ok(report(&tallies, &Measured { start: measured_from, rate, generator_cores }, plan.histogram))
}

/// What sends the calls.
enum Sender {
    Open(Pacer),
    Closed(Callers),
}

impl Sender {
    /// Starts to send at `start`. Returns also the rate, the length of the warm-up, and a channel that ends with the last call.
    fn start(
        lanes: &Arc<[Lane]>,
        plan: &Arc<Plan>,
        start: Instant,
    ) -> io::Result<(Self, Option<f64>, Duration, mpsc::Receiver<()>)> {
        let (in_flight, ended) = mpsc::channel::<()>(1);
        match plan.arrivals {
            Arrivals::Closed { in_flight: callers } => {
                let callers = Callers::start(lanes, plan, start, callers, &in_flight);
                Ok((Self::Closed(callers), None, plan.warm_up, ended))
            }
            Arrivals::Open { rate } => {
                let (warm_up, measured) = plan.calls_at(rate);
                let (runtime, lanes, plan) = (Handle::current(), Arc::clone(lanes), Arc::clone(plan));
                let pacer = Pacer::start(start, rate, warm_up.saturating_add(measured), move |n, due| {
                    let (lanes, plan, in_flight) = (Arc::clone(&lanes), Arc::clone(&plan), in_flight.clone());
                    runtime.spawn(async move {
                        let call = usize::try_from(n).unwrap_or(usize::MAX);
                        lanes[call % lanes.len()].call(&plan, call / lanes.len(), n >= warm_up, due).await;
                        drop(in_flight);
                    });
                })?;
                Ok((Self::Open(pacer), Some(rate), Duration::from_secs_f64(warm_up as f64 / rate), ended))
            }
        }
    }

    /// No further calls.
    fn stop(&self) {
        match self {
            Self::Open(pacer) => pacer.stop(),
            Self::Closed(callers) => callers.stop(),
        }
    }
}

async fn attempted(lanes: &[Lane], plan: &Plan) {
    for lane in lanes {
        lane.attempted(plan.timeout).await;
    }
}

fn total(lanes: &[Lane]) -> Counts {
    let mut total = Counts::default();
    lanes.iter().for_each(|lane| total.add(&lane.tally(|tally| tally.total())));
    total
}

/// What this process has used of the processors.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
