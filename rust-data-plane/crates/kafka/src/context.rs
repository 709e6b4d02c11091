use crate::error::RDKafkaErrorCode;

/// Callbacks of a client. They run on librdkafka's threads and on the thread that polls.
pub trait ClientContext: Send + Sync + 'static {
    /// A line of librdkafka's log; `level` is syslog's. Each failed attempt to connect is one, and each
    /// transaction that fails: these are logged at level debug, since `error` and the calls report them.
    fn log(&self, level: i32, facility: &str, message: &str) {
        match level {
            _ if matches!(facility, "FAIL" | "ERROR" | "TXNERR") => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
            ..=3 => tracing::error!(target: "librdkafka", facility, "{message}"),
            4 => tracing::warn!(target: "librdkafka", facility, "{message}"),
            5 | 6 => tracing::info!(target: "librdkafka", facility, "{message}"),
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    /// An error of the client as a whole. librdkafka recovers on its own from all but `Fatal`.
    fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        match code {
            RDKafkaErrorCode::Fatal => tracing::error!(target: "librdkafka", "{reason}"),
            RDKafkaErrorCode::BrokerTransportFailure => {
                tracing::debug!(target: "librdkafka", error = %code, "{reason}")
            }
            _ => tracing::warn!(target: "librdkafka", error = %code, "{reason}"),
        }
    }
}

/// Logs, and does nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultClientContext;

impl ClientContext for DefaultClientContext {}
