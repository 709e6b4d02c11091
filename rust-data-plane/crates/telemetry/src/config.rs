use std::env;
use std::time::Duration;

use thiserror::Error;

use crate::sampler::Sampler;

/// What is exported, and where.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) endpoint: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) sampler: Sampler,
    pub(crate) span_delay: Duration,
    pub(crate) log_delay: Duration,
    pub(crate) metric_interval: Duration,
}

/// A variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    pub(crate) variable: &'static str,
    pub(crate) problem: &'static str,
}

impl Config {
    /// Reads OpenTelemetry's variables. Without an endpoint nothing is exported.
    pub fn from_env(service: &str, version: &str) -> Result<Self, ConfigError> {
        Self::from_variables(service, version, |name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// As `from_env`, with the variables that `get` knows.
    pub fn from_variables(
        service: &str,
        version: &str,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let endpoint = get("OTEL_EXPORTER_OTLP_ENDPOINT");
        if endpoint.as_deref().is_some_and(|endpoint| !endpoint.starts_with("http://")) {
            return Err(ConfigError { variable: "OTEL_EXPORTER_OTLP_ENDPOINT", problem: "must be http://host:port" });
        }
        let sampler = match get("OTEL_TRACES_SAMPLER") {
            None => Sampler::DEFAULT,
            Some(name) => Sampler::parse(&name, get("OTEL_TRACES_SAMPLER_ARG").as_deref()).ok_or(ConfigError {
                variable: "OTEL_TRACES_SAMPLER",
                problem: "must be [parentbased_]always_on, always_off or traceidratio, its _ARG 0.0 to 1.0",
            })?,
        };
        let mut resource = vec![
            ("service.name".to_owned(), get("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned())),
            ("service.version".to_owned(), version.to_owned()),
            ("telemetry.sdk.language".to_owned(), "rust".to_owned()),
            ("telemetry.sdk.name".to_owned(), "hybrid-telemetry".to_owned()),
        ];
        for (key, value) in pairs(&get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()) {
            if resource.iter().all(|(known, _)| *known != key) {
                resource.push((key, value));
            }
        }
        let delay = |variable: &'static str, default: u64| match get(variable) {
            None => Ok(Duration::from_millis(default)),
            Some(text) => text
                .parse()
                .ok()
                .filter(|&millis| millis > 0)
                .map(Duration::from_millis)
                .ok_or(ConfigError { variable, problem: "must be a number of milliseconds" }),
        };
        Ok(Self {
            endpoint,
            headers: pairs(&get("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default()).collect(),
            resource,
            sampler,
            span_delay: delay("OTEL_BSP_SCHEDULE_DELAY", 5_000)?,
            log_delay: delay("OTEL_BLRP_SCHEDULE_DELAY", 1_000)?,
            metric_interval: delay("OTEL_METRIC_EXPORT_INTERVAL", 60_000)?,
        })
    }
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

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables("service", "1", |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn reads_the_standard_variables() {
        let config = config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%20b, other=c"),
            ("OTEL_SERVICE_NAME", "named"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=one,service.name=ignored"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ])
        .unwrap();
        assert_eq!(config.headers, [("x-api-key".into(), "a b".into()), ("other".into(), "c".into())]);
        assert!(config.resource.contains(&("service.name".into(), "named".into())));
        assert!(config.resource.contains(&("service.instance.id".into(), "one".into())));
        assert_eq!(config.span_delay, Duration::from_millis(100));
    }

    #[test]
    fn names_the_variable_at_fault() {
        let error = config(&[("OTEL_METRIC_EXPORT_INTERVAL", "soon")]).unwrap_err();
        assert_eq!(error.to_string(), "OTEL_METRIC_EXPORT_INTERVAL must be a number of milliseconds");
        assert!(config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost")]).is_err());
    }
}
