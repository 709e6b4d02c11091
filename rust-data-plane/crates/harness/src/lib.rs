//! Starts what is tested: programs of the workspace, and a real Kafka broker. For tests only: what cannot be started panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod address;
mod broker;
mod program;

pub use address::free_address;
pub use broker::Broker;
pub use program::{Program, until};
