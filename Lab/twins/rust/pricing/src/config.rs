use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lifecycle::{Program, SettingError, Settings, Variable};
use tonic::transport::Endpoint;

/// The program, and the environment variables that it reads: the data plane's, where the same is meant.
pub(crate) const PROGRAM: Program = Program {
    name: "pricing",
    version: env!("CARGO_PKG_VERSION"),
    about: "The pricing twin in Rust: prices quotes over gRPC, and reports every one to Kafka.",
    variables: &[
        Variable { name: "NODE_ID", help: "stable name of this node: 1 to 64 of A-Z a-z 0-9 . _ -" },
        Variable { name: "GRPC_PORT", help: "port for hybrid.pricing.v1 and grpc.health.v1" },
        Variable { name: "STATE_DIR", help: "folder of this node's own, for the last good snapshot" },
        Variable { name: "CONTROL_PLANE_GRPC", help: "address of the control plane: http://host:port" },
        Variable { name: "ConnectionStrings__kafka", help: "address of Kafka: host:port[,host:port]" },
        Variable { name: "QUOTES_TOPIC", help: "topic of priced quotes (default hybrid.quotes.v1)" },
        Variable {
            name: "HYBRID_BUDGET_MAX_STALENESS",
            help: "seconds without news from the control plane after which no discount is granted (default 300)",
        },
    ],
};

/// The configuration of the twin.
pub(crate) struct Config {
    pub(crate) node_id: String,
    pub(crate) grpc: SocketAddr,
    pub(crate) state_dir: PathBuf,
    pub(crate) control_plane: Endpoint,
    pub(crate) kafka: String,
    pub(crate) topic: String,
    pub(crate) max_staleness: Duration,
}

impl Config {
    /// Reads the environment.
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, SettingError> {
        let control_plane = Endpoint::from_shared(settings.required("CONTROL_PLANE_GRPC")?)
            .map_err(|_| SettingError::new("CONTROL_PLANE_GRPC", "must be http://host:port"))?;
        Ok(Self {
            node_id: settings.required("NODE_ID")?,
            grpc: SocketAddr::new(settings.bind_address()?, settings.required_as("GRPC_PORT")?),
            state_dir: settings.required_as("STATE_DIR")?,
            control_plane,
            kafka: settings.required("ConnectionStrings__kafka")?,
            topic: settings.text("QUOTES_TOPIC").unwrap_or_else(|| "hybrid.quotes.v1".into()),
            max_staleness: Duration::from_secs(settings.optional_as("HYBRID_BUDGET_MAX_STALENESS")?.unwrap_or(300)),
        })
    }
}
