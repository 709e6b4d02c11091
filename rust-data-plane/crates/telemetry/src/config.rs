use std::env;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::RngExt;
use rustls::ClientConfig;
use thiserror::Error;

use crate::sampler::Sampler;
use crate::span::Value;
use crate::tls;

/// The program that speaks.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// `service.name`.
    pub name: &'a str,
    /// `service.version`.
    pub version: &'a str,
    /// `service.instance.id`, different for each process that runs at a time; without it a random one is made.
    pub instance: Option<&'a str>,
}

/// What is exported, and where.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) endpoints: Endpoints,
    pub(crate) protocol: Protocol,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) resource: Vec<(String, Value)>,
    pub(crate) sampler: Sampler,
    pub(crate) spans: Batching,
    pub(crate) logs: Batching,
    pub(crate) metric_interval: Duration,
    pub(crate) warnings: Vec<ConfigError>,
}

/// Where each signal goes; what has no endpoint is not exported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    pub(crate) traces: Option<Uri>,
    pub(crate) metrics: Option<Uri>,
    pub(crate) logs: Option<Uri>,
}

impl Endpoints {
    fn all(&self) -> impl Iterator<Item = &Uri> {
        [&self.traces, &self.metrics, &self.logs].into_iter().flatten()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// How records of one kind wait and leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batching {
    pub(crate) delay: Duration,
    /// Records that may wait.
    pub(crate) queue: usize,
    /// Records in one request.
    pub(crate) batch: usize,
}

/// A variable whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    pub(crate) variable: String,
    pub(crate) problem: String,
}

impl ConfigError {
    pub(crate) fn new(variable: &str, problem: impl fmt::Display) -> Self {
        Self { variable: variable.to_owned(), problem: problem.to_string() }
    }
}

impl Config {
    /// Reads OpenTelemetry's variables. Without an endpoint nothing is exported. A value that cannot be used is replaced by
    /// its default, or ends the export, and is logged as a warning by `init_logging`.
    pub fn from_env(service: Service<'_>) -> Self {
        Self::from_variables(service, |name| env::var(name).ok())
    }

    /// As `from_env`, with the variables that `get` knows.
    pub fn from_variables(service: Service<'_>, get: impl Fn(&str) -> Option<String>) -> Self {
        Reader { get: &get, warnings: Vec::new() }.read(service)
    }
}

/// Reads variables, and notes those that cannot be used.
struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<ConfigError>,
}

