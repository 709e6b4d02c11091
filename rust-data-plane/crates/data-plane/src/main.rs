//! Prices quotes from an in-memory snapshot of the catalog, and reports every one to Kafka.

use std::process::ExitCode;

use data_plane::{PROGRAM, Process};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    lifecycle::main(PROGRAM, Process::run)
}
