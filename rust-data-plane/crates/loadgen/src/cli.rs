use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::QuoteLine;
use http::HeaderValue;
use http::uri::PathAndQuery;
use telemetry::TraceContext;

use crate::plan::{Arrivals, Call, HttpCall, Plan, Target};

/// Sends quotes to data planes, or requests to HTTP/1.1 servers, and measures their latency.
///
/// With --rate calls are sent when they are due, whether or not earlier ones have been answered, and their latency counts from
/// then. With --closed each connection sends its next call when an earlier one has ended. Calls are never retried. Progress goes to stderr once a
/// second; at the end one JSON object goes to stdout. SIGINT and SIGTERM end the sending, wait for what is in flight and
/// print the object; a second signal does not wait.
///
/// Exit code: 0 when it ran to its end, even if calls failed; 2 for options that cannot be used; 1 for other failures.
#[derive(Clone, Debug, Parser)]
#[command(version, about, max_term_width = 120)]
pub struct Cli {
    /// Server, as http://host:port (of its gRPC for quotes); several are used in turn
    #[arg(long = "target", value_name = "URL", required = true)]
    targets: Vec<Target>,
    /// Calls a second over all targets
    #[arg(long, value_parser = rate, conflicts_with = "closed", required_unless_present = "closed")]
    rate: Option<f64>,
    /// Send the next call when an earlier one has ended: the most that the target takes, but not how long callers would wait
    #[arg(long)]
    closed: bool,
    /// Calls under way on each connection in a closed loop; over HTTP/1.1 there is one
    #[arg(long, value_name = "N", default_value = "1", requires = "closed", value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: u16,
    /// How long the measured part lasts
    #[arg(long, default_value = "30s", value_parser = positive)]
    duration: Duration,
    /// The most calls of the measured part [default: no limit but the duration]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How long calls are sent before they count in the figures
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// Connections to each target
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// A call fails this long after it was due
    #[arg(long, default_value = "5s", value_parser = positive)]
    timeout: Duration,
    /// What is called
    #[arg(long, value_enum, default_value_t = Method::Quote)]
    method: Method,
    /// Currency of the quotes: EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Where the goods of the quotes are taxed: DE
    #[arg(long, value_name = "CODE")]
    jurisdiction: Option<String>,
    /// A line of the quotes: mug=3; may be repeated
    #[arg(long = "line", value_name = "SKU=QUANTITY")]
    lines: Vec<Line>,
    /// W3C trace context that all quotes are sent with
    #[arg(long, value_parser = traceparent)]
    traceparent: Option<String>,
    /// Path and query of HTTP requests: /plaintext
    #[arg(long, value_name = "PATH")]
    path: Option<PathAndQuery>,
    /// What HTTP requests post; without it they are GET
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// Content type of the body
    #[arg(long, value_name = "TYPE", default_value = "application/json", requires = "body")]
    content_type: HeaderValue,
    /// Report the whole histogram of latencies too
    #[arg(long)]
    histogram: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// hybrid.pricing.v1.PricingService/Quote
    Quote,
    /// grpc.health.v1.Health/Check, the latency of a call without work
    Health,
    /// --path over HTTP/1.1, which is answered when its status is 2xx
    Http,
}

#[derive(Clone, Debug)]
struct Line {
    sku: String,
    quantity: i64,
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sku, quantity) = text.split_once('=').ok_or("must be SKU=QUANTITY")?;
        let quantity = quantity.parse().map_err(|error| format!("quantity: {error}"))?;
        Ok(Self { sku: sku.into(), quantity })
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.001..=1e6).contains(&rate) { Ok(rate) } else { Err("must be 0.001 to 1000000".into()) }
}

fn positive(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be more than 0".into()) } else { Ok(duration) }
}

fn traceparent(text: &str) -> Result<String, String> {
    text.parse::<TraceContext>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Cli {
    /// The plan that the options make.
    ///
    /// # Errors
    /// The method needs an option that is missing.
    pub fn plan(self) -> Result<Plan, clap::Error> {
        let in_flight = match self.method {
            Method::Http => 1,
            Method::Quote | Method::Health => self.in_flight.into(),
        };
        Ok(Plan {
            arrivals: self.rate.map_or(Arrivals::Closed { in_flight }, |rate| Arrivals::Open { rate }),
            duration: self.duration,
            count: self.count,
            warm_up: self.warm_up,
            connections: self.connections.into(),
            timeout: self.timeout,
            histogram: self.histogram,
            targets: self.targets.clone(),
            call: self.call()?,
        })
    }

    fn call(self) -> Result<Call, clap::Error> {
        match self.method {
            Method::Health => Ok(Call::Health),
            Method::Http => {
                let path = self.path.ok_or_else(|| missing("HTTP requests need --path"))?;
                let body = self.body.map(|body| (body.into(), self.content_type));
                Ok(Call::Http(HttpCall { path, body }))
            }
            Method::Quote => {
                let lines = self.lines.into_iter().map(|Line { sku, quantity }| QuoteLine { sku, quantity });
                let request = QuoteRequest {
                    currency_code: self.currency.ok_or_else(|| missing("quotes need --currency"))?,
                    jurisdiction: self.jurisdiction.ok_or_else(|| missing("quotes need --jurisdiction"))?,
                    lines: lines.collect(),
                    coupons: Vec::new(),
                };
                if request.lines.is_empty() {
                    return Err(missing("quotes need --line"));
                }
                // A traceparent is ASCII, as its parser has seen.
                Ok(Call::Quote { request, traceparent: self.traceparent.and_then(|text| text.parse().ok()) })
            }
        }
    }
}

fn missing(problem: &str) -> clap::Error {
    Cli::command().error(ErrorKind::MissingRequiredArgument, problem)
}
