use std::net::SocketAddr;

use lifecycle::{Program, SettingError, Settings, Variable};

/// The program, and the environment variables that it reads.
pub const PROGRAM: Program = Program {
    name: "metering",
    version: env!("CARGO_PKG_VERSION"),
    about: "Turns priced quotes into usage windows, exactly once.",
    variables: &[
        Variable { name: "HTTP_PORT", help: "port for /livez and /readyz" },
        Variable { name: "ConnectionStrings__kafka", help: "address of Kafka: host:port[,host:port]" },
        Variable {
            name: "HYBRID_KAFKA_STAND_IN",
            help: "true where Kafka is librdkafka's in-memory mock (default false)",
        },
        Variable {
            name: "NODE_ID",
            help: "stable name of this instance (default 1); two with one name fence each other",
        },
    ],
};

/// The configuration of an instance.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its health is served.
    pub http: SocketAddr,
    /// `bootstrap.servers`.
    pub kafka: String,
    /// Whether Kafka is librdkafka's mock, which takes a transaction's offsets but does not keep them.
    pub stand_in: bool,
    /// Its `transactional.id`, `group.instance.id` and `client.id`.
    pub instance: String,
}

impl Config {
    /// Reads the environment.
    pub fn from_settings(settings: Settings) -> Result<Self, SettingError> {
        let node = settings.text("NODE_ID").unwrap_or_else(|| "1".into());
        if !pricing::is_key(&node) {
            return Err(SettingError::new(
                "NODE_ID",
                "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor ..",
            ));
        }
        Ok(Self {
            http: SocketAddr::new(settings.bind_address()?, settings.required_as("HTTP_PORT")?),
            stand_in: settings.optional_as("HYBRID_KAFKA_STAND_IN")?.unwrap_or(false),
            kafka: settings.required("ConnectionStrings__kafka")?,
            instance: format!("metering-{node}"),
        })
    }
}
