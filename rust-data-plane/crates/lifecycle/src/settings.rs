use std::env;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use thiserror::Error;

/// A program that is configured by environment variables.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// All variables that it reads.
    pub variables: &'static [Variable],
}

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What to set it to.
    pub help: &'static str,
}

/// Variables that OpenTelemetry defines, and the log's level.
const COMMON: &[Variable] = &[
    Variable { name: "BIND_ADDRESS", help: "address to listen on (default 127.0.0.1)" },
    Variable {
        name: "LOG_LEVEL",
        help: "error, warn, info, debug or trace (default info; optimised builds have no trace)",
    },
    Variable {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        help: "URL of an OTLP receiver (unset: no export); …_{TRACES,METRICS,LOGS}_ENDPOINT for one signal",
    },
    Variable { name: "OTEL_EXPORTER_OTLP_PROTOCOL", help: "grpc or http/protobuf (default grpc)" },
    Variable {
        name: "OTEL_EXPORTER_OTLP_CERTIFICATE",
        help: "PEM file of the certificates to trust over https (default: SSL_CERT_FILE, else the system's)",
    },
    Variable { name: "OTEL_EXPORTER_OTLP_TIMEOUT", help: "milliseconds that an export may take (default 10000)" },
    Variable { name: "OTEL_SDK_DISABLED", help: "true: no export" },
    Variable { name: "OTEL_EXPORTER_OTLP_HEADERS", help: "key=value,… sent along" },
    Variable { name: "OTEL_SERVICE_NAME", help: "name in the telemetry" },
    Variable { name: "OTEL_RESOURCE_ATTRIBUTES", help: "key=value,… of the telemetry's resource" },
    Variable { name: "OTEL_TRACES_SAMPLER", help: "[parentbased_]always_on, always_off or traceidratio" },
    Variable { name: "OTEL_TRACES_SAMPLER_ARG", help: "ratio of traceidratio, 0.0 to 1.0" },
    Variable { name: "OTEL_BSP_SCHEDULE_DELAY", help: "milliseconds between exports of spans (default 5000)" },
    Variable { name: "OTEL_BLRP_SCHEDULE_DELAY", help: "milliseconds between exports of logs (default 1000)" },
    Variable { name: "OTEL_BSP_MAX_QUEUE_SIZE", help: "spans that may wait (default 8192); OTEL_BLRP_… for logs" },
    Variable {
        name: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        help: "spans in one export (default 512); OTEL_BLRP_… for logs",
    },
    Variable { name: "OTEL_METRIC_EXPORT_INTERVAL", help: "milliseconds between exports of metrics (default 60000)" },
];

/// A setting that is missing or cannot be used, in one clear line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SettingError(String);

impl SettingError {
    /// `variable` has a value that cannot be used.
    pub fn new(variable: &str, problem: impl fmt::Display) -> Self {
        Self(format!("{variable} {problem}"))
    }

    pub(crate) fn line(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

/// The environment of a running program.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    program: Program,
}

impl Program {
    /// Answers `--help` and `--version`: the text to print, if one of them was asked for.
    pub fn answer(&self, mut args: impl Iterator<Item = String>) -> Result<Option<String>, SettingError> {
        match args.next().as_deref() {
            None => Ok(None),
            Some("--help" | "-h") => Ok(Some(self.help())),
            Some("--version" | "-V") => Ok(Some(format!("{} {}", self.name, self.version))),
            Some(other) => Err(SettingError(format!("{other} is not known; --help lists what is"))),
        }
    }

    /// Access to the environment.
    pub fn settings(self) -> Settings {
        Settings { program: self }
    }

    fn help(&self) -> String {
        let mut text = format!("{} {}\n{}\n\nEnvironment:\n", self.name, self.version, self.about);
        let all = || self.variables.iter().chain(COMMON);
        let width = all().map(|variable| variable.name.len()).max().unwrap_or(0);
        for Variable { name, help } in all() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {name:width$}  {help}");
        }
        text + "\nOptions:\n  --help     this text\n  --version  name and version"
    }
}

impl Settings {
    /// The value of `name`, if it is set to something.
    pub fn text(&self, name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// The value of `name`, which must be set.
    pub fn required(&self, name: &str) -> Result<String, SettingError> {
        self.text(name).ok_or_else(|| SettingError::new(name, format_args!("is not set: {}", self.hint(name))))
    }

    /// The value of `name`, which must be set and readable.
    pub fn required_as<T: FromStr>(&self, name: &str) -> Result<T, SettingError> {
        self.required(name).and_then(|text| self.read(name, &text))
    }

    /// The value of `name`, readable where it is set.
    pub fn optional_as<T: FromStr>(&self, name: &str) -> Result<Option<T>, SettingError> {
        self.text(name).map(|text| self.read(name, &text)).transpose()
    }

    /// Where to listen: `BIND_ADDRESS`.
    pub fn bind_address(&self) -> Result<IpAddr, SettingError> {
        Ok(self.optional_as("BIND_ADDRESS")?.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    fn read<T: FromStr>(&self, name: &str, text: &str) -> Result<T, SettingError> {
        text.trim()
            .parse()
            .map_err(|_| SettingError::new(name, format_args!("cannot be {text:?}: {}", self.hint(name))))
    }

    fn hint(&self, name: &str) -> String {
        let known = self.program.variables.iter().chain(COMMON).find(|variable| variable.name == name);
        known.map_or_else(String::new, |variable| format!("set it to the {}", variable.help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Program = Program {
        name: "program",
        version: "1.2.3",
        about: "Does something.",
        variables: &[Variable { name: "LIFECYCLE_TEST_PORT", help: "port to listen on" }],
    };

    fn answer(arg: &str) -> Result<Option<String>, SettingError> {
        PROGRAM.answer([arg.to_owned()].into_iter())
    }

    #[test]
    fn help_lists_every_variable() {
        let help = answer("--help").unwrap().unwrap();
        assert!(help.contains("LIFECYCLE_TEST_PORT") && help.contains("OTEL_SERVICE_NAME"), "{help}");
        assert_eq!(answer("--version").unwrap().unwrap(), "program 1.2.3");
        assert!(answer("--what").is_err());
    }

    #[test]
    fn a_missing_variable_says_what_to_set() {
        let error = PROGRAM.settings().required_as::<u16>("LIFECYCLE_TEST_PORT").unwrap_err();
        assert_eq!(error.to_string(), "LIFECYCLE_TEST_PORT is not set: set it to the port to listen on");
    }
}