impl Reader<'_> {
    fn read(mut self, service: Service<'_>) -> Config {
        let disabled = self.text("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let protocol = if disabled { None } else { self.protocol() };
        let mut endpoints = protocol.map_or_else(Endpoints::default, |protocol| self.endpoints(protocol));
        let mut tls = None;
        if endpoints.all().any(|endpoint| endpoint.scheme() == Some(&Scheme::HTTPS)) {
            let alpn: &[u8] = if protocol == Some(Protocol::HttpProtobuf) { b"http/1.1" } else { b"h2" };
            match tls::client(self.text("OTEL_EXPORTER_OTLP_CERTIFICATE").as_deref(), alpn) {
                Ok(config) => tls = Some(config),
                Err(problem) => {
                    let variable = match self.text("OTEL_EXPORTER_OTLP_CERTIFICATE") {
                        Some(_) => "OTEL_EXPORTER_OTLP_CERTIFICATE",
                        None => "SSL_CERT_FILE",
                    };
                    self.warn(variable, format!("{problem}; nothing is exported over https"));
                    let plain = |endpoint: Option<Uri>| endpoint.filter(|uri| uri.scheme() == Some(&Scheme::HTTP));
                    let Endpoints { traces, metrics, logs } = endpoints;
                    endpoints = Endpoints { traces: plain(traces), metrics: plain(metrics), logs: plain(logs) };
                }
            }
        }
        if self.text("OTEL_EXPORTER_OTLP_COMPRESSION").is_some_and(|value| value != "none") {
            self.warn("OTEL_EXPORTER_OTLP_COMPRESSION", "must be none; requests are not compressed");
        }
        Config {
            endpoints,
            protocol: protocol.unwrap_or(Protocol::Grpc),
            tls,
            headers: self.headers(),
            timeout: self.millis("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000),
            resource: self.resource(service),
            sampler: self.sampler(),
            spans: self.batching("OTEL_BSP", 5_000),
            logs: self.batching("OTEL_BLRP", 1_000),
            metric_interval: self.millis("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
            warnings: self.warnings,
        }
    }

    /// A variable that is set to something.
    fn text(&self, variable: &str) -> Option<String> {
        (self.get)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn warn(&mut self, variable: &str, problem: impl fmt::Display) {
        self.warnings.push(ConfigError::new(variable, problem));
    }

    fn protocol(&mut self) -> Option<Protocol> {
        match self.text("OTEL_EXPORTER_OTLP_PROTOCOL").as_deref() {
            None | Some("grpc") => Some(Protocol::Grpc),
            Some("http/protobuf") => Some(Protocol::HttpProtobuf),
            Some(_) => {
                self.warn("OTEL_EXPORTER_OTLP_PROTOCOL", "must be grpc or http/protobuf; nothing is exported");
                None
            }
        }
    }

    fn endpoints(&mut self, protocol: Protocol) -> Endpoints {
        let shared = self.endpoint("OTEL_EXPORTER_OTLP_ENDPOINT");
        let mut of = |signal: &str, path: &str| {
            let exporter = format!("OTEL_{signal}_EXPORTER");
            match self.text(&exporter).as_deref() {
                None | Some("otlp") => {}
                Some("none") => return None,
                Some(_) => {
                    self.warn(&exporter, "must be otlp or none; the signal is not exported");
                    return None;
                }
            }
            let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
            if self.text(&own).is_some() {
                return self.endpoint(&own);
            }
            match protocol {
                Protocol::Grpc => shared.clone(),
                Protocol::HttpProtobuf => shared.clone().map(|endpoint| below(&endpoint, path)),
            }
        };
        Endpoints {
            traces: of("TRACES", "/v1/traces"),
            metrics: of("METRICS", "/v1/metrics"),
            logs: of("LOGS", "/v1/logs"),
        }
    }

    fn endpoint(&mut self, variable: &str) -> Option<Uri> {
        let text = self.text(variable)?;
        let is_usable = |uri: &Uri| {
            uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
                && uri.authority().is_some_and(|authority| !Authority::host(authority).is_empty())
        };
        let uri = text.parse().ok().filter(is_usable);
        if uri.is_none() {
            self.warn(variable, "must be http://host:port or https://host:port; nothing is exported there");
        }
        uri
    }

    fn headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (key, value) in pairs(&self.text("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default()) {
            match (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value)) {
                (Ok(key), Ok(mut value)) => {
                    // It may be a key, which debug output must not show.
                    value.set_sensitive(true);
                    headers.insert(key, value);
                }
                _ => self.warn("OTEL_EXPORTER_OTLP_HEADERS", format!("has a header that cannot be sent: {key:?}")),
            }
        }
        headers
    }

    fn sampler(&mut self) -> Sampler {
        let (name, arg) = (self.text("OTEL_TRACES_SAMPLER"), self.text("OTEL_TRACES_SAMPLER_ARG"));
        let Some(name) = name else { return Sampler::DEFAULT };
        Sampler::parse(&name, arg.as_deref()).unwrap_or_else(|| {
            let names = "must be [parentbased_]always_on, always_off or traceidratio, its _ARG 0.0 to 1.0";
            self.warn("OTEL_TRACES_SAMPLER", format!("{names}; parentbased_always_on is used"));
            Sampler::DEFAULT
        })
    }

    /// Later attributes replace earlier ones of the same name.
    fn resource(&mut self, service: Service<'_>) -> Vec<(String, Value)> {
        let instance = service.instance.map_or_else(random_uuid, str::to_owned);
        let mut attributes: Vec<(String, Value)> = vec![
            ("service.name".into(), service.name.to_owned().into()),
            ("service.version".into(), service.version.to_owned().into()),
            ("service.instance.id".into(), instance.into()),
            ("host.name".into(), rustix::system::uname().nodename().to_string_lossy().into_owned().into()),
            ("process.pid".into(), i64::from(std::process::id()).into()),
            ("telemetry.sdk.language".into(), "rust".into()),
            ("telemetry.sdk.name".into(), "hybrid-telemetry".into()),
            ("telemetry.sdk.version".into(), env!("CARGO_PKG_VERSION").into()),
        ];
        let given = self.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        if given.split(',').any(|pair| !pair.trim().is_empty() && !pair.contains('=')) {
            self.warn("OTEL_RESOURCE_ATTRIBUTES", "must be key=value,…; the rest of it is used");
        }
        let name = self.text("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name));
        for (key, value) in pairs(&given).chain(name).filter(|(key, value)| !key.is_empty() && !value.is_empty()) {
            match attributes.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = value.into(),
                None => attributes.push((key, value.into())),
            }
        }
        attributes
    }

    fn batching(&mut self, prefix: &str, delay: u64) -> Batching {
        let queue = self.number(&format!("{prefix}_MAX_QUEUE_SIZE"), 8_192);
        Batching {
            delay: self.millis(&format!("{prefix}_SCHEDULE_DELAY"), delay),
            queue,
            batch: self.number(&format!("{prefix}_MAX_EXPORT_BATCH_SIZE"), 512).min(queue),
        }
    }

    fn millis(&mut self, variable: &str, default: u64) -> Duration {
        Duration::from_millis(self.positive(variable, "milliseconds", default, u64::from(u32::MAX)))
    }

    fn number(&mut self, variable: &str, default: u64) -> usize {
        usize::try_from(self.positive(variable, "records", default, 1 << 20)).unwrap_or(usize::MAX)
    }

    fn positive<T>(&mut self, variable: &str, unit: &str, default: T, most: T) -> T
    where
        T: FromStr + PartialOrd + From<u8> + fmt::Display + Copy,
    {
        let Some(text) = self.text(variable) else { return default };
        text.parse().ok().filter(|value| (T::from(1)..=most).contains(value)).unwrap_or_else(|| {
            self.warn(variable, format!("must be a number of {unit}, 1 to {most}; {default} is used"));
            default
        })
    }
}

/// `path` below the path of `endpoint`.
fn below(endpoint: &Uri, path: &str) -> Uri {
    let mut parts = endpoint.clone().into_parts();
    let path = format!("{}{path}", endpoint.path().trim_end_matches('/'));
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| endpoint.clone())
}

fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(rand::rng().random()).into_uuid().to_string()
}

