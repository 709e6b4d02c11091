//! The data plane: quotes over gRPC and JSON, priced by the newest snapshot, each reported to Kafka.
//!
//! A quote touches memory only. It waits neither for the control plane nor for Kafka.

mod answered;
mod config;
#[cfg(test)]
mod cost;
mod events;
#[cfg(test)]
mod fuzz;
mod grpc;
mod http;
mod http2;
#[cfg(test)]
mod in_process;
mod json;
mod metrics;
mod origin;
mod problem;
mod process;
mod quotes;
mod room;
mod server;
mod time;
mod trace;
mod wire;

pub use config::{Config, PROGRAM};
pub use process::Process;
