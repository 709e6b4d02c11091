use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use contracts::QuoteRequest;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use tonic::metadata::AsciiMetadataValue;

/// What to send, where, how often and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Servers, used in turn. At least one.
    pub targets: Vec<Target>,
    /// When calls are sent.
    pub arrivals: Arrivals,
    /// How long the measured part lasts.
    pub duration: Duration,
    /// The most calls of the measured part.
    pub count: Option<u64>,
    /// How long calls are sent before they are measured.
    pub warm_up: Duration,
    /// Connections to each target, at least one.
    pub connections: usize,
    /// A call fails with DEADLINE_EXCEEDED this long after it was due.
    pub timeout: Duration,
    /// What is sent.
    pub call: Call,
    /// Whether the report has the whole histogram of latencies.
    pub histogram: bool,
}

/// When calls are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// At a constant rate, whether or not earlier calls have been answered.
    Open {
        /// Calls a second over all targets, more than 0.
        rate: f64,
    },
    /// As soon as an earlier call has ended.
    Closed {
        /// Calls that are under way on each connection, at least one; over HTTP/1.1 there can be no more than that.
        in_flight: usize,
    },
}

/// What is called.
#[derive(Clone, Debug)]
pub enum Call {
    /// `hybrid.pricing.v1.PricingService/Quote`, each with the same trace context if there is one.
    Quote {
        /// The basket.
        request: QuoteRequest,
        /// The value of `traceparent`.
        traceparent: Option<AsciiMetadataValue>,
    },
    /// `grpc.health.v1.Health/Check` for the whole server: the latency of a call without work.
    Health,
    /// A request over HTTP/1.1, which is answered when its status is 2xx.
    Http(HttpCall),
}

/// A request over HTTP/1.1: POST if it has a body, else GET.
#[derive(Clone, Debug)]
pub struct HttpCall {
    /// Path and query.
    pub path: PathAndQuery,
    /// What is posted, and its content type.
    pub body: Option<(Bytes, HeaderValue)>,
}

impl Plan {
    /// Calls of the warm-up and of the measured part at a constant `rate`.
    pub(crate) fn calls_at(&self, rate: f64) -> (u64, u64) {
        let calls = |time: Duration| (time.as_secs_f64() * rate).ceil() as u64;
        (calls(self.warm_up), calls(self.duration).min(self.count.unwrap_or(u64::MAX)))
    }
}

/// A server without TLS: `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    origin: Uri,
    authority: String,
}

impl Target {
    /// The URI that requests begin with.
    pub(crate) fn origin(&self) -> &Uri {
        &self.origin
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let origin: Uri = text.parse().map_err(|error| format!("{error}"))?;
        let parts = (origin.scheme_str(), origin.host(), origin.port_u16(), origin.path());
        let (Some("http"), Some(host), Some(port), "" | "/") = parts else {
            return Err("must be http://host:port".into());
        };
        let authority = format!("{host}:{port}");
        Ok(Self { origin, authority })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_with_a_port() {
        assert_eq!("http://127.0.0.1:7211".parse::<Target>().unwrap().authority(), "127.0.0.1:7211");
        assert_eq!("http://[::1]:7211/".parse::<Target>().unwrap().authority(), "[::1]:7211");
        for bad in ["", "127.0.0.1:7211", "https://127.0.0.1:7211", "http://host", "http://host:1/path"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
