//! From the start of a process to its end: settings, named readiness, connections, health endpoints, drain.

pub mod connections;
mod health;
mod http1;
mod program;
mod readiness;
mod settings;
mod shutdown;

pub use health::{GrpcHealth, routes};
pub use http1::serve_http;
pub use program::{Failure, main};
pub use readiness::{Readiness, State};
pub use settings::{Program, SettingError, Settings, Variable};
pub use shutdown::{Drain, Draining};
