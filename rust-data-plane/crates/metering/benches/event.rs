//! What one event costs metering, in instructions: `cargo bench -p metering --bench event`. It needs valgrind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../tests/counted/mod.rs"]
mod counted;
#[path = "../tests/pipeline/mod.rs"]
mod pipeline;

use counted::instructions;
use harness::has_valgrind;

/// Records; those of many lines are longer.
const COUNTED: i64 = 200;
const COUNTED_LONG: i64 = 40;

fn main() {
    if !has_valgrind() {
        return println!("valgrind is not installed: instructions are not counted");
    }
    println!("instructions per event of one line   {:7.0}", instructions(COUNTED, 1));
    println!("instructions per event of ten lines  {:7.0}", instructions(COUNTED_LONG, 10));
}
