//! Turns priced quotes into usage windows, exactly once.

use std::process::ExitCode;

use metering::{PROGRAM, Process};

fn main() -> ExitCode {
    lifecycle::main(PROGRAM, Process::run)
}
