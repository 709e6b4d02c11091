use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use contracts::hybrid::pricing::v1::{QuoteLine, QuoteRequest};
use telemetry::TraceContext;

use crate::plan::{Call, Plan, Target};

/// Sends quotes to data planes at a constant rate, and measures their latency from the time they were due.
///
/// Calls are sent whether or not earlier ones have been answered, and are never retried. Progress goes to stderr once a
/// second; at the end one JSON object goes to stdout. SIGINT and SIGTERM end the sending, wait for what is in flight and
/// print the object; a second signal does not wait.
///
/// Exit code: 0 when it ran to its end, even if calls failed; 2 for options that cannot be used; 1 for other failures.
#[derive(Clone, Debug, Parser)]
#[command(version, about, max_term_width = 120)]
pub struct Cli {
    /// Data plane, as http://host:port of its gRPC; several are used in turn
    #[arg(long = "target", value_name = "URL", required = true)]
    targets: Vec<Target>,
    /// Calls a second over all targets
    #[arg(long, value_parser = rate)]
    rate: f64,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// hybrid.pricing.v1.PricingService/Quote
    Quote,
    /// grpc.health.v1.Health/Check, the latency of a call without work
    Health,
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
    /// Quotes are to be sent, and their currency, jurisdiction or lines are missing.
    pub fn plan(self) -> Result<Plan, clap::Error> {
        let call = match self.method {
            Method::Health => Call::Health,
            Method::Quote => {
                let missing = |option: &str| {
                    let problem = format!("quotes need {option}");
                    Self::command().error(ErrorKind::MissingRequiredArgument, problem)
                };
                let lines = self.lines.into_iter().map(|Line { sku, quantity }| QuoteLine { sku, quantity });
                let request = QuoteRequest {
                    currency_code: self.currency.ok_or_else(|| missing("--currency"))?,
                    jurisdiction: self.jurisdiction.ok_or_else(|| missing("--jurisdiction"))?,
                    lines: lines.collect(),
                    coupons: Vec::new(),
                };
                if request.lines.is_empty() {
                    return Err(missing("--line"));
                }
                // A traceparent is ASCII, as its parser has seen.
                Call::Quote { request, traceparent: self.traceparent.and_then(|text| text.parse().ok()) }
            }
        };
        Ok(Plan {
            targets: self.targets,
            rate: self.rate,
            duration: self.duration,
            count: self.count,
            warm_up: self.warm_up,
            connections: self.connections.into(),
            timeout: self.timeout,
            call,
        })
    }
}
