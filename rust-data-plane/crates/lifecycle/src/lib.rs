//! From the start of a process to its end: settings, named readiness, health endpoints, drain.

mod health;
mod program;
mod readiness;
mod settings;
mod shutdown;

pub use health::{GrpcHealth, routes};
pub use program::{Failure, main};
pub use readiness::{Readiness, State};
pub use settings::{Program, SettingError, Settings, Variable};
pub use shutdown::{Drain, Draining};
