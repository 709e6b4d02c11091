//! Starts what is tested: programs of the workspace, and a real Kafka broker; and fuzzes readers. For tests only: what cannot be
//! started panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod address;
mod broker;
mod counts;
mod fuzz;
mod layers;
mod program;

pub use address::free_address;
pub use broker::Broker;
pub use counts::{budget, counts_are_asked_for, counts_hold, has_valgrind, number_after};
pub use fuzz::Fuzzer;
pub use layers::modules_use_each_other_one_way;
pub use program::{Program, until};
