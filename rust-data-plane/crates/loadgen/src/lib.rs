//! A load generator for quotes over gRPC, and for requests over HTTP/1.1.
//!
//! In its open loop calls arrive at a constant rate, whether or not earlier ones have been answered, and latency is measured from
//! the time at which a call was due: a stall of the target shows in every call that was due during it. In its closed loop each
//! connection sends its next call when an earlier one has ended, which shows what a target can do, but hides how long callers
//! would wait for it. Calls are never retried.

mod cli;
mod closed_loop;
mod failure;
mod http1;
mod http2;
mod lane;
mod load;
mod open_loop;
mod plan;
mod report;

pub use cli::Cli;
pub use failure::{Failure, GrpcCode};
pub use load::{Progress, run};
pub use plan::{Arrivals, Call, HttpCall, Plan, Target};
pub use report::{Counts, Latency, Report, TargetReport};
