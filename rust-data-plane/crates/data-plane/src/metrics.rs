use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use snapshot_client::Snapshots;
use telemetry::{Attribute, Histogram, Histograms, Meter};

/// Rate, errors and duration of one gRPC method: a histogram for each code that it has ended with.
#[derive(Clone)]
pub(crate) struct Calls {
    /// Found without a search, because most calls end with it.
    ok: Histogram,
    errors: Histograms<(&'static str, &'static str)>,
    method: &'static str,
}

impl Calls {
    const NAME: &'static str = "rpc.server.call.duration";
    const DESCRIPTION: &'static str = "Time from request to answer";

    pub(crate) fn new(meter: &Meter, method: &'static str) -> Self {
        let ok = meter.histogram(Self::NAME, Self::DESCRIPTION, attributes(&(method, "OK")));
        Self { ok, errors: meter.histograms(Self::NAME, Self::DESCRIPTION, attributes), method }
    }

    /// A call has ended with the code named `code`.
    pub(crate) fn record(&self, code: &'static str, duration: Duration) {
        match code {
            "OK" => self.ok.record(duration),
            _ => self.errors.record(&(self.method, code), duration),
        }
    }
}

fn attributes(&(method, code): &(&'static str, &'static str)) -> Vec<Attribute> {
    let mut attributes = vec![
        ("rpc.system.name", "grpc".into()),
        ("rpc.method", method.into()),
        ("rpc.response.status_code", code.into()),
    ];
    if is_server_error(code) {
        attributes.push(("error.type", code.into()));
    }
    attributes
}

/// Whether OpenTelemetry's conventions count the code as an error of the server.
pub(crate) fn is_server_error(code: &str) -> bool {
    matches!(code, "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS")
}

/// The name of a gRPC code.
pub(crate) fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// How an HTTP request was made and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpRequest {
    pub(crate) method: &'static str,
    /// `None` where there is nothing at the path.
    pub(crate) route: Option<&'static str>,
    pub(crate) status: StatusCode,
}

impl HttpRequest {
    pub(crate) fn new(method: &Method, route: Option<&'static str>, status: StatusCode) -> Self {
        let known = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
        let method = known.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER");
        Self { method, route, status }
    }

    /// The attributes that its span and its metric have in common.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![
            ("http.request.method", self.method.into()),
            ("url.scheme", "http".into()),
            ("http.response.status_code", i64::from(self.status.as_u16()).into()),
        ];
        attributes.extend(self.route.map(|route| ("http.route", route.into())));
        if self.status.is_server_error() {
            attributes.push(("error.type", self.status.as_str().to_owned().into()));
        }
        attributes
    }
}

/// Rate, errors and duration of HTTP: a histogram for each method, route and status that has occurred.
pub(crate) fn http_requests(meter: &Meter) -> Histograms<HttpRequest> {
    meter.histograms("http.server.request.duration", "Time from request to answer", HttpRequest::attributes)
}

/// Registers the state of the snapshot as metrics.
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
    gauge(
        "hybrid.discounts.suspended",
        "1",
        "1 while no discount is granted for want of news of budgets",
        |snapshots| Some(f64::from(u8::from(snapshots.discounts_suspended()))),
    );
    let snapshots = snapshots.clone();
    meter.observed_counter("hybrid.snapshot.rejects", "{resource}", "Resources that were rejected", move || {
        snapshots.rejects()
    });
}

/// Registers the count of connections that were closed at once, because as many were open as there may be.
pub(crate) fn register_refused(meter: &Meter, refused: &Arc<AtomicU64>) {
    let refused = Arc::clone(refused);
    meter.observed_counter("hybrid.connections.refused", "{connection}", "Connections beyond the limit", move || {
        refused.load(Ordering::Relaxed)
    });
}
