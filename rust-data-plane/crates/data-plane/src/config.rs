use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use lifecycle::{Program, SettingError, Settings, Variable};
use tonic::transport::Endpoint;

/// The program, and the environment variables that it reads.
pub const PROGRAM: Program = Program {
    name: "data-plane",
    version: env!("CARGO_PKG_VERSION"),
    about: "Prices quotes from an in-memory snapshot of the catalog, and reports every one to Kafka.",
    variables: &[
        Variable { name: "NODE_ID", help: "stable name of this node: 1 to 64 of A-Z a-z 0-9 . _ -" },
        Variable { name: "HTTP_PORT", help: "port for POST /v1/quotes, /livez and /readyz" },
        Variable { name: "GRPC_PORT", help: "port for hybrid.pricing.v1 and grpc.health.v1" },
        Variable { name: "STATE_DIR", help: "folder of this node's own, for the last good snapshot" },
        Variable { name: "CONTROL_PLANE_GRPC", help: "address of the control plane: http://host:port" },
        Variable { name: "ConnectionStrings__kafka", help: "address of Kafka: host:port[,host:port]" },
        Variable { name: "WORKER_THREADS", help: "number of runtimes, 1 to 64 (default: one per core)" },
        Variable {
            name: "MAX_CONNECTIONS",
            help: "connections that each port serves at once, 1 to 100000 (default 400)",
        },
        Variable {
            name: "HYBRID_BUDGET_MAX_STALENESS",
            help: "seconds without news from the control plane after which no discount is granted, 1 to 604800 (default 300)",
        },
        Variable {
            name: "DRAIN_DELAY",
            help: "seconds for which a process that is told to end is not ready, but still serves, so that callers and balancers turn away before it refuses them: 0 to 300 (default 0)",
        },
        Variable {
            name: "QUOTE_DELAY_US",
            help: "fault injection for tests only: microseconds by which every quote is delayed (default: none)",
        },
    ],
};

/// The configuration of a data plane.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variables' help says it")]
pub struct Config {
    pub node_id: String,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub state_dir: PathBuf,
    pub control_plane: Endpoint,
    pub kafka: String,
    pub workers: usize,
    pub connections: usize,
    pub budget_max_staleness: Duration,
    pub drain_delay: Duration,
    pub delay: Option<Duration>,
}

impl Config {
    /// Reads the environment.
    pub fn from_settings(settings: Settings) -> Result<Self, SettingError> {
        let address: IpAddr = settings.bind_address()?;
        let node_id = settings.required("NODE_ID")?;
        if !pricing::is_key(&node_id) {
            return Err(SettingError::new(
                "NODE_ID",
                "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor ..",
            ));
        }
        let control_plane = settings.required("CONTROL_PLANE_GRPC")?;
        let control_plane = Endpoint::from_shared(control_plane)
            .ok()
            .filter(|endpoint| endpoint.uri().scheme_str() == Some("http") && endpoint.uri().host().is_some())
            .ok_or_else(|| SettingError::new("CONTROL_PLANE_GRPC", "must be http://host:port"))?;
        let workers = match settings.optional_as::<usize>("WORKER_THREADS")? {
            Some(workers @ 1..=64) => workers,
            Some(_) => return Err(SettingError::new("WORKER_THREADS", "must be 1 to 64")),
            None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(64),
        };
        let connections = settings.optional_as("MAX_CONNECTIONS")?.unwrap_or(400);
        if !(1..=100_000).contains(&connections) {
            return Err(SettingError::new("MAX_CONNECTIONS", "must be 1 to 100000"));
        }
        let staleness = settings.optional_as::<u64>("HYBRID_BUDGET_MAX_STALENESS")?.unwrap_or(300);
        if !(1..=604_800).contains(&staleness) {
            return Err(SettingError::new("HYBRID_BUDGET_MAX_STALENESS", "must be 1 to 604800 seconds"));
        }
        let drain_delay = settings.optional_as::<u64>("DRAIN_DELAY")?.unwrap_or(0);
        if drain_delay > 300 {
            return Err(SettingError::new("DRAIN_DELAY", "must be 0 to 300 seconds"));
        }
        Ok(Self {
            node_id,
            http: SocketAddr::new(address, settings.required_as("HTTP_PORT")?),
            grpc: SocketAddr::new(address, settings.required_as("GRPC_PORT")?),
            state_dir: settings.required_as("STATE_DIR")?,
            control_plane,
            kafka: settings.required("ConnectionStrings__kafka")?,
            workers,
            connections,
            budget_max_staleness: Duration::from_secs(staleness),
            drain_delay: Duration::from_secs(drain_delay),
            delay: settings.optional_as("QUOTE_DELAY_US")?.filter(|&us| us > 0).map(Duration::from_micros),
        })
    }
}
