//! An open-loop load generator: quotes arrive at a constant rate, whether or not earlier ones have been answered.
//!
//! Latency is measured from the time at which a quote was due, so a stall of the target shows in every quote that was due
//! during it. Quotes are never retried.

mod cli;
mod connection;
mod load;
mod pace;
mod plan;
mod report;

pub use cli::Cli;
pub use load::{Progress, run};
pub use plan::{Call, Plan, Target};
pub use report::{Counts, Latency, Report, TargetReport};
