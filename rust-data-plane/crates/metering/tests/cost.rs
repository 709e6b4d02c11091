//! Holds what an event costs in instructions, which no load of the machine moves, against the limit in tests/Latency/budgets.json.
//!
//! It prints what the test harness of Rust would, because that cannot skip a test for what the machine lacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counted;
mod pipeline;

use std::fs;
use std::path::Path;

use counted::{has_valgrind, instructions};
use serde_json::Value;

const NAME: &str = "an_event_costs_no_more_than_its_budget";
/// Records that are counted.
const COUNTED: i64 = 80;
/// Lines of an event that must break the budget, or the budget would hold nothing.
const TOO_MANY: i64 = 5;

/// The limit of the budget with this name.
fn limit(name: &str) -> f64 {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap().join("../../../tests/Latency/budgets.json");
    let budgets: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let counts = budgets["counts"]["budgets"].as_array().unwrap();
    counts.iter().find(|budget| budget["name"] == name).unwrap()["max"].as_f64().unwrap()
}

fn check() {
    let (one, many) = (instructions(COUNTED, 1), instructions(COUNTED, TOO_MANY));
    println!("{one:.0} instructions; of {TOO_MANY} lines {many:.0}");
    let most = limit("event-instructions");
    assert!(one <= most, "an event takes {one:.0} instructions where {most} are allowed");
    assert!(many > most, "an event of {TOO_MANY} lines takes {many:.0} instructions, which the limit of {most} allows");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return println!("{NAME}: test");
    }
    if arguments.iter().any(|argument| !argument.starts_with('-') && !NAME.contains(argument.as_str())) {
        return;
    }
    println!("running 1 test");
    if !has_valgrind() {
        return println!("test {NAME} ... ignored, valgrind is needed: it counts instructions");
    }
    if cfg!(debug_assertions) {
        return println!("test {NAME} ... ignored, the limit is that of an optimised build: --profile fast");
    }
    // A panic ends the process, which is the failure.
    check();
    println!("test {NAME} ... ok");
}
