use std::sync::Arc;
use std::time::Duration;

use pricing::{Code, QuoteError};
use snapshot_client::Snapshots;
use telemetry::{Histogram, Meter};

const CODES: [Code; 5] =
    [Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition, Code::OutOfRange, Code::Unavailable];

/// Rate, errors and duration of one method: a histogram for each way it can end.
#[derive(Clone)]
pub(crate) struct Calls {
    ok: Histogram,
    errors: Arc<[Histogram; CODES.len()]>,
}

impl Calls {
    pub(crate) fn new(meter: &Meter, method: &'static str) -> Self {
        let histogram = |code: &'static str| {
            meter.histogram(
                "rpc.server.call.duration",
                "Time from request to answer",
                [
                    ("rpc.system.name", "grpc".into()),
                    ("rpc.method", method.into()),
                    ("rpc.response.status_code", code.into()),
                ],
            )
        };
        Self { ok: histogram("OK"), errors: Arc::new(CODES.map(|code| histogram(code.name()))) }
    }

    pub(crate) fn record<T>(&self, result: &Result<T, QuoteError>, duration: Duration) {
        match result {
            Ok(_) => self.ok.record(duration),
            Err(error) => {
                if let Some(at) = CODES.iter().position(|&code| code == error.code()) {
                    self.errors[at].record(duration);
                }
            }
        }
    }
}

/// Rate, errors and duration of the JSON endpoint.
#[derive(Clone)]
pub(crate) struct HttpRequests(Arc<[(u16, Histogram)]>);

impl HttpRequests {
    pub(crate) fn new(meter: &Meter, route: &'static str) -> Self {
        let histogram = |status: u16| {
            let attributes = [
                ("http.request.method", "POST".into()),
                ("http.route", route.into()),
                ("http.response.status_code", i64::from(status).into()),
            ];
            (status, meter.histogram("http.server.request.duration", "Time from request to answer", attributes))
        };
        Self([200, 400, 404, 413, 503].into_iter().map(histogram).collect())
    }

    pub(crate) fn record(&self, status: u16, duration: Duration) {
        if let Some((_, histogram)) = self.0.iter().find(|(known, _)| *known == status) {
            histogram.record(duration);
        }
    }
}

/// Makes the state of the snapshot known.
pub(crate) fn register_snapshots(meter: &Meter, snapshots: &Snapshots) {
    let gauge = |name, unit, description, read: fn(&Snapshots) -> Option<f64>| {
        let snapshots = snapshots.clone();
        meter.gauge(name, unit, description, move || read(&snapshots));
    };
    gauge("hybrid.snapshot.applied_version", "{version}", "Catalog version that prices quotes", |snapshots| {
        Some(snapshots.applied_version() as f64)
    });
    gauge("hybrid.snapshot.offered_version", "{version}", "Newest catalog version that was named", |snapshots| {
        Some(snapshots.offered_version() as f64)
    });
    gauge("hybrid.snapshot.config_age", "s", "Since the snapshot was last known to be the newest", |snapshots| {
        snapshots.age().map(|age| age.as_secs_f64())
    });
    gauge("hybrid.snapshot.rejected", "{resource}", "Resources that are rejected at present", |snapshots| {
        Some(snapshots.rejected() as f64)
    });
    let snapshots = snapshots.clone();
    meter.observed_counter("hybrid.snapshot.rejects", "{resource}", "Resources that were rejected", move || {
        snapshots.rejects()
    });
}