/// `key=value,key=value`, percent-encoded.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key.trim()), decode(value.trim())))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let service = Service { name: "service", version: "1", instance: None };
        Config::from_variables(service, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn attribute(config: &Config, name: &str) -> Value {
        config.resource.iter().find(|(key, _)| key == name).unwrap().1.clone()
    }

    fn endpoint(uri: &Option<Uri>) -> String {
        uri.as_ref().map(Uri::to_string).unwrap_or_default()
    }

    #[test]
    fn reads_the_standard_variables() {
        let config = config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%20b, other=c"),
            ("OTEL_SERVICE_NAME", "named"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=one,service.name=ignored,a=b"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ]);
        assert_eq!(config.warnings, []);
        assert_eq!(
            (&config.headers["x-api-key"], &config.headers["other"]),
            (&"a b".parse().unwrap(), &"c".parse().unwrap())
        );
        assert_eq!(attribute(&config, "service.name"), "named".into());
        assert_eq!(attribute(&config, "service.instance.id"), "one".into());
        assert_eq!(attribute(&config, "a"), "b".into());
        assert_eq!((config.spans.delay, config.spans.queue, config.spans.batch), (Duration::from_millis(100), 64, 64));
        assert_eq!(config.timeout, Duration::from_millis(250));
        assert_eq!(endpoint(&config.endpoints.logs), "http://127.0.0.1:4317/");
    }

    #[test]
    fn every_process_is_told_from_the_others() {
        let (one, other) = (config(&[]), config(&[]));
        assert_ne!(attribute(&one, "service.instance.id"), attribute(&other, "service.instance.id"));
        for name in ["service.name", "service.version", "host.name", "process.pid", "telemetry.sdk.version"] {
            assert!(one.resource.iter().filter(|(key, _)| key == name).count() == 1, "{name}");
        }
        let service = Service { name: "service", version: "1", instance: Some("node-1") };
        assert_eq!(attribute(&Config::from_variables(service, |_| None), "service.instance.id"), "node-1".into());
    }

    #[test]
    fn each_signal_may_go_elsewhere() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one:4318/otlp/");
        let config = config(&[
            base,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://two:4318/exactly/this"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ]);
        assert_eq!(config.warnings, []);
        assert_eq!(endpoint(&config.endpoints.traces), "http://one:4318/otlp/v1/traces");
        assert_eq!(endpoint(&config.endpoints.logs), "http://two:4318/exactly/this");
        assert_eq!(config.endpoints.metrics, None);
    }

    #[test]
    fn disabled_is_disabled() {
        let config = config(&[
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://127.0.0.1:4317"),
        ]);
        assert!(config.endpoints.is_empty());
        assert_eq!(config.warnings, []);
    }

    #[test]
    fn what_cannot_be_used_is_one_warning_that_names_its_variable() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        for (variable, value, exports) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317", false),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://", false),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://host:1", false),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", false),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a key=b", true),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", true),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", true),
            ("OTEL_TRACES_EXPORTER", "zipkin", true),
            ("OTEL_TRACES_SAMPLER", "sometimes", true),
            ("OTEL_METRIC_EXPORT_INTERVAL", "soon", true),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", true),
            ("OTEL_RESOURCE_ATTRIBUTES", "nonsense", true),
        ] {
            let config = config(&[(variable, value), endpoint]);
            let variables: Vec<_> = config.warnings.iter().map(|warning| warning.variable.as_str()).collect();
            assert_eq!((variables, !config.endpoints.is_empty()), (vec![variable], exports), "{variable}={value}");
        }
    }

    #[test]
    fn an_unreadable_certificate_ends_only_what_needs_it() {
        let config = config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/does/not/exist.pem"),
        ]);
        assert_eq!(config.warnings.len(), 1);
        assert!(config.warnings[0].to_string().starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE "), "{:?}", config.warnings);
        assert_eq!((config.endpoints.traces, config.endpoints.logs.is_some()), (None, true));
    }
}
